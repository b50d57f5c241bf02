"""What the content security policy forbids never gets into a template."""

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
PAGES = sorted(
    path for path in TEMPLATES.rglob("*.html") if "render" not in path.relative_to(TEMPLATES).parts
)
INLINE = {
    "inline style": re.compile(r"<style|\sstyle\s*=", re.I),
    "event attribute": re.compile(r"<[^>%]*\son[a-z]+\s*=\s*[\"']", re.I),
    "inline script": re.compile(r"<script(?![^>]*(\bsrc=|application/json))", re.I),
    "javascript address": re.compile(r"javascript:", re.I),
    "script in htmx": re.compile(r"hx-on[:-]|hx-vals\s*=\s*[\"']js:", re.I),
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_template_compiles_and_has_nothing_inline(path):
    get_template(str(path.relative_to(TEMPLATES)))
    text = path.read_text()
    for what, pattern in INLINE.items():
        found = pattern.search(text)
        assert not found, f"{what}: {found and text[found.start() - 20 : found.end() + 40]}"
