"""One click on real hosts: Debian 12 with Dovecot 2.3 and Debian 13 with 2.4, over SSH and sudo."""

import imaplib
import poplib
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.utils import timezone

from accounts import lifecycle
from ca import issuance, keystore, tasks
from ca.models import Certificate, Order
from core import nudge
from deploy import carriage, configure
from deploy import helper as helpers
from deploy.models import AccountPush, Generation, Host, HostRollout
from tests.deploy.conftest import csr_for
from tests.live.rollouts import PASSWORD, Console, enrol, log_of, make_issuer, run_signer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["bookworm", "trixie"])
def console(request, fresh_machine, owner, monkeypatch) -> Console:
    monkeypatch.setattr(keystore, "PASSES", 1)
    monkeypatch.setattr(keystore, "MEMORY_KIB", 64)
    monkeypatch.setattr(nudge, "send", run_signer)
    keystore.forget()
    machine = fresh_machine(request.param)
    made = Console(owner, machine, make_issuer(owner), enrol(machine, owner))
    made.certify()
    return made


@pytest.fixture
def live(console: Console) -> Console:
    """The first generation is live, and anna has a mailbox there."""
    console.mailbox("anna@example.test")
    row = console.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    return console


class Meddling:
    """A transport to the real host on which something happens right before a verb."""

    def __init__(self, verb: str, meddle: Callable[[], object]) -> None:
        self.verb, self.meddle = verb, meddle

    def connect(self, target: Any) -> Any:
        connection, meddling = helpers.ssh.connect(target), self

        class Connection:
            def call(self, header: Mapping[str, Any], *args: Any, **more: Any) -> Iterator[Any]:
                if header["verb"] == meddling.verb and meddling.meddle is not None:
                    meddle, meddling.meddle = meddling.meddle, None  # type: ignore[assignment]
                    meddle()
                return connection.call(header, *args, **more)

            def close(self) -> None:
                connection.close()

        return Connection()


def change_something(console: Console, megabytes: int = 25) -> None:
    configure.change_settings(
        host=console.host,
        address=console.host.address,
        ssh_port=22,
        message_size_mb=megabytes,
        by=console.owner,
        at=timezone.now(),
    )


def trust(console: Console) -> ssl.SSLContext:
    assert console.host.certificate is not None
    return ssl.create_default_context(cadata=console.host.certificate.root_pem)


def named(console: Console, protocol: type) -> type:
    """The standard library's client, told the server's name although it dials the address."""
    address = console.machine.address

    class Named(protocol):  # type: ignore[misc, valid-type]
        def _get_socket(self, host: str, port: int, timeout: float) -> Any:
            return super()._get_socket(address, port, timeout)

        def _create_socket(self, *args: Any) -> Any:
            import socket

            plain = socket.create_connection((address, self.port), 10)
            context = getattr(self, "ssl_context", None) or self.context
            return context.wrap_socket(plain, server_hostname=self.host)

    return Named


def imap(console: Console) -> imaplib.IMAP4_SSL:
    return named(console, imaplib.IMAP4_SSL)(  # type: ignore[no-any-return]
        console.host.fqdn, 993, ssl_context=trust(console)
    )


def pop3(console: Console) -> poplib.POP3_SSL:
    return named(console, poplib.POP3_SSL)(console.host.fqdn, 995, context=trust(console))  # type: ignore[no-any-return]


def submission(console: Console) -> smtplib.SMTP:
    client = named(console, smtplib.SMTP)(console.host.fqdn, 587, timeout=15)
    client.starttls(context=trust(console))
    return client  # type: ignore[no-any-return]


def test_one_click_ends_confirmed_with_its_receipt(console: Console) -> None:
    row = console.put_live()
    assert row.state == HostRollout.CONFIRMED, (row.problem, row.problem_detail, log_of(row))
    wanted = console.host.certificate.fingerprint_sha256
    proofs = row.receipt["proofs"]
    assert {proof["port"] for proof in proofs if proof["fingerprint"] == wanted} == {
        25,
        110,
        143,
        587,
        465,
        993,
        995,
    }
    kinds = {proof["kind"] for proof in proofs if proof["ok"]}
    assert {"auth_right", "auth_wrong", "auth_in_clear", "unknown_recipient", "relay"} <= kinds
    assert console.served(993) == wanted
    facts = console.facts()
    assert facts["generation"] == 1
    assert facts["pending"] is None
    assert console.host.reported().sendmail_running
    assert not any(step.ok is not True for step in row.steps.all()), log_of(row)


def test_mail_sent_over_587_is_read_over_993_and_995(live: Console) -> None:
    live.push()
    client = submission(live)
    client.login("anna@example.test", PASSWORD)
    message = (
        "From: anna@example.test\r\nTo: anna@example.test\r\nSubject: first light\r\n\r\nHi\r\n"
    )
    client.sendmail("anna@example.test", ["anna@example.test"], message)
    client.quit()
    reader = imap(live)
    reader.login("anna@example.test", PASSWORD)
    until = time.monotonic() + 15
    while time.monotonic() < until:
        reader.select()
        found = reader.search(None, "SUBJECT", '"first light"')[1][0].split()
        if found:
            break
        time.sleep(0.3)
    assert found
    reader.logout()
    other = pop3(live)
    other.user("anna@example.test")
    other.pass_(PASSWORD)
    assert other.stat()[0] == 1
    other.quit()


def test_a_change_reloads_what_it_touches_and_keeps_a_session(live: Console) -> None:
    live.push()
    reader = imap(live)
    reader.login("anna@example.test", PASSWORD)
    before = live.facts()["services"]
    change_something(live)
    row = live.put_live()
    assert row.state == HostRollout.CONFIRMED, log_of(row)
    assert set(row.receipt["services"].values()) == {"reloaded"}
    assert reader.noop()[0] == "OK"
    after = live.facts()["services"]
    assert after["dovecot"]["pid"] == before["dovecot"]["pid"]  # type: ignore[index]
    assert (row.seconds or 99) < 15


def test_a_new_certificate_is_served_and_the_old_one_superseded(live: Console) -> None:
    old = live.host.certificate
    live.certify()
    assert live.host.certificate != old
    assert live.served(993) == old.fingerprint_sha256, "issuing alone changes nothing there"
    row = live.put_live()
    assert row.state == HostRollout.CONFIRMED, log_of(row)
    assert live.served(993) == live.served(465) == live.host.certificate.fingerprint_sha256
    old.refresh_from_db()
    assert old.state == Certificate.SUPERSEDED


def test_going_back_is_a_rollout_of_its_own(live: Console) -> None:
    change_something(live)
    assert live.put_live().state == HostRollout.CONFIRMED
    first = Generation.objects.get(number=1)
    row = live.put_live(to=first)
    assert row.state == HostRollout.CONFIRMED, log_of(row)
    assert Generation.objects.live().get().digest == first.digest
    assert live.facts()["generation"] == 3


# What must end on the old side, with mail going on


def still_on_the_first(console: Console, row: HostRollout, served: str) -> None:
    assert Generation.objects.live().get().number == 1
    facts = console.facts()
    assert (facts["generation"], facts["pending"]) == (1, None), log_of(row)
    assert console.served(993) == console.served(465) == served
    client = submission(console)
    client.login("anna@example.test", PASSWORD)
    client.quit()


def test_a_certificate_for_another_key_is_refused(live: Console) -> None:
    served = live.host.certificate.fingerprint_sha256
    order = issuance.request(
        profile="host",
        names=[live.host.fqdn],
        issuer=live.issuer,
        csr_pem=csr_for(live.host.fqdn),
        by=live.owner,
        at=timezone.now(),
    )
    tasks.sign_order(order.pk)
    foreign = Order.objects.get(pk=order.pk).certificate
    assert foreign is not None
    Host.objects.filter(pk=live.host.pk).update(certificate=foreign)
    live.host.refresh_from_db()
    row = live.put_live()
    assert row.state == HostRollout.REFUSED, log_of(row)
    still_on_the_first(live, row, served)

    # And when the key is one that the host has: the pair is compared, not only the name.
    Certificate.objects.filter(pk=foreign.pk).update(key_id=Generation.objects.get(number=1).key_id)
    live.host.refresh_from_db()
    row = live.put_live()
    assert row.state == HostRollout.REFUSED, log_of(row)
    assert "key" in row.problem_detail
    still_on_the_first(live, row, served)


def refused_untouched(live: Console, texts: dict[str, str]) -> None:
    """Own lines with `no_such_setting` in them."""
    served = live.host.certificate.fingerprint_sha256
    configure.change_snippets(host=live.host, texts=texts, by=live.owner, at=timezone.now())
    before = live.facts()["services"]
    row = live.put_live()
    assert row.state == HostRollout.REFUSED, log_of(row)
    assert "no_such_setting" in row.problem_detail
    assert live.facts()["services"] == before, "nothing was even reloaded"
    still_on_the_first(live, row, served)


def rolled_back_when(live: Console, file: str, text: str) -> None:
    """A file of the new generation is broken after it was checked."""
    served = live.host.certificate.fingerprint_sha256
    change_something(live)
    broken = f"/var/lib/mailadmin/generations/2/{file}"
    meddling = Meddling(
        "switch", lambda: live.machine.run(["sh", "-c", f"echo '{text}' > {broken}"])
    )
    row = live.put_live(carriage.Tools(transport=meddling))
    assert row.state == HostRollout.ROLLED_BACK, log_of(row)
    assert row.problem in {"switch_failed", "probe_failed"}
    still_on_the_first(live, row, served)


def test_a_setting_that_dovecot_refuses_is_refused_untouched(live: Console) -> None:
    refused_untouched(live, {"snippet_dovecot": "no_such_setting = yes"})


def test_a_sendmail_that_the_reload_kills_is_rolled_back(live: Console) -> None:
    rolled_back_when(live, "sendmail/sendmail.cf", "X garbage")


def test_a_dovecot_whose_tls_is_dead_is_found_by_the_probes(live: Console) -> None:
    """The reload says 0, and nobody can connect any more."""
    served = live.host.certificate.fingerprint_sha256
    live.certify()
    generation = "/var/lib/mailadmin/generations/2/tls"
    spoil = (
        f"openssl ecparam -name prime256v1 -genkey -noout -out {generation}/other && "
        f"mv {generation}/other {generation}/key.pem"
    )
    meddling = Meddling("switch", lambda: live.machine.run(["sh", "-c", spoil]))
    row = live.put_live(carriage.Tools(transport=meddling))
    assert row.state == HostRollout.ROLLED_BACK, log_of(row)
    still_on_the_first(live, row, served)
    assert Certificate.objects.get(fingerprint_sha256=served).state == Certificate.VALID


def test_a_daemon_that_can_never_start_again_is_not_called_rolled_back(live: Console) -> None:
    change_something(live)
    broken = "/var/lib/mailadmin/generations/2/sendmail/sendmail.cf"
    gone = "mv /usr/lib/sm.bin/sendmail /root/; mv /usr/sbin/sendmail /root/"
    spoil = f"echo 'X garbage' > {broken}; {gone}"
    meddling = Meddling("switch", lambda: live.machine.run(["sh", "-c", spoil], check=False))
    row = live.put_live(carriage.Tools(transport=meddling))
    assert row.state == HostRollout.ROLLBACK_FAILED, log_of(row)
    assert Generation.objects.live().get().number == 1


# A suspended account


def test_a_suspension_is_live_everywhere_within_a_second(live: Console) -> None:
    live.push()
    reader = imap(live)
    reader.login("anna@example.test", PASSWORD)
    sender = submission(live)
    sender.login("anna@example.test", PASSWORD)
    from accounts.models import Mailbox

    anna = Mailbox.objects.get(address="anna@example.test")
    began = time.monotonic()
    lifecycle.suspend(mailbox=anna, reason="stolen", by=live.owner, at=timezone.now())
    live.push()
    took = time.monotonic() - began
    push = AccountPush.objects.get()
    assert push.state == AccountPush.CURRENT, (push.problem, push.problem_detail)
    with pytest.raises((imaplib.IMAP4.abort, imaplib.IMAP4.error, OSError)):
        reader.noop()
    code, _words = sender.mail("anna@example.test")
    assert code == 550, "an open session may not send either"
    with pytest.raises(imaplib.IMAP4.error):
        imap(live).login("anna@example.test", PASSWORD)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        submission(live).login("anna@example.test", PASSWORD)
    other = pop3(live)
    other.user("anna@example.test")
    with pytest.raises(poplib.error_proto):
        other.pass_(PASSWORD)
    print(f"suspended on the host after {took:.3f} s")
    assert took < 5


# A connection that is cut in the middle


@pytest.mark.parametrize("verb", ["stage", "validate", "switch", "confirm"])
def test_a_worker_that_vanishes_is_followed_by_another(
    live: Console, verb: str, monkeypatch
) -> None:
    """The connection is cut while the host works, and nobody is there to note it."""

    class Killed(BaseException):
        pass

    def cut() -> None:
        raise Killed

    change_something(live)
    row = live.ask()
    with pytest.raises(Killed):
        carriage.carry_out(row.pk, carriage.Tools(transport=Meddling(verb, cut), worker="one"))
    helpers.ssh.forget(live.host.fqdn)
    assert HostRollout.objects.get(pk=row.pk).claimed_by == "one"
    HostRollout.objects.filter(pk=row.pk).update(lease_until=timezone.now())
    carriage.carry_out(row.pk, carriage.Tools(worker="two"))
    row.refresh_from_db()
    assert not row.is_open, log_of(row)
    assert row.state in {HostRollout.CONFIRMED, HostRollout.ROLLED_BACK}, log_of(row)
    on = 2 if row.state == HostRollout.CONFIRMED else 1
    assert live.facts()["generation"] == on
    assert Generation.objects.live().get().number == on
