"""What we ship of other people's work is what the manifest says."""

import hashlib
import json
import re
from pathlib import Path

BASE = Path(__file__).resolve().parents[2]
PACKAGES = json.loads((BASE / "static/vendor/manifest.json").read_text())


def test_every_vendored_file_has_the_hash_of_the_manifest():
    for package in PACKAGES:
        assert package["licence"] and package["version"] in package["source"]
        for name, entry in package["files"].items():
            data = (BASE / name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry["sha256"], name


def test_nothing_is_vendored_without_an_entry():
    named = {name for package in PACKAGES for name in package["files"]}
    for folder in ("static/vendor", "tests/browser/vendor"):
        for path in (BASE / folder).iterdir():
            name = str(path.relative_to(BASE))
            assert name in named or path.name == "manifest.json", name


def test_every_icon_a_template_asks_for_is_in_the_sprite():
    sprite = set(
        re.findall(r'<symbol id="([^"]+)"', (BASE / "static/vendor/icons.svg").read_text())
    )
    for path in (BASE / "templates").rglob("*.html"):
        text = path.read_text()
        asked = set(re.findall(r'{% icon "([^"]+)"', text)) | set(
            re.findall(r'icon="([^"]+)"', text)
        )
        assert asked <= sprite, f"{path.name}: {asked - sprite}"
