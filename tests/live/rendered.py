"""A real host that runs what `deploy.render` renders, without the console's database.

The helper is asked directly, as root on the host; the certificate authority is the test's own.
"""

import imaplib
import json
import poplib
import smtplib
import ssl
import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from deploy.hostctl import paths
from deploy.practice import Machine
from deploy.render import render
from deploy.render.values import HostConfig, Snapshot, TlsFiles

PASSWORD = "larch umbrella 91 cobalt"
HASH = "{ARGON2ID}" + PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
DOMAIN = "example.test"


class HelperRefused(Exception):
    pass


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """A root and an issuing authority below it; clients know the root alone."""

    def __init__(self) -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._issuing_key = ec.generate_private_key(ec.SECP256R1())
        self._issuing_name = _name("Test Issuing")
        root_name = _name("Test Root")
        self.root = self._make(root_name, root_name, self._root_key.public_key(), self._root_key)
        self.issuing = self._make(
            self._issuing_name, root_name, self._issuing_key.public_key(), self._root_key
        )

    def sign(self, csr_pem: str, fqdn: str) -> x509.Certificate:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        return self._make(
            request.subject, self._issuing_name, request.public_key(), self._issuing_key, fqdn
        )

    @staticmethod
    def _make(
        subject: x509.Name,
        issuer: x509.Name,
        public_key: Any,
        key: ec.EllipticCurvePrivateKey,
        fqdn: str = "",
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=not fqdn, path_length=None), critical=True)
        )
        if fqdn:
            names = x509.SubjectAlternativeName([x509.DNSName(fqdn)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Deployed:
    """One host with the account database of `example.test` and a generation of ours."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.uuid = str(uuid.uuid4())
        self.sequence = 0
        self.change = 0
        self.generation = 0
        self.snapshot: Snapshot | None = None
        self.authority = Authority()
        key = ed25519.Ed25519PrivateKey.generate().public_key()
        machine.authorize(
            key.public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            ).decode()
        )

    # --- the helper ------------------------------------------------------------------------------

    def ask(self, verb: str, payload: bytes = b"", **fields: Any) -> dict[str, Any]:
        self.sequence += 1
        header = {"v": 1, "verb": verb, "host": self.uuid, "sequence": self.sequence, **fields}
        said = self.machine.run(
            [paths.HELPER], input=json.dumps(header).encode() + b"\n" + payload, check=False
        )
        events = [json.loads(line) for line in said.stdout.splitlines()]
        if not events or events[-1]["event"] != "result":
            raise HelperRefused(f"{verb}: {events[-1:] or said.stderr} after {events[:-1]}")
        result: dict[str, Any] = events[-1]
        return result

    def accounts(self, *rows: dict[str, Any], end_sessions: tuple[str, ...] = ()) -> dict[str, Any]:
        first = self.change == 0
        before, self.change = self.change, self.change + 1
        return self.ask(
            "accounts",
            "".join(json.dumps(row) + "\n" for row in rows).encode(),
            lineage="11111111-2222-3333-4444-555555555555",
            from_change=before,
            through_change=self.change,
            whole=first,
            end_sessions=list(end_sessions),
        )

    def deploy(self, **settings: Any) -> Snapshot:
        fqdn = self.machine.fqdn
        if self.machine.release.endswith("-postfix"):
            settings.setdefault("mta", "postfix")
        made = self.ask("csr", names=[fqdn], kind="p256")
        leaf = self.authority.sign(made["csr"], fqdn)
        snapshot = Snapshot(
            host=HostConfig(fqdn=fqdn, **settings),
            tls=TlsFiles(
                chain_pem=pem(leaf) + pem(self.authority.issuing),
                ca_pem=pem(self.authority.issuing) + pem(self.authority.root),
                key_id=made["key_id"],
                fingerprint_sha256=leaf.fingerprint(hashes.SHA256()).hex(),
            ),
        )
        bundle = render(snapshot)
        base, self.generation = self.generation, self.generation + 1
        self.ask(
            "stage",
            bundle.tar(),
            generation=self.generation,
            base=base,
            key=made["key_id"],
            digest=bundle.digest,
        )
        self.ask("validate", generation=self.generation)
        self.ask("switch", generation=self.generation, base=base, deadline=120)
        self.ask("confirm", generation=self.generation)
        return snapshot

    # --- clients ---------------------------------------------------------------------------------

    @property
    def tls(self) -> ssl.SSLContext:
        """Trusts the test's root and nothing else; the name is checked against the address's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=pem(self.authority.root).decode())
        context.check_hostname = False
        return context

    def smtp(self, port: int, *, source: str = "") -> smtplib.SMTP:
        address = (source, 0) if source else None
        if port == 465:
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                self.machine.address, port, timeout=20, context=self.tls, source_address=address
            )
        else:
            client = smtplib.SMTP(self.machine.address, port, timeout=20, source_address=address)
        client.ehlo()
        return client

    def signed_in(self, address: str, *, port: int = 587, password: str = PASSWORD) -> smtplib.SMTP:
        client = self.smtp(port)
        if port == 587:
            client.starttls(context=self.tls)
            client.ehlo()  # auth() takes Postfix's 503 "EHLO first" for success
        client.user, client.password = address, password
        client.auth("PLAIN", client.auth_plain)  # one try: login() would ask by LOGIN again
        return client

    def imap(self, address: str, password: str = PASSWORD) -> imaplib.IMAP4:
        client = imaplib.IMAP4_SSL(self.machine.address, 993, ssl_context=self.tls, timeout=20)
        client.login(address, password)
        return client

    def pop3(self, address: str, password: str = PASSWORD) -> poplib.POP3:
        client = poplib.POP3_SSL(self.machine.address, 995, context=self.tls, timeout=20)
        client.user(address)
        client.pass_(password)
        return client

    def mailbox_holds(self, address: str, text: str, seconds: float = 10) -> bool:
        until = time.monotonic() + seconds
        client = self.imap(address)
        try:
            while True:
                client.select("INBOX")
                _, found = client.search(None, "TEXT", f'"{text}"')
                if found[0]:
                    return True
                if time.monotonic() > until:
                    return False
                time.sleep(0.1)
        finally:
            client.logout()

    def run(self, *argv: str, **keywords: Any) -> "subprocess.CompletedProcess[str]":
        return self.machine.run(list(argv), **keywords)

    def log(self) -> str:
        return self.run("cat", "/var/log/mail.log").stdout


def mailbox(address: str, **differs: Any) -> dict[str, Any]:
    row = {
        "address": address,
        "password": HASH,
        "can_login": True,
        "can_send": True,
        "receives": True,
        "quota_bytes": 0,
    }
    return {"mailbox": {**row, **differs}}


def suspended(address: str) -> dict[str, Any]:
    return mailbox(address, can_login=False, can_send=False)


ROWS = (
    {"domain": {"name": DOMAIN}},
    mailbox("alice@example.test"),
    mailbox("bob@example.test", quota_bytes=50_000_000),
    mailbox("carol@example.test"),
    mailbox("dora@example.test"),
    mailbox("closed@example.test", receives=False),
    suspended("erin@example.test"),
    {"alias": {"address": "sales@example.test", "targets": ["alice@example.test"]}},
)
