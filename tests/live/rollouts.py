"""A console in miniature for the live rollout tests: real rows, the real verbs, a real host.

Workers are called inline; what they would do in another process is the same call.
"""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from accounts import domains, lifecycle
from accounts.models import Mailbox
from ca import authorities, issuance, tasks
from ca.models import Ceremony, Issuer
from ca.wishes import AuthorityWish, Wish
from core.models import Operator
from deploy import accounts_push, carriage, certificates, enrolment, rollout, turns
from deploy import helper as helpers
from deploy.models import Host, HostRollout
from deploy.practice import Machine

PASSPHRASE = "six honest serving men"
PASSWORD = "larch umbrella 91 cobalt"


def now() -> datetime:
    return timezone.now()


def run_signer(task: str, pk: object) -> None:
    """What the worker `sign` does when its nudge comes; nobody else is woken."""
    if task == issuance.SIGN_ORDER:
        tasks.sign_order(pk)
    elif task == authorities.MAKE_AUTHORITY:
        tasks.make_authority(pk)


def make_issuer(owner: Operator) -> Issuer:
    wish = Wish(
        root=AuthorityWish("Example Root", "p256", 7305),
        issuing=AuthorityWish("Example Issuing", "p256", 1826),
        permitted=("example.test",),
        origin="http://pki.example.test",
    )
    ceremony = authorities.request_hierarchy(
        wish=wish, unconstrained=False, passphrase=PASSPHRASE, by=owner, at=now()
    )
    ceremony.refresh_from_db()
    assert ceremony.state == Ceremony.DONE, ceremony.reason
    assert ceremony.made is not None
    return ceremony.made


def enrol(machine: Machine, owner: Operator) -> Host:
    """As the practice job does it: the key made here, the host's pinned from inside."""
    host = enrolment.add(
        fqdn=machine.fqdn,
        address=machine.address,
        ssh_port=22,
        practice=True,
        by=owner,
        at=now(),
    )
    enrolment.give_key(host)
    machine.authorize(host.ssh_public_key)
    Host.objects.filter(pk=host.pk).update(host_key=machine.host_key())
    host.refresh_from_db()
    job = enrolment.ask_check(host=host, by=owner, at=now())
    assert job is not None
    turns.run(job.pk)
    job.refresh_from_db()
    assert job.state == job.DONE, (job.problem, job.problem_detail)
    host.refresh_from_db()
    return host


@dataclass
class Console:
    owner: Operator
    machine: Machine
    issuer: Issuer
    host: Host

    def certify(self) -> None:
        job = certificates.ask(host=self.host, issuer=self.issuer, by=self.owner, at=now())
        turns.run(job.pk)
        job.refresh_from_db()
        assert job.state == job.DONE, (job.problem, job.problem_detail)
        self.host.refresh_from_db()

    def ask(self, **asked: object) -> HostRollout:
        made = rollout.request(hosts=[self.host], by=self.owner, at=now(), **asked)  # type: ignore[arg-type]
        return made.hosts.get()

    def put_live(self, tools: carriage.Tools | None = None, **asked: object) -> HostRollout:
        row = self.ask(**asked)
        carriage.carry_out(row.pk, tools)
        row.refresh_from_db()
        self.host.refresh_from_db()
        return row

    def mailbox(self, address: str) -> Mailbox:
        local, _, domain = address.partition("@")
        from accounts.models import Domain

        row = Domain.objects.filter(name=domain).first() or domains.create(
            name=domain, host=str(self.host.uuid), by=self.owner, at=now()
        )
        return lifecycle.create(
            domain=row, local_part=local, password=PASSWORD, by=self.owner, at=now()
        )

    def push(self) -> None:
        accounts_push.push(str(self.host.uuid))

    def facts(self) -> dict[str, object]:
        with helpers.Helper.of(self.host) as helper:
            return dict(helper.facts())

    def served(self, port: int = 993) -> str:
        """The SHA-256 of the certificate on a TLS port, as OpenSSL's client sees it."""
        import hashlib
        import socket
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((self.machine.address, port), 10) as plain,
            context.wrap_socket(plain) as secure,
        ):
            return hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()


def log_of(row: HostRollout) -> str:
    return "\n".join(
        f"{step.phase:11} {step.ok} {step.name} {step.ms} {step.detail[:300]}"
        for step in row.steps.all()
    )
