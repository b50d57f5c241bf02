"""Whether a practice host can be made, and the sentence when not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.practice import build, can_practise, readiness, wording
from deploy.practice.errors import PracticeError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def as_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(readiness, "_capabilities", lambda: (1 << 41) - 1)
    monkeypatch.setattr("deploy.practice.machine.launch", lambda order: {})


def test_not_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    possible, reason = can_practise()
    assert not possible
    assert "root" in reason


def test_a_container_without_capabilities(as_root, monkeypatch):
    monkeypatch.setattr(readiness, "_capabilities", lambda: 0xA80425FB)
    possible, reason = can_practise()
    assert not possible
    assert "CAP_SYS_ADMIN" in reason


def test_a_kernel_that_refuses_namespaces(as_root, monkeypatch):
    def refuse(order):
        raise PracticeError("start", "unshare: Operation not permitted")

    monkeypatch.setattr("deploy.practice.machine.launch", refuse)
    possible, reason = can_practise()
    assert not possible
    assert "refuses namespaces" in reason


def test_nothing_to_make_a_debian_with(as_root, monkeypatch, tmp_path):
    kept = {name: shutil.which(name) or name for name in ("nsenter", "unshare", "chroot", "cp")}
    monkeypatch.setattr(shutil, "which", kept.get)
    assert can_practise(cache=tmp_path) == (
        False,
        "Neither mmdebstrap nor debootstrap is installed: install one of them.",
    )


def test_a_full_disk(as_root, monkeypatch, tmp_path):
    usage = shutil._ntuple_diskusage(10**10, 10**10, 5 * 10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    possible, reason = can_practise(cache=tmp_path / "not" / "there")
    assert not possible
    assert "500 MB free" in reason


def test_all_is_well(as_root, tmp_path):
    assert can_practise(cache=tmp_path) == (True, "")


def test_every_code_has_words():
    source = "".join(p.read_text() for p in (ROOT / "deploy" / "practice").glob("*.py"))
    codes = set(re.findall(r'(?:PracticeError|_error)\(\s*"([a-z_]+)"', source))
    assert codes == set(wording.ERRORS)


def test_every_step_has_words():
    source = "".join(p.read_text() for p in (ROOT / "deploy" / "practice").glob("*.py"))
    steps = set(re.findall(r'(?:progress|bar)\("([a-z]+)"', source)) | {s[1] for s in build.STEPS}
    assert steps == set(wording.STEPS)


def test_the_client_needs_neither_django_nor_root():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from deploy.practice import client\n"
        "assert 'django' not in sys.modules, 'Django was imported'\n"
        "print(client.status('/nowhere')['possible'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
