"""Rows that a host's pages and verbs work on, and a helper that answers from a script."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from ca import authorities, issuance, keystore, tasks
from ca.models import Certificate, Issuer, Order
from ca.wishes import AuthorityWish, Wish
from deploy import enrolment
from deploy.models import AccountPush, Host
from deploy.transport import Event, HostError

FACTS = {
    "helper": "1",
    "hostname": "mail1.example.test",
    "fqdn_ok": True,
    "os": "debian 12",
    "sendmail": "8.17.1.9",
    "dovecot": "2.3.19.1",
    "generation": None,
    "drift": [],
    "accounts": {"lineage": None, "through_change": 0, "mailboxes": 0},
    "services": {name: {"running": False} for name in ("sendmail", "dovecot", "bridge")},
    "pending": None,
    "last": None,
}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7vX3cJkAxS8b2cHVUK4ZDYwHX4OcRSLRJ9bXa0Wr0T"


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def issuer(owner, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Issuer:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    keystore.forget()
    ceremony = authorities.request_hierarchy(
        wish=Wish(
            root=AuthorityWish("Example Root", "p256", 7305),
            issuing=AuthorityWish("Example Issuing", "p256", 1826),
            permitted=("example.test",),
            origin="http://pki.example.test",
        ),
        unconstrained=False,
        passphrase="six honest serving men",
        by=owner,
        at=now,
    )
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.made is not None, ceremony.reason
    return ceremony.made


def csr_for(name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.DNSName(name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.add_extension(san, critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


@pytest.fixture
def issue(issuer: Issuer, owner) -> Callable[[str], Certificate]:  # type: ignore[no-untyped-def]
    def issue(name: str = "mail1.example.test") -> Certificate:
        at = timezone.now()
        order = issuance.request(
            profile="host", names=[name], issuer=issuer, csr_pem=csr_for(name), by=owner, at=at
        )
        tasks.sign_order(order.pk)
        certificate = Order.objects.get(pk=order.pk).certificate
        assert certificate is not None
        return certificate

    return issue


@pytest.fixture
def host(owner, now: datetime) -> Host:  # type: ignore[no-untyped-def]
    """Connected, without a certificate; its services do not run yet."""
    made = enrolment.add(
        fqdn="mail1.example.test", address="192.0.2.2", ssh_port=22, by=owner, at=now
    )
    made.jobs.all().delete()
    enrolment.give_key(made)
    Host.objects.filter(pk=made.pk).update(
        state=Host.READY, host_key=HOST_KEY, facts=FACTS, facts_at=now
    )
    made.refresh_from_db()
    return made


@pytest.fixture
def certified(host: Host, issue: Callable[..., Certificate]) -> Host:
    Host.objects.filter(pk=host.pk).update(certificate=issue())
    host.refresh_from_db()
    return host


@pytest.fixture
def hosts(issue: Callable[..., Certificate], owner, now: datetime) -> list[Host]:  # type: ignore[no-untyped-def]
    """mail1 to mail4, each with a certificate of its own and its accounts there."""
    made = []
    for number in range(1, 5):
        name = f"mail{number}.example.test"
        row = enrolment.add(fqdn=name, address=f"192.0.2.{number}", ssh_port=22, by=owner, at=now)
        row.jobs.all().delete()
        enrolment.give_key(row)
        facts = {**FACTS, "hostname": name}
        Host.objects.filter(pk=row.pk).update(
            state=Host.READY, host_key=HOST_KEY, facts=facts, facts_at=now, certificate=issue(name)
        )
        row.refresh_from_db()
        current(row)
        made.append(row)
    return made


@pytest.fixture
def deployed(certified: Host, owner, now: datetime) -> Host:  # type: ignore[no-untyped-def]
    """Its first generation is live."""
    from tests.deploy import drifting

    drifting.deploy_first(certified, owner, now)
    return certified


@pytest.fixture
def changed(deployed: Host, now: datetime) -> Host:
    """Somebody edited a file of its generation."""
    from tests.deploy import drifting

    return drifting.edit(deployed, now)


@dataclass
class Expected:
    """A request that must come next, and what the helper answers: events, or what is raised."""

    verb: str
    answer: list[Event] | BaseException | Callable[[Mapping[str, Any]], Any]


@dataclass
class ScriptedHelper:
    """Stands for the host's helper. A request that the script does not expect fails the test."""

    script: list[Expected] = field(default_factory=list)
    seen: list[Mapping[str, Any]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    refuses: BaseException | None = None

    def expect(self, verb: str, answer: Any = None, **result: Any) -> "ScriptedHelper":
        if answer is None:
            answer = [{"event": "result", **result}]
        self.script.append(Expected(verb, answer))
        return self

    def connect(self, target: object) -> "ScriptedHelper":
        if self.refuses is not None:
            raise self.refuses
        return self

    def close(self) -> None:
        pass

    def call(
        self,
        header: Mapping[str, Any],
        payload: bytes = b"",
        *,
        seconds: float = 60,
        beat: Callable[[], None] = lambda: None,
    ) -> Iterator[Event]:
        beat()
        assert self.script, f"nothing expected, got {header['verb']}"
        expected = self.script.pop(0)
        assert header["verb"] == expected.verb, f"expected {expected.verb}, got {header}"
        self.seen.append(header)
        self.payloads.append(payload)
        answer = expected.answer
        if callable(answer) and not isinstance(answer, BaseException):
            answer = answer(header)
        if isinstance(answer, BaseException):
            raise answer
        yield from answer

    def done(self) -> None:
        assert not self.script, f"still expected: {[each.verb for each in self.script]}"


@pytest.fixture
def helper() -> ScriptedHelper:
    return ScriptedHelper()


def refusal(code: str, message: str = "No.", **more: Any) -> HostError:
    return HostError(code, message, {"event": "error", "code": code, "message": message, **more})


def current(host: Host, **fields: Any) -> AccountPush:
    """The host's accounts as they are after a first rollout."""
    AccountPush.objects.filter(host=host).update(
        **{"state": AccountPush.CURRENT, "lineage": "ab" * 16, **fields}
    )
    return AccountPush.objects.get(host=host)
