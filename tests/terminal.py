"""Somebody at a terminal: commands in processes of their own, with the console stopped."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
on_sqlite = pytest.mark.skipif(
    bool(os.environ.get("MAILADMIN_DATABASE_URL")), reason="they make a database of their own"
)

# One process that has Django loaded and forks for each command: as separate as a start of
# manage.py, without its second. The seal's costs are in its header: small ones do for a test.
STARTER = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "mailadmin.settings"
from mailadmin import privileges
import django
privileges.prepare()
django.setup()
from django.core.management import execute_from_command_line
from ca import keystore
import ca.tasks, ca.management.base, kombu.transport.redis
from django.db.migrations.loader import MigrationLoader
MigrationLoader(None)
keystore.PASSES, keystore.MEMORY_KIB = 1, 64
for line in sys.stdin:
    asked = json.loads(line)
    if (pid := os.fork()) == 0:
        for descriptor, path in ((1, asked["out"]), (2, asked["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        status = 0
        try:
            privileges.enter(asked["argv"])
            execute_from_command_line(asked["argv"])
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except BaseException:
            import traceback
            traceback.print_exc()
            status = 99
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    _pid, ended = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(ended), flush=True)
"""


@dataclass
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Exactly one object, and nothing else on standard output."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n"), self.out + self.err
        return json.loads(self.out)  # type: ignore[no-any-return]


@dataclass
class Terminal:
    """Somebody at a terminal, in a folder of his own."""

    folder: Path
    process: subprocess.Popen[str]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def run(self, *argv: str, **env: str) -> Answer:
        out, err = self.folder / ".out", self.folder / ".err"
        asked = {
            "argv": ["manage.py", *argv],
            "out": str(out),
            "err": str(err),
            "env": env,
            "cwd": str(self.folder),
        }
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        answer = Answer(status, out.read_text(), err.read_text())
        assert "Traceback" not in answer.err, answer.err
        return answer

    def does(self, *argv: str, **env: str) -> dict[str, Any]:
        answer = self.run(*argv, "--json", **env)
        assert answer.status == 0, answer.out + answer.err
        return answer.json

    def refuses(self, code: str, *argv: str, **env: str) -> str:
        """The sentence; status 1 and nothing but it, for scripts and for people alike."""
        answer = self.run(*argv, "--json", **env)
        assert answer.status == 1 and answer.json["code"] == code, answer.out + answer.err
        sentence = answer.json["error"]
        assert set(answer.json) == {"error", "code"} and sentence != code
        assert "%(" not in sentence
        return str(sentence)

    def write(self, name: str, content: str | bytes, mode: int = 0o600) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return name

    def openssl(self, *arguments: str) -> str:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, text=True
        )
        return done.stdout + done.stderr

    def verify(self, leaf: str, root: str, *options: str) -> str:
        strict = ["-x509_strict", "-auth_level", "2", "-purpose", "sslserver", *options]
        chain = str(Path(leaf).parent / "chain.pem")
        return self.openssl("verify", *strict, "-CAfile", root, "-untrusted", chain, leaf)

    def sql(self, statement: str, *values: object) -> list[Any]:
        with sqlite3.connect(self.data / "db.sqlite3") as database:
            found = database.execute(statement, values).fetchall()
        database.close()
        return found


@contextmanager
def started() -> Iterator[Terminal]:
    """A data folder that nothing has used yet; no console runs on it."""
    folder = Path(tempfile.mkdtemp(prefix="mailadmin-commands-"))
    folder.chmod(0o755)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAILADMIN_") and name != "DJANGO_SETTINGS_MODULE"
    }
    env = kept | {
        "MAILADMIN_DATA": str(folder / "data"),
        "MAILADMIN_PUBLIC_URL": "http://pki.example.test",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        cwd=CHECKOUT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    at = Terminal(folder, process)
    try:
        yield at
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)
