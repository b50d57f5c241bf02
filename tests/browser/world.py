"""A console in use, made by the apps' own verbs: what the pages are looked at with.

Two hosts (one live and proved, one whose rollout was rolled back), an authority and certificates,
domains, mailboxes in each state, an alias, events, a token. Nothing is sent to a host.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

PASSWORD = "kapim4-tovuz7-relof2-dasik9"
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
    "services": {name: {"running": True} for name in ("sendmail", "dovecot", "bridge")},
    "pending": None,
    "last": None,
}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7vX3cJkAxS8b2cHVUK4ZDYwHX4OcRSLRJ9bXa0Wr0T"
STEPS = [
    ("staging", "connect", True, "", 41),
    ("staging", "stage", True, "", 120),
    ("validating", "validate", True, "", 610),
    ("switching", "switch", True, "", 480),
    ("probing", "probe.starttls.submission", True, "TLS 1.3", 35),
    ("probing", "probe.tls.imaps", True, "TLS 1.3", 22),
]


@dataclass
class World:
    """The rows whose pages are looked at."""

    owner: Any
    host: Any
    broken: Any
    rollout: Any
    rolled_back: Any
    running: Any
    issuer: Any
    certificate: Any
    order: Any
    mailbox: Any
    suspended: Any
    helper: Any

    def paths(self) -> list[str]:
        host, broken = self.host.pk, self.broken.pk
        return [
            "/certificates/authorities/",
            "/certificates/authorities/new/",
            f"/certificates/authorities/{self.issuer.pk}/",
            f"/certificates/{self.certificate.pk}/",
            f"/certificates/orders/{self.order.pk}/",
            "/certificates/new/",
            "/settings/operators/",
            "/settings/operators/add/",
            f"/settings/operators/{self.owner.pk}/",
            f"/settings/operators/{self.helper.pk}/",
            "/hosts/add/",
            "/hosts/practice/",
            f"/hosts/{host}/",
            f"/hosts/{host}/plan/",
            f"/hosts/{host}/settings/",
            f"/hosts/{host}/generations/",
            f"/hosts/{host}/generations/1/",
            f"/hosts/{host}/certificate/",
            f"/hosts/{broken}/",
            f"/hosts/{broken}/lines/",
            f"/hosts/{broken}/remove/",
            f"/hosts/rollouts/{self.rollout.pk}/",
            f"/hosts/rollouts/{self.rolled_back.pk}/",
            f"/hosts/rollouts/{self.running.pk}/",
        ]


def csr_for(name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.DNSName(name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = builder.add_extension(san, critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def authority(owner: Any, at: Any) -> Any:
    from ca import authorities, tasks
    from ca.wishes import AuthorityWish, Wish

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
        at=at,
    )
    tasks.make_authority(ceremony.pk)
    ceremony.refresh_from_db()
    assert ceremony.made is not None, ceremony.reason
    return ceremony.made


def issue(name: str, issuer: Any, owner: Any, at: Any) -> Any:
    from ca import issuance, tasks

    order = issuance.request(
        profile="host", names=[name], issuer=issuer, csr_pem=csr_for(name), by=owner, at=at
    )
    tasks.sign_order(order.pk)
    order.refresh_from_db()
    assert order.certificate is not None, order.reason
    return order


def connected(fqdn: str, address: str, owner: Any, at: Any) -> Any:
    from deploy import enrolment
    from deploy.models import Host

    made = enrolment.add(fqdn=fqdn, address=address, ssh_port=22, by=owner, at=at)
    made.jobs.all().delete()
    enrolment.give_key(made)
    facts = {**FACTS, "hostname": fqdn}
    Host.objects.filter(pk=made.pk).update(
        state=Host.READY, host_key=HOST_KEY, facts=facts, facts_at=at
    )
    made.refresh_from_db()
    return made


def rolled(host: Any, state: str, owner: Any, at: Any, *, steps: int, **fields: Any) -> Any:
    """A rollout as a worker leaves it in `state`."""
    from deploy import rollout
    from deploy.models import Generation, HostRollout

    made = rollout.request(hosts=[host], by=owner, at=at, even_if_same=True)
    row = made.hosts.get()
    for phase, name, ok, detail, ms in STEPS[:steps]:
        row.steps.create(at=at, phase=phase, name=name, ok=ok, detail=detail, ms=ms)
    done = state not in HostRollout.OPEN
    HostRollout.objects.filter(pk=row.pk).update(
        state=state,
        started_at=at,
        finished_at=at + timedelta(seconds=3.4) if done else None,
        lease_until=None if done else at + timedelta(hours=1),
        **fields,
    )
    if state == HostRollout.CONFIRMED:
        Generation.objects.filter(host=host, state="live").update(state="kept")
        Generation.objects.filter(pk=row.generation_id).update(state="live", live_at=at)
    elif done:
        Generation.objects.filter(pk=row.generation_id).update(state="discarded")
    return made


def proofs(fingerprint: str) -> list[dict[str, Any]]:
    from deploy import plan as planning
    from deploy.bundle import Bundle
    from deploy.render.values import Facts

    def proof(kind: str, protocol: str, port: int, evidence: str, served: bool = False) -> Any:
        return {
            "kind": kind, "protocol": protocol, "port": port, "ok": True, "evidence": evidence,
            "fingerprint": fingerprint if served else "",
        }  # fmt: skip

    said = {"old_tls": "alert 70", "weak_tls": "alert 40", "delivery": "0.1 s"}
    found = []
    for each in planning.plan(Facts.from_report(FACTS), None, Bundle({})).probes:
        served = each.kind in ("tls", "starttls")
        evidence = f"TLSv1.3 TLS_AES_256_GCM_SHA384, notAfter 2027-02-23, SHA-256 {fingerprint}"
        words = evidence if served else said.get(each.kind, "550 5.7.1 Relaying denied")
        found.append(proof(each.kind, each.protocol, each.port, words, served))
    return found


def build(owner: Any) -> World:
    from accounts import aliases, domains, lifecycle
    from core import operators
    from core.api_auth import create_token
    from deploy.models import Host

    now = timezone.now()
    issuer = authority(owner, now)
    host = connected("mail1.example.test", "192.0.2.2", owner, now)
    broken = connected("mail2.example.test", "192.0.2.6", owner, now)
    order = issue("mail1.example.test", issuer, owner, now)
    other = issue("mail2.example.test", issuer, owner, now)
    for row, asked in ((host, order), (broken, other)):
        Host.objects.filter(pk=row.pk).update(certificate=asked.certificate)
        row.refresh_from_db()
    domain = domains.create(name="example.test", host=str(host.uuid), by=owner, at=now)
    department = domains.create(name="部門.example.test", host=str(broken.uuid), by=owner, at=now)
    boxes = [
        lifecycle.create(
            domain=domain, local_part=name, password=PASSWORD, display_name=words, by=owner, at=now
        )
        for name, words in (
            ("mei", "Mei Lin"),
            ("jonas", "Jonas Berg"),
            ("li.wei.from.accounting.department", "李偉"),
        )
    ]
    suspended = lifecycle.suspend(
        mailbox=boxes[1], reason="sent 4,000 messages in an hour", by=owner, at=now
    )
    aliases.create(
        domain=domain, local_part="office", targets=["mei@example.test"], by=owner, at=now
    )
    helper, _link = operators.add(
        username="ling", email="ling@example.org", role="helpdesk",
        domains=[domain.name, department.name], by=owner, at=now,
    )  # fmt: skip
    off, _link = operators.add(username="gone", role="auditor", by=owner, at=now)
    operators.switch_off(operator=off, by=owner, at=now)
    create_token(name="nightly export", scopes=["ca:read"], expires_at=None, by=owner, at=now)
    services = {"sendmail": "reloaded", "dovecot": "reloaded"}
    rollout = rolled(
        host, "confirmed", owner, now, steps=6,
        receipt={"proofs": proofs("5d9f" * 16), "services": services},
    )  # fmt: skip
    rolled_back = rolled(
        broken, "rolled_back", owner, now, steps=4,
        problem="probe_failed", problem_detail="IMAPS 993: connection refused",
    )  # fmt: skip
    Host.objects.filter(pk=host.pk).update(message_size_mb=60)
    running = rolled(host, "validating", owner, now, steps=2)
    return World(
        owner, host, broken, rollout, rolled_back, running, issuer, order.certificate, order,
        boxes[0], suspended, helper,
    )  # fmt: skip
