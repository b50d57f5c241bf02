"""What a probe calls right and what it calls wrong, against servers that misbehave on purpose.

That real daemons pass them is shown in `tests/live`.
"""

import base64
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from deploy import probes
from deploy.plan import Probe
from deploy.probes.tls import roots
from deploy.probes.values import Place

FQDN = "mail1.example.test"


@dataclass(frozen=True)
class Made:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def make(name: str, above: Made | None = None, *, days: int = 30, leaf: bool = False) -> Made:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above.certificate.subject if above else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not leaf, path_length=None), critical=True)
    )
    if leaf:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    return Made(builder.sign(above.key if above else key, hashes.SHA256()), key)


@dataclass(frozen=True)
class Family:
    root: Made
    middle: Made
    leaf: Made


@pytest.fixture(scope="module")
def family() -> Family:
    root = make("Root")
    middle = make("Middle", root)
    return Family(root, middle, make(FQDN, middle, leaf=True))


TLS_NOW = {"STARTTLS": "220", "p STARTTLS": "p OK", "STLS": "+OK"}


@dataclass
class Daemon:
    """A mail server of a few lines. `replies` overrides what it says to a command."""

    folder: Path
    chain: bytes
    key: ec.EllipticCurvePrivateKey
    implicit: bool = False
    greeting: str = "220 here"
    features: list[str] = field(default_factory=lambda: ["STARTTLS"])
    secure_features: list[str] = field(default_factory=lambda: ["AUTH PLAIN"])
    replies: dict[str, str] = field(default_factory=dict)
    weak: str = ""
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def serve(self, chain: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        self.chain, self.key = chain, key

    def _context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        path = self.folder / f"{threading.get_ident()}.pem"
        secret = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(self.chain + secret)
        made.load_cert_chain(path)
        if self.weak:
            made.maximum_version = ssl.TLSVersion.TLSv1_2
            made.set_ciphers(f"{self.weak}:@SECLEVEL=0")
        return made

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        secure = False
        try:
            if self.implicit:
                connection, secure = self._context().wrap_socket(connection, server_side=True), True
            connection.sendall(self.greeting.encode() + b"\r\n")
            stream = connection.makefile("rb")
            while line := stream.readline().decode().strip():
                answer = self._answer(line, secure)
                connection.sendall(answer.encode() + b"\r\n")
                if line in TLS_NOW and answer.startswith(TLS_NOW[line]):
                    connection = self._context().wrap_socket(connection, server_side=True)
                    secure, stream = True, connection.makefile("rb")
        except OSError:
            pass
        finally:
            connection.close()

    def _answer(self, line: str, secure: bool) -> str:
        for start, reply in self.replies.items():
            if line.startswith(start):
                return reply
        if line.startswith("EHLO"):
            offered = ["here", *(self.secure_features if secure else self.features)]
            return "\r\n".join([f"250-{each}" for each in offered[:-1]] + [f"250 {offered[-1]}"])
        if line == "STARTTLS":
            return "220 go"
        if line.startswith("AUTH"):
            return "535 no" if secure else "503 not here"
        if line.startswith("RCPT TO:<postmaster@"):
            return "250 ok"
        if line.startswith("RCPT"):
            return "550 5.7.1 Relaying denied"
        return "250 ok"

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def daemon(tmp_path: Path, family: Family) -> Iterator[Callable[..., Daemon]]:
    made: list[Daemon] = []

    def start(kind: type[Daemon] = Daemon, **options: object) -> Daemon:
        chain = family.leaf.pem + family.middle.pem
        made.append(kind(tmp_path, chain, family.leaf.key, **options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for each in made:
        each.close()


def place(family: Family, **more: object) -> Place:
    fields = {"address": "127.0.0.1", "fqdn": FQDN, "ca_pem": family.root.pem, "patience": 0.4}
    login = {"login": "probe@example.test", "password": "right"}
    return Place(**(fields | login | more))  # type: ignore[arg-type]


def ask(kind: str, daemon: Daemon, where: Place, expect: str = "", protocol: str = "smtp"):
    return probes.ask(Probe(kind, protocol, daemon.port, expect), where)  # type: ignore[arg-type]


# TLS


def test_the_certificate_just_deployed_is_proved(daemon, family) -> None:
    result = ask("starttls", daemon(), place(family), family.leaf.fingerprint)
    assert result.ok, result.evidence
    assert result.fingerprint == family.leaf.fingerprint
    result = ask(
        "tls", daemon(implicit=True), place(family), family.leaf.fingerprint, "submissions"
    )
    assert result.ok, result.evidence


def test_another_certificate_is_not(daemon, family) -> None:
    result = ask("starttls", daemon(), place(family), "00" * 32)
    assert not result.ok
    assert family.leaf.fingerprint in result.evidence


def test_a_daemon_that_still_serves_the_old_one_gets_a_moment(daemon, family) -> None:
    old = make(FQDN, family.middle, leaf=True)
    late = daemon()
    late.serve(old.pem + family.middle.pem, old.key)

    def reload() -> None:
        time.sleep(0.5)
        late.serve(family.leaf.pem + family.middle.pem, family.leaf.key)

    threading.Thread(target=reload).start()
    result = ask("starttls", late, place(family, patience=5), family.leaf.fingerprint)
    assert result.ok, result.evidence
    assert late.connections > 1


@pytest.mark.parametrize("what", ["no intermediate", "other root", "other name", "expired"])
def test_what_a_client_would_refuse_is_refused(daemon, family, what) -> None:
    served, where = daemon(), place(family)
    leaf = family.leaf
    if what == "no intermediate":
        served.serve(leaf.pem, leaf.key)
    elif what == "other root":
        where = place(family, ca_pem=make("Other").pem)
    elif what == "other name":
        where = place(family, fqdn="other.example.test")
    else:
        leaf = make(FQDN, family.middle, days=-1, leaf=True)
        served.serve(leaf.pem + family.middle.pem, leaf.key)
    result = ask("starttls", served, where, leaf.fingerprint)
    assert not result.ok
    assert "certificate refused" in result.evidence


def test_the_client_trusts_the_root_alone(family) -> None:
    assert roots(family.middle.pem + family.root.pem) == family.root.pem


def test_a_daemon_without_a_usable_key_offers_no_starttls(daemon, family) -> None:
    result = ask("starttls", daemon(features=["SIZE"]), place(family), family.leaf.fingerprint)
    assert (result.ok, result.evidence) == (False, "STARTTLS is not offered")


def test_nobody_listening_is_waited_for_and_then_said(family) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.monotonic()
    result = probes.ask(Probe("tls", "imaps", port, "x"), place(family, patience=1.0))
    assert not result.ok
    assert "refused" in result.evidence.lower()
    assert 0.5 < time.monotonic() - began < 3


# Signing in


def test_auth_in_clear_must_be_neither_offered_nor_taken(daemon, family) -> None:
    assert ask("auth_in_clear", daemon(), place(family)).ok
    offered = daemon(features=["STARTTLS", "AUTH PLAIN LOGIN"])
    assert "offered: AUTH PLAIN LOGIN" in ask("auth_in_clear", offered, place(family)).evidence
    silent = daemon(replies={"AUTH": "235 welcome"})
    assert not ask("auth_in_clear", silent, place(family)).ok


def test_the_right_password_must_open(daemon, family) -> None:
    good = daemon(replies={"AUTH": "235 welcome"})
    assert ask("auth_right", good, place(family), protocol="submission").ok
    assert not ask("auth_right", daemon(), place(family), protocol="submission").ok


def test_a_wrong_password_must_not(daemon, family) -> None:
    assert ask("auth_wrong", daemon(), place(family), protocol="submission").ok
    anything = daemon(replies={"AUTH": "235 welcome"})
    assert not ask("auth_wrong", anything, place(family), protocol="submission").ok
    broken = daemon(replies={"AUTH": "454 later"})
    assert not ask("auth_wrong", broken, place(family), protocol="submission").ok


# The gate


def test_an_unknown_recipient_must_be_refused_at_once(daemon, family) -> None:
    assert ask("unknown_recipient", daemon(), place(family)).ok
    for reply in ("250 ok", "450 later"):
        accepting = daemon(replies={"RCPT": reply})
        assert not ask("unknown_recipient", accepting, place(family)).ok
    assert ask(
        "unknown_recipient", daemon(replies={"RCPT": "250 ok"}), place(family, catch_all=True)
    ).ok


def test_the_postmaster_must_be_reachable(daemon, family) -> None:
    assert ask("postmaster", daemon(), place(family)).ok
    assert not ask("postmaster", daemon(replies={"RCPT": "550 no"}), place(family)).ok


@pytest.mark.parametrize(
    "replies",
    [
        {"RCPT TO:<somebody@relay-probe.invalid>": "250 ok"},
        {"RCPT TO:<somebody%relay-probe.invalid@": "250 ok"},
        {"RCPT": "450 later"},
    ],
)
def test_relaying_in_any_form_is_found(daemon, family, replies) -> None:
    assert ask("relay", daemon(), place(family)).ok
    assert not ask("relay", daemon(replies=replies), place(family)).ok


# IMAP and POP3


def imap(**replies: str) -> dict[str, object]:
    return {
        "greeting": "* OK here",
        "replies": {f"p {name}": said for name, said in replies.items()},
    }


def test_imap_and_pop3_are_asked_in_their_own_tongue(daemon, family) -> None:
    where, seen = place(family), family.leaf.fingerprint
    assert ask("tls", daemon(implicit=True, **imap()), where, seen, "imaps").ok
    right = daemon(implicit=True, **imap(LOGIN="p OK [CAPABILITY] Logged in", LOGOUT="p OK bye"))
    assert ask("auth_right", right, where, protocol="imaps").evidence == "Logged in"
    wrong = daemon(implicit=True, **imap(LOGIN="p NO [AUTHENTICATIONFAILED] No."))
    assert not ask("auth_right", wrong, where, protocol="imaps").ok
    pop = daemon(implicit=True, greeting="+OK here", replies={"USER": "+OK", "PASS": "+OK in"})
    assert ask("tls", pop, where, seen, "pop3s").ok
    assert ask("auth_right", pop, where, protocol="pop3s").ok
    refusing = daemon(implicit=True, greeting="+OK", replies={"USER": "+OK", "PASS": "-ERR no"})
    assert not ask("auth_right", refusing, where, protocol="pop3s").ok


def test_imap_and_pop3_start_tls_in_their_own_tongue(daemon, family) -> None:
    where, seen = place(family), family.leaf.fingerprint
    for protocol, options in (
        ("imap", imap(STARTTLS="p OK Begin")),
        ("pop3", {"greeting": "+OK here", "replies": {"STLS": "+OK Begin"}}),
    ):
        assert ask("starttls", daemon(**options), where, seen, protocol).ok
        assert not ask("starttls", daemon(**options), where, "00" * 32, protocol).ok
    without = daemon(**imap(STARTTLS="p BAD no certificate"))
    result = ask("starttls", without, where, seen, "imap")
    assert (result.ok, result.evidence) == (False, "p BAD no certificate")
    without = daemon(greeting="+OK here", replies={"STLS": "-ERR no"})
    assert ask("starttls", without, where, seen, "pop3").evidence == "-ERR no"


DISABLED = "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\np OK"


def test_imap_in_clear_must_disable_login_and_refuse_it(daemon, family) -> None:
    def answer(**said: str):
        return ask("auth_in_clear", daemon(**imap(**said)), place(family), protocol="imap")

    assert answer(CAPABILITY=DISABLED, LOGIN="p NO [PRIVACYREQUIRED] Not here").ok
    offering = answer(CAPABILITY="* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\np OK", LOGIN="p NO")
    assert not offering.ok and "offered" in offering.evidence
    assert not answer(CAPABILITY=DISABLED, LOGIN="p OK welcome").ok


def test_pop3_in_clear_must_refuse_a_user(daemon, family) -> None:
    for reply, ok in (("-ERR [AUTH] Not here", True), ("+OK", False)):
        served = daemon(greeting="+OK", replies={"USER": reply})
        assert ask("auth_in_clear", served, place(family), protocol="pop3").ok is ok


def test_all_are_asked_together_and_the_caller_is_kept_awake(daemon, family) -> None:
    slow = daemon(replies={"RCPT": "450 later"})
    asked = [Probe("unknown_recipient", "smtp", slow.port, "550")] * 5
    beats: list[int] = []
    began = time.monotonic()
    where = place(family, patience=1.0)
    results = list(probes.run(asked, where, beat=lambda: beats.append(1)))
    assert len(results) == 5
    assert time.monotonic() - began < 4
    assert beats


def test_a_wrong_password_comes_after_the_right_ones(daemon, family) -> None:
    class Guarded(Daemon):
        """Keeps everybody waiting after a wrong password, as Dovecot does behind Postfix."""

        wrong_at = 0.0

        def _answer(self, line: str, secure: bool) -> str:
            if line.startswith("AUTH") and secure:
                if base64.b64decode(line.split(" ")[2]).endswith(b"\0right"):
                    time.sleep(0.3)
                    late = self.wrong_at and time.monotonic() - self.wrong_at < 5
                    return "454 wait" if late else "235 welcome"
                self.wrong_at = time.monotonic()
                return "535 no"
            return super()._answer(line, secure)

    guard = daemon(kind=Guarded)
    asked = [
        Probe("auth_wrong", "submission", guard.port, "535"),
        *[Probe("auth_right", "submission", guard.port, "235")] * 3,
    ]
    results = list(probes.run(asked, place(family)))
    assert [each.kind for each in results][-1] == "auth_wrong"
    assert len(results) == 4 and all(each.ok for each in results), results


def test_a_line_without_an_end_does_not_fill_the_memory(daemon, family) -> None:
    endless = daemon(greeting="220 " + "x" * 20_000)
    assert "a line without an end" in ask("relay", endless, place(family)).evidence


ALL_WAYS = [
    ("imaps", {"implicit": True}),
    ("submission", {}),
    ("imap", imap(STARTTLS="p OK Begin")),
    ("pop3", {"greeting": "+OK here", "replies": {"STLS": "+OK Begin"}}),
]


@pytest.mark.parametrize("kind", ["old_tls", "weak_tls"])
@pytest.mark.parametrize(("protocol", "options"), ALL_WAYS)
def test_what_is_old_or_weak_must_be_refused(daemon, family, kind, protocol, options) -> None:
    result = ask(kind, daemon(**options), place(family), protocol=protocol)
    assert result.ok, result.evidence


@pytest.mark.parametrize(
    ("suites", "named"),
    [("aNULL", "anon"), ("eNULL", "NULL"), ("AECDH-AES256-SHA", "ECDH_anon_WITH_AES_256_CBC_SHA")],
)
@pytest.mark.parametrize(("protocol", "options"), ALL_WAYS)
def test_a_weak_suite_is_found_and_named(daemon, family, suites, named, protocol, options) -> None:
    served = daemon(weak=suites, **options)
    result = ask("weak_tls", served, place(family), protocol=protocol)
    assert not result.ok
    assert result.evidence.startswith("agreed: TLS 1.2 ") and named in result.evidence


def test_a_port_without_tls_has_not_refused_anything(daemon, family) -> None:
    plain = daemon(replies={"STARTTLS": "502 no"})
    assert not ask("weak_tls", plain, place(family), protocol="submission").ok


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        # ServerHello, TLS 1.1, no session id, RC4.
        ("160302002a020000260302" + "00" * 32 + "000005", "TLS 1.1 RSA_WITH_RC4_128_SHA"),
        # TLS 1.0, a session id of 32 bytes, a suite that is not weak.
        ("160301004a020000460301" + "00" * 32 + "20" + "11" * 32 + "002f", "TLS 1.0 0x002F"),
        ("15030200020246", "alert 70"),
        ("323230206865726520", "no TLS: b'220 here '"),
        ("", "connection closed"),
    ],
)
def test_what_answers_a_hello_is_told_apart(family, answer: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _peer = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(bytes.fromhex(answer))

        threading.Thread(target=serve, daemon=True).start()
        where = place(family, patience=0.0)
        probe = Probe("old_tls", "pop3s", listener.getsockname()[1], "")
        result = probes.ask(probe, where)
    assert result.evidence.removeprefix("agreed: ") == said
    assert result.ok is (said in ("alert 70", "connection closed"))


def test_the_end_of_the_served_certificate_is_told(daemon, family) -> None:
    result = ask("starttls", daemon(), place(family), family.leaf.fingerprint)
    end = family.leaf.certificate.not_valid_after_utc
    assert result.not_after == end
    assert f"notAfter {end:%Y-%m-%d}" in result.evidence and "TLSv1.3 TLS_" in result.evidence
