"""`manage.py vendor`: fetch again the third-party files named in static/vendor/manifest.json.

The manifest is the list of what we ship of other people's work: one entry a package with its
version, licence, source, and for each file where it lies in the package and its SHA-256.

    {"name": "htmx.org", "version": "4.0.1", "licence": "0BSD", "source": "npm:htmx.org@4.0.1",
     "files": {"static/vendor/htmx.min.js": {"from": "dist/htmx.min.js", "sha256": "…"}}}

An entry with `icons` becomes one SVG sprite: a `<symbol id="name">` for each icon named.
To take a newer release, change `version` and `source` and run the command; to add an icon, add
its name to `icons` and run it. `npm` must be installed; the console itself never needs it.
"""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

MANIFEST = "static/vendor/manifest.json"


def sprite(nodes: dict[str, list[list[Any]]], names: list[str]) -> bytes:
    """One SVG with a symbol an icon; `nodes` is the package's tabler-nodes-outline.json."""
    symbols = []
    for name in sorted(names):
        if name not in nodes:
            raise CommandError(f"There is no icon named {name!r} in this release.")
        body = "".join(
            f"<{tag} " + " ".join(f'{key}="{value}"' for key, value in attributes.items()) + "/>"
            for tag, attributes in nodes[name]
        )
        symbols.append(
            f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
            f'stroke-width="2" stroke-linecap="round" stroke-linejoin="round">{body}</symbol>'
        )
    svg = '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"
    return svg.encode()


class Command(BaseCommand):
    help = "Fetch the vendored third-party files again and write their hashes into the manifest."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        base = Path(settings.BASE_DIR)
        manifest = base / MANIFEST
        packages = json.loads(manifest.read_text())
        for package in packages:
            with tempfile.TemporaryDirectory() as folder:
                self.fetch(package, Path(folder), base)
        manifest.write_text(json.dumps(packages, indent=2) + "\n")

    def fetch(self, package: dict[str, Any], folder: Path, base: Path) -> None:
        spec = package["source"].removeprefix("npm:")
        subprocess.run(
            ["npm", "pack", "--silent", spec],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as tar:
            for target, entry in package["files"].items():
                member = tar.extractfile("package/" + entry["from"])
                if member is None:
                    raise CommandError(f"{spec} has no file {entry['from']}.")
                data = member.read()
                if "icons" in package and target.endswith(".svg"):
                    data = sprite(json.loads(data), package["icons"])
                elif target.endswith((".js", ".css")):
                    data = without_source_map(data)
                path = base / target
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                entry["sha256"] = hashlib.sha256(data).hexdigest()
        self.stdout.write(f"{package['name']} {package['version']}")


def without_source_map(data: bytes) -> bytes:
    """Drop the last line that names a source map: we do not ship the map, browsers ask for it."""
    lines = data.rstrip().split(b"\n")
    if b"sourceMappingURL=" in lines[-1]:
        lines[-1] = lines[-1].split(b"//# sourceMappingURL=")[0].split(b"/*# sourceMappingURL=")[0]
    return b"\n".join(lines).rstrip() + b"\n"
