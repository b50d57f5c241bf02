"""The script `./run`: its commands, and what it says where something is missing."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.console import CHECKOUT

pytestmark = pytest.mark.faults

NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def _run(*arguments: str, at: Path = CHECKOUT, before: tuple[str, ...] = (), **more: str):  # type: ignore[no-untyped-def]
    return subprocess.run(
        [*before, str(at / "run"), *arguments],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp"} | more,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def bare() -> Iterator[Path]:
    """A checkout without `.venv`, which an ordinary user may write."""
    folder = Path("/tmp") / f"mailadmin-bare-{os.getpid()}"
    folder.mkdir()
    shutil.copy2(CHECKOUT / "run", folder)
    shutil.copy(CHECKOUT / "requirements.txt", folder)
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_help_names_every_command() -> None:
    shown = _run("help")
    assert shown.returncode == 0
    for command in ("./run test", "./run soak", "./run manage", "MAILADMIN_DATA", "MAILADMIN_PORT"):
        assert command in shown.stdout


def test_an_unknown_command_is_named() -> None:
    refused = _run("deploy")
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith("It does not know: deploy")


def test_manage_passes_on_from_any_folder(tmp_path: Path) -> None:
    if not (CHECKOUT / ".venv" / ".installed-requirements.txt").exists():
        pytest.skip("this environment was not made by ./run")
    answer = _run("manage", "version", MAILADMIN_DATA=str(tmp_path / "data"))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("5.")


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        ("import sys; sys.exit(sys.version_info", "Mailadmin needs Python 3.11 or newer."),
        ("ensurepip", "has no pip for a virtual environment. Type: sudo apt-get install"),
    ],
    ids=["too old", "no ensurepip"],
)
def test_a_python_that_does_not_do(bare: Path, as_root: None, says: str, sentence: str) -> None:
    """With the system's Python covered by one that fails at what is asked."""
    real = Path("/usr/bin/python3").resolve()
    shutil.copy2(real, bare / "real")
    fake = bare / "python"
    fake.write_text(
        "#!/bin/bash\n"
        f"for no in '{says}' '-m pip' '-m venv'; do\n"
        '    [[ "$*" == *"$no"* ]] && exit 1\n'
        "done\n"
        f'exec {bare}/real "$@"\n'
    )
    fake.chmod(0o755)
    script = (
        'mount --bind "$1" "$2"; shift 2; '
        "[ ! -d /usr/share/python-wheels ] || mount -t tmpfs none /usr/share/python-wheels; "
        'exec "$@"'
    )
    covered = ("unshare", "--mount", "sh", "-c", script, "sh", str(fake), str(real), *NOBODY)
    refused = _run(at=bare, before=covered)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert not (bare / ".venv").exists(), "nothing half-made stays behind"


def test_a_checkout_that_cannot_be_written(bare: Path, as_root: None) -> None:
    bare.chmod(0o755)
    refused = _run(at=bare, before=tuple(NOBODY))
    assert refused.returncode == 1
    assert f"{bare} cannot be written by nobody" in refused.stderr
