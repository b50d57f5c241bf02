"""Files that somebody at a terminal named, and who opens them."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from core import terminal
from core.terminal import PRIVATE, READABLE, FileRefused, Writing
from mailadmin import privileges


def refused(code: str) -> pytest.RaisesContext[FileRefused]:
    return pytest.raises(FileRefused, match=f"^{code}: ")


def test_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    modes = {"key": PRIVATE, "cert": READABLE}
    with pytest.raises(ZeroDivisionError), Writing(tmp_path, modes, force=False) as writing:
        writing.keep("key", b"secret")
        kept = list(tmp_path.iterdir())
        assert len(kept) == 1 and stat.S_IMODE(kept[0].stat().st_mode) == PRIVATE
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    with Writing(tmp_path, modes, force=False) as writing:
        writing.keep("key", b"secret")
        assert writing.finish({"cert": b"public"}) == [str(tmp_path / each) for each in modes]
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert found == modes


def test_what_is_there_stays_unless_it_was_said(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("mine")
    with refused("file_exists"), Writing(tmp_path, {"cert": READABLE}, force=False):
        pytest.fail("it has begun")
    # It comes between the beginning and the end.
    with refused("file_exists"), Writing(tmp_path, {"new": READABLE}, force=False) as writing:
        (tmp_path / "new").write_text("theirs")
        writing.finish({"new": b"ours"})
    assert (tmp_path / "new").read_text() == "theirs"
    with Writing(tmp_path, {"cert": READABLE}, force=True) as writing:
        writing.finish({"cert": b"ours"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "cert": "ours",
        "new": "theirs",
    }


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "cert").symlink_to(tmp_path / "target")
    with refused("file_exists"), Writing(tmp_path, {"cert": READABLE}, force=False):
        pytest.fail("it has begun")
    with Writing(tmp_path, {"cert": READABLE}, force=True) as writing:
        writing.finish({"cert": b"ours"})
    assert (tmp_path / "target").read_text() == "mine"
    assert not (tmp_path / "cert").is_symlink()


def test_a_passphrase_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "pass"
    for content in (b"six honest men", b"six honest men\n", b"six honest men\r\n"):
        path.write_bytes(content)
        path.chmod(0o600)
        assert terminal.passphrase(str(path)) == ("six honest men", [])
    path.write_bytes(b" six honest men \n")
    assert terminal.passphrase(str(path))[0] == " six honest men "
    for mode in (0o640, 0o604):
        path.chmod(mode)
        assert terminal.passphrase(str(path))[1] == ["passphrase_file_open"]
    for content, code in (
        (b"", "passphrase_empty"),
        (b"\n", "passphrase_empty"),
        (b"six\nhonest men\n", "passphrase_lines"),
        (b"six\0honest", "passphrase_lines"),
        (b"\xff", "passphrase_not_text"),
        (b"x" * 5000, "file_big"),
    ):
        path.write_bytes(content)
        with refused(code):
            terminal.passphrase(str(path))


def test_a_passphrase_from_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"six honest men\n")
    os.close(writer)
    assert terminal.passphrase(f"/dev/fd/{reader}") == ("six honest men", [])
    os.close(reader)


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.crt").write_bytes(b"1")
    (tmp_path / "two.crt").write_bytes(b"22")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "elsewhere").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    found = terminal.files_below(str(tmp_path), most_files=2, most_bytes=3)
    assert found == [("a/one.crt", b"1"), ("two.crt", b"22")]
    one = str(tmp_path / "two.crt")
    assert terminal.files_below(one, most_files=1, most_bytes=9) == [("two.crt", b"22")]
    for files, most in ((1, 9), (9, 2)):
        with refused("folder_big"):
            terminal.files_below(str(tmp_path), most_files=files, most_bytes=most)
    with refused("file_missing"):
        terminal.files_below(str(tmp_path / "nope"), most_files=9, most_bytes=9)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_lends_itself_and_opens_its_own_files(tmp_path: Path) -> None:
    """A command that root started is the console's user in all but the files root named."""
    secret = tmp_path / "pass"
    secret.write_text("six honest men\n")
    secret.chmod(0o600)
    nobody = pwd.getpwnam("nobody")
    account = privileges.Account("nobody", nobody.pw_uid, nobody.pw_gid)
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            privileges.lend(account)
            said = [os.geteuid() == account.uid, os.getegid() == account.gid]
            said.append(not os.access(secret, os.R_OK))
            try:
                secret.read_text()
                said.append(False)
            except PermissionError:
                said.append(True)
            said.append(terminal.passphrase(str(secret))[0] == "six honest men")
            with Writing(tmp_path, {"key": PRIVATE}, force=False) as writing:
                writing.finish({"key": b"made"})
            said.append((os.geteuid(), os.getegid()) == (account.uid, account.gid))
            os.write(writer, bytes(said))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read() == bytes([1] * 6)
    os.waitpid(pid, 0)
    assert (tmp_path / "key").stat().st_uid == 0
