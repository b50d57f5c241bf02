"""Who the console runs as, and the data folder that fits.

Started as root, everything but the supervisor and the practice host's helper gives root up:

- the data folder belongs to an ordinary user: everything runs as that user;
- otherwise as the system user `mailadmin`, made when missing. The data folder is then
  `root:mailadmin` 1770: the console makes files in it but cannot move or replace root's own
  (`keys/` 0700, `practice/`);
- that user cannot read the Python or the checkout (a checkout under `/root`, say): stay root, say
  so, and listen on loopback only.

A command that root starts becomes the same account; one that reads and writes files for the person
at the terminal keeps the way back to root for the moment it opens them (`core.terminal`). Started
by a user who may not read `keys/`, a command runs without them and says what it cannot do.

Nothing here imports Django or the settings: both read the data folder when they are imported.
"""

import grp
import json
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core import seal

USER = "mailadmin"
CHECKOUT = Path(__file__).resolve().parent.parent

FOLDERS = ("keys", "run", "log", "valkey", "static")  # of the data folder
LOCK = "up.lock"
OUR_FOLDERS = ("mailadmin", "core", "accounts", "ca", "deploy", "templates", "static")

# Commands that read and write files their caller named.
FILES_OF_CALLER = frozenset(
    {
        "create_mailbox",
        "create_root",
        "create_issuer",
        "issue",
        "renew",
        "revoke",
        "crl",
        "import_ca",
        "import_accounts",
        "import_system_users",
        "export_accounts",
        "reissue_root",
        "export",
    }
)
# Commands that keep root: they start processes of their own, or write into the checkout.
KEEP_ROOT = frozenset({"up", "practice", "bench", "test"})
WRITE_CHECKOUT = frozenset(
    {"makemigrations", "squashmigrations", "catalogue", "makemessages", "compilemessages", "vendor"}
)


class CannotStart(Exception):
    """One plain sentence for the person at the terminal, with what to do."""


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int
    home: str = "/nonexistent"


@dataclass(frozen=True)
class Ground:
    """What a start stands on. `account` is whom to become; None: stay who we are.
    `notes` are sentences for the terminal."""

    data: Path
    account: Account | None
    notes: tuple[str, ...] = ()


_ground: Ground | None = None


def data_folder() -> Path:
    return Path(os.environ.get("MAILADMIN_DATA") or CHECKOUT / "var").resolve()


def prepare(*, without_keys: bool = False) -> Ground:
    """Choose the account, make the data folder fit it, make the keys. Raises CannotStart.

    `without_keys`: another user's keys are left alone, and no reason not to start.
    """
    port = os.environ.get("MAILADMIN_PORT") or "8000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise CannotStart(f"MAILADMIN_PORT is {port!r}; set it to a number from 1 to 65535.")
    data = data_folder()
    if os.geteuid() != 0:
        _own_folders(data, without_keys=without_keys)
        return Ground(data, None)
    try:
        data.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(_unwritable(data, error)) from error
    account, notes = _choose(data)
    if account and (blocked := unreadable(account, [CHECKOUT, data.parent])):
        notes = [
            f"Everything stays root, on loopback only: the user {account.name} cannot read "
            f"{blocked}. Put the console and its data where that user can read them, "
            "/opt for example."
        ]
        account = None
    if account is None:
        _own_folders(data)
    elif data.stat().st_uid == account.uid:
        # Root touches nothing in a folder that another controls: no link can lead it astray.
        user = account
        if refused := _asked_as(user, lambda: _own_folders(data)):
            raise CannotStart(refused)
    else:
        _shared_folders(data, account)
    return Ground(data, account, tuple(notes))


def drop(account: Account) -> None:
    """Become `account` for good."""
    try:
        os.initgroups(account.name, account.gid)
    except (OSError, KeyError):
        os.setgroups([account.gid])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    os.environ.update(HOME=account.home, USER=account.name, LOGNAME=account.name)


def lend(account: Account) -> None:
    """Become `account`, and keep the way back (`core.terminal.as_caller`)."""
    try:
        os.initgroups(account.name, account.gid)
    except (OSError, KeyError):
        os.setgroups([account.gid])
    os.setresgid(account.gid, account.gid, 0)
    os.setresuid(account.uid, account.uid, 0)


def ground() -> Ground:
    """What `enter` prepared."""
    return _ground or prepare()


def enter(argv: list[str]) -> None:
    """The first act of `manage.py`: prepare, load the keys, give up root. Exits with one sentence
    when that cannot be."""
    global _ground
    command = argv[1] if len(argv) > 1 else "help"
    if command not in WRITE_CHECKOUT:
        os.umask(0o077)
    try:
        _ground = found = prepare(without_keys=command != "up")
    except CannotStart as refusal:
        if command in FILES_OF_CALLER and "--json" in argv:
            sys.stdout.write(json.dumps({"error": str(refusal), "code": "cannot_start"}) + "\n")
            sys.exit(1)
        sys.exit(str(refusal))
    if command == "up":
        return
    if _foreign(found.data / "keys"):
        # Nothing a command signs by it leaves the process.
        os.environ.setdefault("MAILADMIN_SECRET_KEY", secrets.token_urlsafe(48))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")
    from django.conf import settings

    _ = settings.SECRET_KEY  # read while its file can still be read
    seal.load_readable(found.data)
    if found.account and command in FILES_OF_CALLER:
        lend(found.account)
    elif found.account and command not in KEEP_ROOT | WRITE_CHECKOUT:
        drop(found.account)


def unreadable(account: Account, folders: list[Path]) -> str:
    """The first thing the console needs that `account` cannot read, or ""."""
    import celery

    needed = [Path(sys.executable), Path(os.__file__), Path(celery.__file__), *folders]
    for name in OUR_FOLDERS:
        ours = (CHECKOUT / name).rglob("*")
        needed += [path for path in ours if "__pycache__" not in path.parts]

    def look() -> None:
        for path in needed:
            if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
                raise CannotStart(str(path))

    return _asked_as(account, look)


def _asked_as(account: Account, act: Callable[[], None]) -> str:
    """Run `act` in a child that is `account`. Returns what it refused with, or ""."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            drop(account)
            act()
        except CannotStart as refused:
            os.write(writer, str(refused).encode())
        except OSError as error:
            os.write(writer, (error.filename or str(error)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        refusal = answer.read()
    os.waitpid(pid, 0)
    return refusal


def _choose(data: Path) -> tuple[Account | None, list[str]]:
    owner = data.stat()
    if owner.st_uid != 0:
        try:
            entry = pwd.getpwuid(owner.st_uid)
        except KeyError:
            name = str(owner.st_uid)
            return Account(name, owner.st_uid, owner.st_gid), []
        return _account(entry), [
            f"The data folder belongs to {entry.pw_name}: running as that user."
        ]
    try:
        return _account(pwd.getpwnam(USER)), []
    except KeyError:
        pass
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd:
        argv = [useradd, "--system", "--user-group", "--home-dir", "/nonexistent"]
        argv += ["--shell", "/usr/sbin/nologin", USER]
        made = subprocess.run(argv, capture_output=True, text=True, check=False)
        if made.returncode == 0:
            note = f"Made the system user {USER}, which everything but the supervisor runs as."
            return _account(pwd.getpwnam(USER)), [note]
    return None, [
        f"Everything stays root, on loopback only: the system user {USER} could not be made. "
        f"Type: useradd --system --user-group --shell /usr/sbin/nologin {USER}"
    ]


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def _foreign(folder: Path) -> bool:
    """Whether it is there, and another user's alone."""
    return folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def _own_folders(data: Path, *, without_keys: bool = False) -> None:
    """Everything belongs to whoever we are."""
    try:
        for name in ("", *FOLDERS):
            if without_keys and _foreign(data / "keys") and name in ("keys", "valkey"):
                continue
            (data / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=data / name):
                pass
        if without_keys and _foreign(data / "keys"):
            return
        _make_files(data)
    except OSError as error:
        raise CannotStart(_unwritable(data, error)) from error


def _shared_folders(data: Path, account: Account) -> None:
    """root:<account>, sticky: the account writes, and cannot touch what is root's."""
    for name in (*FOLDERS, "practice"):
        (data / name).mkdir(mode=0o700, exist_ok=True)
    # An earlier start may have stayed root. Its files are handed over while their folders are still
    # root's alone: later, a link could stand where the file was.
    left = [*data.glob("db.sqlite3*"), *data.glob("log/*.log*")]
    for name in ("valkey", "static"):
        if (data / name).lstat().st_uid == 0:
            left += [*data.glob(f"{name}/**/*"), data / name]
    for path in left:
        found = path.lstat()
        alone = stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
        if found.st_uid == 0 and alone and not path.name.startswith("practice."):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    (data / "practice").chmod(0o711)
    for name in ("", "run", "log"):
        os.chown(data / name, 0, account.gid)
        (data / name).chmod(0o1770)
    _make_files(data)


def _make_files(data: Path) -> None:
    """What must be there before root is given up."""
    seal.signing_key(data)
    seal.ensure_keys(data)
    (data / "run" / LOCK).touch(mode=0o600)


def _unwritable(data: Path, error: OSError) -> str:
    name = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else "root"
    try:
        group = grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        group = str(os.getegid())
    fix = f"chown -R {name}:{group} {data}"
    return (
        f"The data folder {data} cannot be written by {name} ({error.strerror}). "
        f"Choose another with MAILADMIN_DATA, or type as root: {fix}"
    )
