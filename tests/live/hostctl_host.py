"""A practice host seen by the tests of its helper: requests, certificates, configurations."""

from __future__ import annotations

import hashlib
import imaplib
import json
import smtplib
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy import render
from deploy.bundle import Bundle, fingerprint
from deploy.hostctl import paths
from deploy.practice import Machine
from deploy.render.values import HostConfig, Snapshot, TlsFiles

DOMAIN = "example.test"
PASSWORD = "correct-horse-1"
Event = dict[str, Any]


class HostError(Exception):
    def __init__(self, event: Event) -> None:
        super().__init__(f"{event['code']}: {event['message']}")
        self.code: str = event["code"]
        self.message: str = event["message"]
        self.event = event


class Authority:
    """A root, made with openssl; signs what a host asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key"
            " -out ca.pem -subj /CN=Root -days 30 -addext keyUsage=critical,keyCertSign,cRLSign"
        )
        self.pem = (folder / "ca.pem").read_bytes()

    def sign(self, request: str, name: str, *, days: int = 30) -> bytes:
        (self.folder / "request.pem").write_text(request)
        (self.folder / "ext").write_text(
            f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n"
            "keyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n"
        )
        self._openssl(
            f"x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days {days}"
            " -extfile ext -out cert.pem"
        )
        return (self.folder / "cert.pem").read_bytes()

    def _openssl(self, line: str) -> None:
        argv = ["openssl", *line.split()]
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


class MailHost:
    """`machine`, enrolled.  `ask` raises HostError; `steps` holds the last answer's steps."""

    def __init__(self, machine: Machine, folder: Path, key: str) -> None:
        self.machine = machine
        self.authority = Authority(folder)
        self.uuid = str(uuid.uuid4())
        self.sequence = 0
        self.steps: list[Event] = []
        self.generation = 0
        self.numbered = 0
        self.key_id = ""
        self.served = ""
        self.change = 0
        machine.authorize(key)

    def request(self, verb: str, payload: bytes = b"", **fields: Any) -> bytes:
        self.sequence += 1
        header = {"v": 1, "verb": verb, "host": self.uuid, "sequence": self.sequence, **fields}
        return json.dumps(header).encode() + b"\n" + payload

    def ask(self, verb: str, payload: bytes = b"", **fields: Any) -> Event:
        done = self.machine.run(
            [paths.HELPER], input=self.request(verb, payload, **fields), check=False, timeout=300
        )
        assert done.stderr in ("", b""), done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.steps = events[:-1]
        if events[-1]["event"] == "error":
            raise HostError(events[-1])
        result: Event = events[-1]
        return result

    # --- certificates and configurations ------------------------------------------------------

    def certificate(self, *, days: int = 30, name: str = "") -> TlsFiles:
        made = self.ask("csr", names=[self.machine.fqdn], kind="p256")
        chain = self.authority.sign(made["csr"], name or self.machine.fqdn, days=days)
        return TlsFiles(
            chain_pem=chain,
            ca_pem=self.authority.pem,
            key_id=made["key_id"],
            fingerprint_sha256=fingerprint(chain),
        )

    def bundle(self, tls: TlsFiles, **config: Any) -> Bundle:
        mta = "postfix" if self.machine.release.endswith("-postfix") else "sendmail"
        options = {"listen_inet6": (), "mta": mta, **config}
        host = HostConfig(fqdn=self.machine.fqdn, **options)
        return render.render(Snapshot(host=host, tls=tls))

    def stage(self, bundle: Bundle, key: str) -> int:
        self.numbered += 1
        number = self.numbered
        self.ask(
            "stage",
            bundle.tar(),
            generation=number,
            base=self.generation,
            key=key,
            digest=bundle.digest,
        )
        return number

    def prepare(self, **config: Any) -> tuple[int, TlsFiles]:
        """A validated generation with a new certificate, not live yet."""
        tls = self.certificate()
        number = self.stage(self.bundle(tls, **config), tls.key_id)
        self.ask("validate", generation=number)
        return number, tls

    def switch(self, number: int, deadline: int = 60) -> Event:
        return self.ask("switch", generation=number, base=self.generation, deadline=deadline)

    def deploy(self, **config: Any) -> TlsFiles:
        number, tls = self.prepare(**config)
        self.switch(number)
        self.ask("confirm", generation=number)
        self.generation, self.served = number, tls.fingerprint_sha256
        return tls

    # --- accounts ----------------------------------------------------------------------------

    def hash(self) -> str:
        done = self.machine.run(["doveadm", "pw", "-s", "SHA512-CRYPT", "-p", PASSWORD])
        text: str = done.stdout
        return text.strip()

    def accounts(self, *lines: Event, **fields: Any) -> Event:
        self.change += 1
        payload = "".join(json.dumps(line) + "\n" for line in lines).encode()
        options = {"from_change": self.change - 1, "whole": self.change == 1, **fields}
        return self.ask("accounts", payload, lineage="L", through_change=self.change, **options)

    def fill(self, *names: str) -> None:
        hashed = self.hash()
        self.accounts({"domain": {"name": DOMAIN}}, *(box(name, hashed) for name in names))

    # --- as clients see it -------------------------------------------------------------------

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.pem.decode())

    def smtp(self, port: int, *, tls: bool = False) -> smtplib.SMTP:
        """Verified against the root and the host's name; on 465 in TLS from the first byte."""
        address, name = self.machine.address, self.machine.fqdn

        class Client(smtplib.SMTP):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                made = socket.create_connection((address, port), timeout)
                return context.wrap_socket(made, server_hostname=name) if port == 465 else made

        context = self.context()
        client = Client(name, port, local_hostname="client.example.test", timeout=30)
        if tls:
            client.starttls(context=context)
        client.ehlo()
        return client

    def submission(self, user: str, password: str = PASSWORD) -> smtplib.SMTP:
        client = self.smtp(587, tls=True)
        client.login(f"{user}@{DOMAIN}", password)
        return client

    def imap(self, user: str, password: str = PASSWORD) -> imaplib.IMAP4:
        address, name, context = self.machine.address, self.machine.fqdn, self.context()

        class Client(imaplib.IMAP4_SSL):
            def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
                made = socket.create_connection((address, 993), 30)
                return context.wrap_socket(made, server_hostname=name)

        client = Client(name, 993, ssl_context=context)
        client.login(f"{user}@{DOMAIN}", password)
        return client

    def fingerprints(self) -> dict[int, str]:
        """SHA-256 of the certificate that each port serves; empty when there is no TLS."""
        return {port: self._fingerprint(port) for port in (25, 465, 587, 993, 995)}

    def _fingerprint(self, port: int) -> str:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            if port in (25, 587):
                plain = smtplib.SMTP(self.machine.address, port, "client.example.test", 20)
                plain.starttls(context=context)
                der = plain.sock.getpeercert(True)  # type: ignore[union-attr]
                plain.close()
            else:
                made = socket.create_connection((self.machine.address, port), 20)
                with context.wrap_socket(made) as wrapped:
                    der = wrapped.getpeercert(True)
        except (OSError, smtplib.SMTPException):
            return ""
        return hashlib.sha256(der).hexdigest()

    # --- from within -------------------------------------------------------------------------

    def journal(self) -> list[Event]:
        """The last switch's records, read beside the helper: asking it would make it act."""
        folder = self.machine.path(f"{paths.STATE}/journal")
        last = max(folder.glob("*.jsonl"))
        return [json.loads(line) for line in last.read_text().splitlines()]

    def outcome(self) -> str:
        return str(self.journal()[-1]["kind"])

    def current(self) -> int:
        link = self.machine.path(f"{paths.STATE}/current")
        return int(link.readlink().name) if link.is_symlink() else 0


def box(name: str, password: str, **changes: Any) -> Event:
    return {
        "mailbox": {
            "address": f"{name}@{DOMAIN}",
            "password": password,
            "can_login": True,
            "can_send": True,
            "receives": True,
            "quota_bytes": 0,
            **changes,
        }
    }


def until(true: Callable[[], bool], seconds: float = 20) -> float:
    """Seconds it took to become true."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, "it never came to pass"
        time.sleep(0.05)
    return time.monotonic() - started
