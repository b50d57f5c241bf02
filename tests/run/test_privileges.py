"""Who may read what: the web process and the authorities' keys; an ordinary user's start."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import seal
from mailadmin import privileges
from mailadmin.privileges import Account, Ground
from mailadmin.supervisor import Child, Supervisor
from tests.run.console import CHECKOUT, Console, owner_of

pytestmark = pytest.mark.faults


def _nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account("nobody", entry.pw_uid, entry.pw_gid)


@pytest.fixture
def ground() -> Iterator[Ground]:
    # Not pytest's own folder, which only the user that runs the tests can enter.
    with tempfile.TemporaryDirectory(prefix="mailadmin-run-", dir="/tmp") as folder:
        data = Path(folder)
        data.chmod(0o755)
        (data / "log").mkdir()
        (data / "log").chmod(0o1777)
        seal.ensure_keys(data)
        yield Ground(data, _nobody() if os.geteuid() == 0 else None)


def _answers_of(ground: Ground, role: str) -> dict[str, str]:
    """What a process of this role, started the way the supervisor starts it, can unseal."""
    seal.load("all", ground.data)
    blobs = {ring: seal.seal(ring, b"secret", context="test") for ring in ("authority", "audit")}
    for_signer = seal.seal_for_signer(b"passphrase", context="test")
    seal._held.clear()
    reader, writer = os.pipe()

    def ask() -> None:
        answers = {"uid": str(os.getuid())}
        for ring, blob in blobs.items():
            answers[ring] = _attempt(lambda r=ring, b=blob: seal.unseal(r, b, context="test"))
            answers[f"{ring} file"] = _attempt((ground.data / f"keys/{ring}.key").read_bytes)
        answers["passphrase"] = _attempt(lambda: seal.open_as_signer(for_signer, context="test"))
        os.write(writer, json.dumps(answers).encode())

    Supervisor(ground, port=0)._spawn(child := Child("probe", role, ask))
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answers: dict[str, str] = json.loads(pipe.read())
    os.waitpid(child.pid, 0)
    return answers


def _attempt(act: object) -> str:
    try:
        act()  # type: ignore[operator]
    except (seal.KeyNotHeld, OSError) as error:
        return type(error).__name__
    return "opened"


@pytest.fixture(autouse=True)
def _rings_back() -> Iterator[None]:
    yield
    seal.load("all", Path(os.environ["MAILADMIN_DATA"]))


@pytest.mark.parametrize("role", ["web", "beat", "now", "work"])
def test_only_the_signer_opens_what_is_an_authoritys(ground: Ground, role: str) -> None:
    answers = _answers_of(ground, role)
    assert answers["authority"] == "KeyNotHeld"
    assert answers["audit"] == "KeyNotHeld"
    assert answers["passphrase"] == "KeyNotHeld"
    if ground.account:
        assert answers["uid"] == str(ground.account.uid)
        assert answers["authority file"] == "PermissionError"


def test_the_signer_opens_it_and_cannot_read_the_file_again(ground: Ground) -> None:
    answers = _answers_of(ground, "sign")
    assert (answers["authority"], answers["audit"], answers["passphrase"]) == ("opened",) * 3
    if ground.account:
        assert answers["authority file"] == "PermissionError"


def test_the_running_web_process_can_reach_no_key(running: Console, as_root: None) -> None:
    """From the web process's own user: not the files, not the signer's memory."""
    children = running.children()
    if owner_of(children["web"]) == "root":
        pytest.skip("an ordinary user cannot read this checkout")
    user = owner_of(children["web"])
    as_web = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    for path in (running.data / "keys/authority.key", f"/proc/{children['sign']}/mem"):
        read = subprocess.run([*as_web, "head", "-c1", str(path)], capture_output=True, check=False)
        assert b"Permission denied" in read.stderr, path


@pytest.fixture
def readable_checkout(as_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """This checkout, or a copy where an ordinary user cannot read it."""
    if privileges.unreadable(_nobody(), [CHECKOUT]) is None:
        yield CHECKOUT
        return
    copy = Path("/tmp") / f"mailadmin-copy-{os.getpid()}"
    shutil.copytree(CHECKOUT, copy, symlinks=True, ignore=shutil.ignore_patterns("var", ".git"))
    yield copy
    shutil.rmtree(copy)


def test_starts_as_an_ordinary_user(readable_checkout: Path) -> None:
    console = Console(
        prefix=["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"],
        checkout=readable_checkout,
    )
    try:
        os.chown(console.folder, _nobody().uid, _nobody().gid)
        console.start().ready()
        children = console.children()
        assert {owner_of(pid) for pid in children.values()} == {"nobody"}
        assert "practice" not in children
        assert console.get() == 200
        assert console.stop() == 0
    finally:
        console.clear()


def test_root_becomes_the_data_folders_owner(readable_checkout: Path) -> None:
    """And that user can start it alone the next time."""
    console = Console(checkout=readable_checkout)
    try:
        console.data.mkdir(mode=0o700)
        os.chown(console.data, _nobody().uid, _nobody().gid)
        console.start().ready()
        children = console.children()
        children.pop("practice", None)
        assert {owner_of(pid) for pid in children.values()} == {"nobody"}
        assert (console.data / "keys/authority.key").owner() == "nobody"
        console.stop()
        console.output.unlink()
        console.prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        console.start().ready()
    finally:
        console.clear()


def test_commands_give_root_up_too(console: Console, as_root: None) -> None:
    if privileges.unreadable(_nobody(), [CHECKOUT]):
        pytest.skip("an ordinary user cannot read this checkout")
    asked = "import os; from core import seal; print(os.getuid(), *seal.held())"
    answer = console.once("shell", "--no-imports", "-c", asked)
    uid, *rings = answer.stdout.split()
    assert int(uid) == pwd.getpwnam("mailadmin").pw_uid, answer.stderr
    assert "authority" in rings
