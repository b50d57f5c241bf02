"""The helper on real hosts: from a Debian that knows nothing to one that serves mail."""

from __future__ import annotations

import imaplib
import json
import smtplib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.hostctl import build, paths
from deploy.practice import Machine
from tests.live.conftest import FreshMachine, started
from tests.live.hostctl_host import DOMAIN, HostError, MailHost, box, until


@pytest.fixture(scope="session")
def login_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def enrolled(machine: Machine, folder: Path, login_key: Path) -> MailHost:
    """With accounts anna and bob, and a first configuration live."""
    made = MailHost(machine, folder, login_key.with_suffix(".pub").read_text())
    made.fill("anna", "bob")
    made.deploy()
    return made


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def host(
    request: pytest.FixtureRequest,
    can_run_hosts: None,
    tmp_path_factory: pytest.TempPathFactory,
    login_key: Path,
) -> Iterator[MailHost]:
    """One for all tests here, which leave anna and bob able to work."""
    with started(request.param) as machine:
        yield enrolled(machine, tmp_path_factory.mktemp("authority"), login_key)


@pytest.fixture(params=["bookworm", "trixie"])
def fresh(
    request: pytest.FixtureRequest,
    fresh_machine: FreshMachine,
    tmp_path: Path,
    login_key: Path,
) -> MailHost:
    """For tests after which it is no longer good for others."""
    return enrolled(fresh_machine(request.param), tmp_path, login_key)


def ssh(
    machine: Machine, key: Path, *words: str, given: bytes = b"", options: tuple[str, ...] = ()
):  # type: ignore[no-untyped-def]
    argv = ["ssh", "-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", *options,
            f"mailadmin@{machine.address}", *words]  # fmt: skip
    return subprocess.run(argv, input=given, capture_output=True, timeout=60)


def test_a_first_deployment_serves_mail(host: MailHost) -> None:
    assert host.fingerprints() == dict.fromkeys((25, 465, 587, 993, 995), host.served)
    facts = host.ask("facts")
    assert (
        facts["generation"] == host.generation and facts["drift"] == [] and facts["pending"] is None
    )
    assert all(service["running"] for service in facts["services"].values())

    client = host.submission("anna")
    client.sendmail(f"anna@{DOMAIN}", [f"bob@{DOMAIN}"], "Subject: hello\r\n\r\nhello\r\n")
    inbox = host.imap("bob")

    def arrived() -> bool:
        return inbox.select()[1] != [b"0"]

    until(arrived)
    fetched = inbox.fetch("1", "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0]
    assert isinstance(fetched, tuple) and b"hello" in fetched[1]

    for wrong in ("", "wrong"):
        with pytest.raises(smtplib.SMTPAuthenticationError):
            host.submission("anna", wrong)
        with pytest.raises(imaplib.IMAP4.error):
            host.imap("anna", wrong)
    assert not host.smtp(25).has_extn("auth"), "never in clear, never on 25"
    assert not host.smtp(587).has_extn("auth")


def test_the_gate(host: MailHost) -> None:
    client = host.smtp(25)
    answers = {}
    fqdn = host.machine.fqdn
    for recipient in (
        f"anna@{DOMAIN}", f"ANNA@{DOMAIN.title()}", f"anna+tag@{DOMAIN}", f"nobody@{DOMAIN}",
        f"postmaster@{DOMAIN}", f"abuse@{DOMAIN}", f"root@{fqdn}", f"nosuch@{fqdn}",
        "someone@elsewhere.example",
    ):  # fmt: skip
        client.rset()
        client.mail("stranger@elsewhere.example")
        answers[recipient] = client.rcpt(recipient)[0]
    assert [name for name, code in answers.items() if code != 250] == [
        f"nobody@{DOMAIN}", f"nosuch@{fqdn}", "someone@elsewhere.example",
    ]  # fmt: skip
    assert answers[f"nobody@{DOMAIN}"] == 550


def test_mail_to_root_stays_on_the_server(host: MailHost) -> None:
    """Cron's mail, and postmaster's where nobody else takes it."""
    host.machine.run(["sendmail", "root"], input="Subject: from cron\n\nx\n")
    client = host.smtp(25)
    client.sendmail(
        "stranger@elsewhere.example", [f"postmaster@{DOMAIN}"], "Subject: to pm\r\n\r\nx"
    )
    box_of_root = host.machine.path("/var/mail/root")
    until(lambda: box_of_root.exists() and box_of_root.read_text().count("Subject: ") == 2)


def test_suspending_ends_everything_within_a_second(host: MailHost) -> None:
    sending, reading = host.submission("anna"), host.imap("anna")
    assert sending.mail(f"anna@{DOMAIN}")[0] == 250
    sending.rset()
    started = time.monotonic()
    line = box("anna", host.hash(), can_login=False, can_send=False)
    done = host.accounts(line, end_sessions=[f"anna@{DOMAIN}"])
    took = time.monotonic() - started
    assert done["kicked"] == 1 and done["maps"] == ["cansend"]
    assert sending.mail(f"anna@{DOMAIN}")[0] == 550, "the session that was already signed in"
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        reading.noop()
    with pytest.raises(imaplib.IMAP4.error):
        host.imap("anna")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        host.submission("anna")
    assert host.smtp(25).mail("x@elsewhere.example")[0] == 250
    assert took < 5, "the budget of one second is measured by the benchmark"
    host.accounts(box("anna", host.hash()))
    host.submission("anna").quit()
    host.imap("anna").logout()


def test_sending_as_somebody_else(host: MailHost) -> None:
    host.accounts({"alias": {"address": f"sales@{DOMAIN}", "targets": [f"anna@{DOMAIN}"]}})
    client = host.submission("anna")
    for sender, code in (("anna", 250), ("sales", 250), ("bob", 550)):
        client.rset()
        assert client.mail(f"{sender}@{DOMAIN}")[0] == code
    client.rset()
    assert client.docmd("MAIL FROM:<>")[0] == 550


def test_renewing_a_certificate_keeps_the_sessions(host: MailHost) -> None:
    reading, sending = host.imap("anna"), host.submission("anna")
    before = host.served
    host.deploy()
    assert host.served != before
    until(lambda: set(host.fingerprints().values()) == {host.served}, 10)
    assert reading.noop()[0] == "OK"
    assert sending.mail(f"anna@{DOMAIN}")[0] == 250


def test_what_did_not_change_is_not_told(host: MailHost) -> None:
    tls = host.certificate()
    number = host.stage(host.bundle(tls), tls.key_id)
    host.ask("validate", generation=number)
    assert host.switch(number)["services"] == {"dovecot": "reloaded", "sendmail": "reloaded"}
    host.ask("confirm", generation=number)
    host.generation = number
    number = host.stage(
        host.bundle(tls, snippet_dovecot="mail_max_userip_connections = 7"), tls.key_id
    )
    host.ask("validate", generation=number)
    assert host.switch(number)["services"] == {"dovecot": "reloaded"}
    host.ask("confirm", generation=number)
    host.generation, host.served = number, tls.fingerprint_sha256


def test_the_key_opens_the_helper_and_nothing_else(host: MailHost, login_key: Path) -> None:
    request = json.dumps({"v": 1, "verb": "facts", "host": host.uuid}).encode() + b"\n"
    for words in ((), ("id",), ("sudo", "/bin/sh")):
        done = ssh(host.machine, login_key, *words, given=request)
        assert json.loads(done.stdout.splitlines()[-1])["generation"] == host.generation, (
            done.stderr
        )
    done = ssh(host.machine, login_key, given=request, options=("-s",))
    assert b"uid=" not in done.stdout
    tunnel = ssh(host.machine, login_key, given=b"", options=("-W", "127.0.0.1:25"))
    assert b"ESMTP" not in tunnel.stdout
    for argv in (
        ["sudo", "-n", paths.HELPER, "recover"],
        ["sudo", "-n", "/bin/sh"],
        ["sudo", "-n", "/usr/bin/python3"],
    ):
        assert host.machine.run(argv, user="mailadmin", check=False).returncode != 0
    listed = host.machine.run(["sudo", "-n", "-l"], user="mailadmin").stdout
    assert f'NOPASSWD: {paths.HELPER} ""' in listed
    # The user cannot change what its own key opens.
    denied = host.machine.run(
        ["sh", "-c", f"echo x >> {paths.STATE}/login/.ssh/authorized_keys"],
        user="mailadmin", check=False,
    )  # fmt: skip
    assert denied.returncode != 0


def test_installing_again_keeps_whose_the_host_is_but_another_key_does_not(
    fresh: MailHost, login_key: Path
) -> None:
    identity = fresh.machine.path(f"{paths.STATE}/host.json")
    known = json.loads(identity.read_text())
    assert known["host"] == fresh.uuid
    fresh.machine.authorize(login_key.with_suffix(".pub").read_text())
    assert json.loads(identity.read_text()) == known
    assert fresh.ask("facts")["services"]["bridge"]["running"], (
        "the new one took the old one's place"
    )
    fresh.submission("anna").quit()
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7m0yP0oHn2q3Yc1s3hZt2x6k8u0sQwR5T4V7bN9m1K"
    fresh.machine.authorize(other)
    assert not identity.exists()


def test_secrets_are_readable_by_root_alone(host: MailHost) -> None:
    def mode(path: str) -> str:
        text: str = host.machine.run(["stat", "-Lc", "%a %U", path]).stdout
        return text.strip()

    current = f"{paths.STATE}/current"
    assert mode(f"{current}/tls/key.pem") == "600 root"
    assert mode(f"{paths.STATE}/keys") == "700 root"
    assert mode(f"{paths.STATE}/journal") == "700 root"
    assert mode(paths.BRIDGE_SOCKET) == "600 root"
    assert mode(f"{paths.MAPS}/cansend.db") == "640 root"
    assert mode(paths.ACCOUNTS_DB) == "660 root"
    assert mode(paths.MAIL) == "700 vmail"
    for user in ("mailadmin", "nobody"):
        for secret in (paths.ACCOUNTS_DB, f"{current}/tls/key.pem", f"{paths.MAPS}/access.db"):
            assert host.machine.run(["cat", secret], user=user, check=False).returncode != 0


def test_leaving_gives_the_host_back(fresh: MailHost) -> None:
    fresh.machine.run(["sh"], input=build.uninstaller())
    cf = fresh.machine.path("/etc/mail/sendmail.cf")
    assert not cf.is_symlink() and "Mailadmin" not in cf.read_text()
    assert not fresh.machine.path(paths.HELPER).exists()
    assert fresh.machine.run(["id", "mailadmin"], check=False).returncode != 0
    assert fresh.machine.path(paths.ACCOUNTS_DB).exists(), "accounts and mail stay"
    assert set(fresh.fingerprints().values()) == {""}, "neither ran before the console came"


def test_a_request_for_another_host_is_refused(host: MailHost) -> None:
    own, host.uuid = host.uuid, "6f0d3f1e-1111-4111-8111-000000000009"
    with pytest.raises(HostError) as refused:
        host.ask("csr", names=["x.example.test"])
    host.uuid = own
    assert refused.value.code == "wrong_host"
