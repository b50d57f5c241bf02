"""Every rendered line, kept; `tests/live/test_render_golden.py` has the daemons read them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.render import render
from tests.render.examples import GOLDEN, HOSTS, TLS, snapshot

TEXTS = ("sendmail/", "postfix/", "dovecot/")


@pytest.mark.parametrize("name", HOSTS)
def test_a_snapshot_renders_to_the_kept_files(name):
    files = {
        path: content
        for path, content in render(snapshot(name)).files.items()
        if path.startswith(TEXTS)
    }
    folder = GOLDEN / name
    if os.environ.get("REWRITE_GOLDEN"):
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    kept = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert set(files) == set(kept)
    for path in files:
        assert files[path].decode() == kept[path].decode(), path


def test_no_golden_folder_is_without_its_snapshot():
    assert {path.name for path in GOLDEN.iterdir()} == set(HOSTS)


def test_the_same_snapshot_is_the_same_bundle():
    assert render(snapshot("plain")).digest == render(snapshot("plain")).digest
    assert render(snapshot("plain")).digest != render(snapshot("both-families")).digest


def test_certificates_are_passed_on_untouched():
    files = render(snapshot("plain")).files
    assert files["tls/chain.pem"] == TLS.chain_pem
    assert files["tls/ca.pem"] == TLS.ca_pem


@pytest.mark.parametrize("name", HOSTS)
def test_nothing_of_the_lab_and_no_secret_reaches_a_host(name):
    for path, content in render(snapshot(name)).files.items():
        text = content.decode()
        for word in ("accept_unresolvable_domains", "TrustStickyBit", "0666", "delay_checks"):
            assert word not in text, (path, word)
        assert "PRIVATE KEY" not in text
        assert "auth_debug" not in text


def test_rendering_needs_no_framework():
    code = (
        "import sys, deploy.render, deploy.plan;"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('django', 'celery', 'core')))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "[]"
