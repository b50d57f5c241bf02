"""A host in a folder: the real helper on a real file system, with daemons that only pretend.

A pretended daemon behaves as the real ones do where it matters here: it reads its
configuration when it starts or reloads, refuses one that says BROKEN, and lives in files, so
that a test may kill the helper and look at it afterwards.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from deploy.hostctl import generations, paths, verbs
from deploy.hostctl.host import Host, Ran
from deploy.hostctl.host import run as really_run
from deploy.hostctl.services import Service, ServiceFailed

KEY = "41" * 16
UUID = "6f0d3f1e-1111-4111-8111-000000000001"
HASH = "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA"


class Daemon(Service):
    """`log` lists what it was told; `loaded` is the text it works with."""

    def __init__(self, layout: paths.Layout, name: str, config: str) -> None:
        super().__init__(layout)
        self.name = name
        self.config = layout.at(config) if config else None
        self.file = layout.root / "daemons" / name

    @property
    def state(self) -> dict[str, Any]:
        if not self.file.exists():
            return {"up": False, "loaded": None, "log": []}
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found

    def _store(self, **values: Any) -> None:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(json.dumps({**self.state, **values}))

    @property
    def loaded(self) -> str | None:
        return self.state["loaded"] if self.state["up"] else None

    @property
    def log(self) -> list[str]:
        found: list[str] = self.state["log"]
        return found

    def pid(self) -> int | None:
        return 4711 if self.state["up"] else None

    def _read(self, act: str) -> None:
        text = self.config.read_text() if self.config is not None else ""
        self._store(log=[*self.log, act])
        if "BROKEN" in text:
            self._store(up=False)
            raise ServiceFailed(f"{self.name} is not running any more.")
        self._store(up=True, loaded=text)

    def start(self, ports: frozenset[int] = frozenset()) -> None:
        if not self.state["up"]:
            self._read("start")

    def reload(self, ports: frozenset[int] = frozenset()) -> None:
        self._read("reload" if self.state["up"] else "start")

    def restart(self, ports: frozenset[int] = frozenset()) -> None:
        self._read("restart")

    def stop(self) -> None:
        self._store(up=False, log=[*self.log, "stop"])


def daemons(layout: paths.Layout) -> dict[str, Daemon]:
    made = [
        Daemon(layout, "dovecot", "/etc/dovecot/dovecot.conf"),
        Daemon(layout, "bridge", ""),
        Daemon(layout, "postfix", "/etc/postfix/main.cf")
        if layout.mta == "postfix"
        else Daemon(layout, "sendmail", "/etc/mail/sendmail.cf"),
    ]
    return {daemon.name: daemon for daemon in made}


class Commands:
    """Runs `openssl`; makes a map a text file; knows a name; anything else is a mistake."""

    def __init__(self) -> None:
        self.kicked: list[str] = []
        self.logged_in: set[str] = set()
        self.maps_built: list[str] = []
        self.maps_edited: list[str] = []

    def __call__(self, argv: list[str], **options: Any) -> Ran:
        program = Path(argv[0]).name
        if program == "openssl":
            return really_run(["openssl", *argv[1:]], **options)
        if program == "makemap":
            return self._makemap(argv, options["stdin"])
        if program == "editmap":
            return self._editmap(argv)
        if program == "getent":
            return Ran(0, b"192.0.2.1 mail.example.test mail\n")
        if program == "dovecot":
            return Ran(0, b"2.4.1-4 (7d8c0e5759)\n")
        if program == "dpkg-query":
            return Ran(0, b"ii 8.18.1-6")
        if program == "rpm":
            return Ran(0, b"ii 8.18.2")
        if argv[1:] == ["who"]:
            rows = "".join(f"{name} 1 imap (1) (192.0.2.9)\n" for name in self.logged_in)
            return Ran(0, ("username # proto (pids) (ips)\n" + rows).encode())
        if argv[1:2] == ["kick"]:
            self.kicked.append(argv[2])
            return Ran(0 if argv[2] in self.logged_in else 68)
        raise AssertionError(f"nobody expected {argv}")

    def _makemap(self, argv: list[str], stdin: bytes) -> Ran:
        keys = [line.split("\t")[0].lower() for line in stdin.decode().splitlines()]
        if len(keys) != len(set(keys)):
            return Ran(65, b"", b"makemap: duplicate key")
        Path(argv[2] + ".db").write_bytes(stdin)
        self.maps_built.append(Path(argv[2]).name.strip(".").removesuffix(".new"))
        return Ran(0)

    def _editmap(self, argv: list[str]) -> Ran:
        """`editmap -x|-u hash NAME KEY [VALUE]`; a key that is not there is no error to -x."""
        path = Path(argv[3] + ".db")
        rows = dict(line.split("\t") for line in path.read_text().splitlines())
        if argv[1] == "-x":
            rows.pop(argv[4], None)
        else:
            rows[argv[4]] = argv[5]
        path.write_text("".join(f"{key}\t{value}\n" for key, value in rows.items()))
        self.maps_edited.append(path.stem)
        return Ran(0)


class FakeHost(Host):
    services: dict[str, Daemon]  # type: ignore[assignment]
    run: Commands  # type: ignore[assignment]

    def __init__(self, root: Path) -> None:
        layout = paths.Layout(root)
        self.events: list[dict[str, Any]] = []
        super().__init__(layout, daemons(layout), Commands(), self.events.append, ["/nowhere"])
        self.spawn = self._spawn
        self.prepare()
        (layout.keys / f"{KEY}.key").write_text("not a real key")

    def _spawn(self, argv: list[str]) -> None:
        self.run(argv)

    def again(self) -> FakeHost:
        """As the next start of the helper sees it."""
        return FakeHost(self.layout.root)

    def before(self) -> None:
        """A system's own configuration, with both daemons running on it."""
        cf = self.layout.at("/etc/mail/sendmail.cf")
        cf.parent.mkdir(parents=True)
        cf.write_text("the system's own cf")
        conf = self.layout.at("/etc/dovecot/dovecot.conf")
        conf.parent.mkdir(parents=True)
        conf.with_name("elsewhere.conf").write_text("the system's own conf")
        conf.symlink_to("elsewhere.conf")
        for name in ("sendmail", "dovecot"):
            self.services[name].start()

    def stage(self, number: int, base: int, text: str = "", *, validated: bool = True) -> None:
        files = bundle(text or f"generation {number}")
        generations.stage(
            self,
            generation=number,
            base=base,
            key=KEY,
            digest=generations.digest_of(files),
            files=files,
            dovecot_version="2.4.1",
        )
        folder = self.layout.generation(number)
        (folder / paths.BUILT_CF).write_text(f"cf of {text or f'generation {number}'}")
        values = generations.manifest(self, number)
        assert values is not None
        generations.write_manifest(self, folder, {**values, "validated": validated})

    def ask(self, verb: str, payload: bytes = b"", **fields: Any) -> dict[str, Any]:
        header = {"v": 1, "verb": verb, "host": UUID, **fields}
        return verbs.serve(self, io.BytesIO(json.dumps(header).encode() + b"\n" + payload))


def bundle(text: str) -> dict[str, bytes]:
    return {
        "sendmail/sendmail.mc": f"mc of {text} in @GENERATION@".encode(),
        "sendmail/Sendmail.conf": b"pwcheck_method: saslauthd\n",
        "dovecot/dovecot23.conf": f"2.3 conf of {text}".encode(),
        "dovecot/dovecot24.conf": f"2.4 conf of {text} in @GENERATION@".encode(),
        "tls/chain.pem": b"chain",
        "tls/ca.pem": b"ca",
    }


def tar_of(members: list[tarfile.TarInfo], contents: dict[str, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in members:
            content = (contents or {}).get(member.name, b"")
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def authority(folder: Path) -> None:
    """A root that signs, in `folder`: ca.pem, ca.key."""
    openssl(
        folder, "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key"
        " -out ca.pem -subj /CN=Root -days 30 -addext keyUsage=critical,keyCertSign",
    )  # fmt: skip


def openssl(folder: Path, line: str) -> None:
    done = subprocess.run(["openssl", *line.split()], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
