"""`manage.py vendor`: fetch again the third-party files named in static/vendor/manifest.json.

The manifest is the list of what we ship of other people's work: one entry a package with its
version, licence, source, and for each file where it lies in the package and its SHA-256.

    {"name": "htmx.org", "version": "4.0.1", "licence": "0BSD", "source": "npm:htmx.org@4.0.1",
     "files": {"static/vendor/htmx.min.js": {"from": "dist/htmx.min.js", "sha256": "…"}}}

An entry with `icons` becomes one SVG sprite: a `<symbol id="name">` for each icon named.
A file with `bundle` in place of `from` is put together by esbuild from a library that is published
only as modules: `with` are the other packages, each with its version, `exports` what is taken from
which of them, and `global` the name they have in the page. Their licences stand at its head.
To take a newer release, change `version` and `source` and run the command (`manage.py vendor NAME`
for one package); to add an icon, add its name to `icons` and run it. `npm` must be installed; the
console itself never needs it.
"""

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

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


def bundled(spec: str, bundle: dict[str, Any], folder: Path) -> bytes:
    """One script of `spec` and the packages `with` it, made by esbuild (among them)."""
    room = folder / "bundle"
    room.mkdir()
    (room / "package.json").write_text("{}")
    entry = "".join(
        f"export {{ {', '.join(names)} }} from {json.dumps(package)};\n"
        for package, names in bundle["exports"].items()
    )
    (room / "entry.js").write_text(entry)
    specs = [spec, *bundle["with"]]
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--save-exact", *specs]
    make = ["npx", "esbuild", "entry.js", "--bundle", "--minify", "--legal-comments=none"]
    make += ["--format=iife", "--target=es2022", f"--global-name={bundle['global']}"]
    make += ["--log-level=error", "--outfile=out.js"]
    for command in (install, make):
        subprocess.run(command, cwd=room, check=True, stdout=subprocess.DEVNULL)
    licences = []
    for each in sorted(specs):
        name = each.rpartition("@")[0]
        if name == "esbuild":
            continue
        terms = (room / "node_modules" / name / "LICENSE").read_text().strip().replace("*/", "* /")
        licences.append(f"{each}\n\n{terms}")
    rule = "\n\n" + "-" * 70 + "\n\n"
    return f"/*!\n{rule.join(licences)}\n*/\n".encode() + (room / "out.js").read_bytes()


class Command(BaseCommand):
    help = "Fetch the vendored third-party files again and write their hashes into the manifest."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", help="packages; all of them unless named")

    def handle(self, *args: Any, **options: Any) -> None:
        base = Path(settings.BASE_DIR)
        manifest = base / MANIFEST
        packages = json.loads(manifest.read_text())
        for package in packages:
            if options["names"] and package["name"] not in options["names"]:
                continue
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
                path = base / target
                if "bundle" in entry:
                    data = bundled(spec, entry["bundle"], folder)
                    path.write_bytes(data)
                    entry["sha256"] = hashlib.sha256(data).hexdigest()
                    continue
                member = tar.extractfile("package/" + entry["from"])
                if member is None:
                    raise CommandError(f"{spec} has no file {entry['from']}.")
                data = member.read()
                if "icons" in package and target.endswith(".svg"):
                    data = sprite(json.loads(data), package["icons"])
                elif target.endswith((".js", ".css")):
                    data = without_source_map(data)
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
