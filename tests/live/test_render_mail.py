"""What the rendered configuration makes the real daemons do: who may deliver, send and read."""

import hashlib
import imaplib
import smtplib
import socket
import time

import pytest

from tests.live.rendered import PASSWORD, mailbox, suspended


def code(reply: tuple[int, bytes]) -> int:
    return reply[0]


def message(subject: str) -> bytes:
    return f"From: x@elsewhere.example\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()


@pytest.mark.parametrize("port", [25, 587, 465, 993, 995])
def test_every_port_sends_the_whole_chain(host, port):
    """A client that knows the root alone verifies; a wrong chain raises SSLError."""
    if port in (25, 587):
        with host.smtp(port) as client:
            assert code(client.starttls(context=host.tls)) == 220
            served = client.sock.getpeercert(binary_form=True)
    else:
        with (
            socket.create_connection((host.machine.address, port), 20) as plain,
            host.tls.wrap_socket(plain) as secure,
        ):
            served = secure.getpeercert(binary_form=True)
    assert hashlib.sha256(served).hexdigest() == host.snapshot.tls.fingerprint_sha256


@pytest.mark.parametrize("port", [25, 587, 465, 993, 995])
def test_old_tls_is_not_spoken(host, port):
    starttls = ["-starttls", "smtp"] if port in (25, 587) else []
    said = host.run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1", *starttls,
        "-cipher", "DEFAULT@SECLEVEL=0", input="", check=False,
    )  # fmt: skip
    assert said.returncode != 0
    assert "BEGIN CERTIFICATE" not in said.stdout


# --- who may deliver -----------------------------------------------------------------------------


@pytest.fixture
def stranger(host):
    """A client whose address the host does not trust, after MAIL FROM:<>."""
    client = host.smtp(25, source=host.machine.foreign_address)
    assert code(client.docmd("MAIL", "FROM:<>")) == 250
    yield client
    client.close()


@pytest.mark.parametrize(
    "recipient",
    [
        "alice@example.test",
        "ALICE@Example.Test",
        "alice+lists@example.test",
        "sales@example.test",
        "erin@example.test",
        "postmaster@example.test",
        "abuse@example.test",
        "postmaster",
        "root@{fqdn}",
        "postmaster@{fqdn}",
    ],
)
def test_a_recipient_of_ours_is_accepted(host, stranger, recipient):
    """Suspended ones too (erin), and the host's own, whose name is below the domain."""
    reply = stranger.docmd("RCPT", f"TO:<{recipient.format(fqdn=host.machine.fqdn)}>")
    assert code(reply) == 250, reply


@pytest.mark.parametrize(
    ("recipient", "status"),
    [
        ("nobody@example.test", b"5.1.1"),
        ("alice.x@example.test", b"5.1.1"),
        ("+lists@example.test", b"5.1.1"),
        ("closed@example.test", b"5.2.1"),
        ("no-such-user@{fqdn}", b"5.1.1"),
        ("someone@elsewhere.example", b"5.7.1"),
        ("someone@sub.example.test", b"5.7.1"),
        ("someone%elsewhere.example@example.test", b"5."),
        ("someone%elsewhere.example@{fqdn}", b"5.7.1"),
        ("@example.test:someone@elsewhere.example", b"5.7.1"),
        ("elsewhere.example!someone@{fqdn}", b"5."),
        ('"someone@elsewhere.example"@example.test', b"5."),
        ('"|/bin/true"@{fqdn}', b"5."),
    ],
)
def test_anything_else_is_refused_at_rcpt(host, stranger, recipient, status):
    reply = stranger.docmd("RCPT", f"TO:<{recipient.format(fqdn=host.machine.fqdn)}>")
    assert 550 <= code(reply) <= 559, reply
    assert reply[1].startswith(status), reply


def test_mail_reaches_the_mailbox_and_its_detail_address(host):
    with host.smtp(25, source=host.machine.foreign_address) as client:
        client.sendmail("x@" + host.machine.fqdn, ["bob@example.test"], message("plain-one"))
        client.sendmail("", ["bob+lists@example.test"], message("detail-one"))
    assert host.mailbox_holds("bob@example.test", "plain-one")
    assert host.mailbox_holds("bob@example.test", "detail-one")
    kept = host.run("stat", "-c", "%U", "/var/lib/mailadmin/mail/example.test/bob").stdout
    assert kept.strip() == "vmail"


def test_an_alias_reaches_its_target(host):
    with host.smtp(25) as client:
        client.sendmail("", ["sales@example.test"], message("for-sales"))
    assert host.mailbox_holds("alice@example.test", "for-sales")


def test_the_hosts_own_mail_arrives(host):
    """Cron's way: the submission program, submit.cf and port 25 of 127.0.0.1."""
    host.run("sendmail", "root", input="Subject: from-cron\n\nHello\n")
    until = time.monotonic() + 10
    while "from-cron" not in host.run("cat", "/var/mail/root", check=False).stdout:
        assert time.monotonic() < until, host.log()[-3000:]
        time.sleep(0.1)


def test_the_host_itself_may_relay_and_its_other_addresses_may_not(host):
    script = (
        "import socket\n"
        "def ask(source):\n"
        "    s = socket.create_connection(('127.0.0.1', 25), 20, (source, 0))\n"
        "    f = s.makefile('rwb')\n"
        "    f.readline()\n"
        "    for line in ('HELO x.example', 'MAIL FROM:<>', 'RCPT TO:<a@elsewhere.example>'):\n"
        "        f.write(line.encode() + b'\\r\\n'); f.flush(); said = f.readline()\n"
        "    print(said.decode()[:3])\n"
        "ask('127.0.0.1'); ask('127.0.0.2')\n"
    )
    assert host.run("python3", "-c", script).stdout.split() == ["250", "550"]


# --- who may send --------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [25, 587])
def test_auth_is_not_offered_in_clear(host, port):
    with host.smtp(port) as client:
        assert client.has_extn("starttls")
        assert not client.has_extn("auth")
        assert code(client.docmd("AUTH", "PLAIN AGEAYg==")) >= 500


def test_port_25_offers_no_auth_at_all(host):
    with host.smtp(25) as client:
        client.starttls(context=host.tls)
        client.ehlo()
        assert not client.has_extn("auth")


@pytest.mark.parametrize("port", [465, 587])
def test_submission_needs_a_login(host, port):
    with host.smtp(port) as client:
        if port == 587:
            client.starttls(context=host.tls)
            client.ehlo()
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
        assert client.docmd("MAIL", "FROM:<alice@example.test>") == (
            530,
            b"5.7.0 Authentication required",
        )


@pytest.mark.parametrize("port", [465, 587])
def test_a_sender_is_itself_or_an_alias_of_its_own(host, port):
    with host.signed_in("alice@example.test", port=port) as client:
        for sender in ("alice@example.test", "Alice@Example.TEST", "sales@example.test"):
            assert code(client.docmd("MAIL", f"FROM:<{sender}>")) == 250
            assert code(client.docmd("RCPT", "TO:<someone@elsewhere.example>")) == 250
            assert code(client.docmd("RCPT", "TO:<someone@sub.example.test>")) == 250
            assert code(client.docmd("RCPT", "TO:<nobody@example.test>")) == 550
            client.rset()


@pytest.mark.parametrize(
    "sender",
    [
        "bob@example.test",
        "alice@elsewhere.example",
        "alice@sub.example.test",
        "alice",
        "alice+x@example.test",
        "malice@example.test",
        "x@alice@example.test",
        "",
        "@example.test:bob@example.test",
        "bob%example.test@{fqdn}",
        "root@{fqdn}",
    ],
)
def test_any_other_sender_is_refused(host, sender):
    with host.signed_in("alice@example.test") as client:
        reply = client.docmd("MAIL", f"FROM:<{sender.format(fqdn=host.machine.fqdn)}>")
        assert 550 <= code(reply) <= 559, reply
        assert code(client.docmd("MAIL", "FROM:<alice@example.test>")) == 250


def test_upper_case_in_the_login_changes_nothing(host):
    with host.signed_in("ALICE@Example.test") as client:
        assert code(client.docmd("MAIL", "FROM:<alice@example.test>")) == 250
        client.rset()
        assert code(client.docmd("MAIL", "FROM:<bob@example.test>")) == 550


def test_a_wrong_password_and_a_suspended_account_get_535(host):
    for address, password in (("alice@example.test", "wrong"), ("erin@example.test", PASSWORD)):
        client = host.smtp(465)
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(address, password)
        assert refused.value.smtp_code == 535
        client.close()


def test_the_login_stays_with_the_message_in_the_queue(host):
    with host.signed_in("bob@example.test") as client:
        client.sendmail("bob@example.test", ["x@[203.0.113.9]"], message("queued"))
    until = time.monotonic() + 10
    while True:
        kept = host.run("sh", "-c", "cat /var/spool/mqueue/qf* 2>/dev/null", check=False).stdout
        if "MDeferred" in kept:
            break
        assert time.monotonic() < until, host.log()[-3000:]
        time.sleep(0.1)
    assert "${auth_authen}bob@example.test" in kept
    assert "${client_addr}" in kept
    host.run("sh", "-c", "rm -f /var/spool/mqueue/*")


# --- reading, and being suspended ----------------------------------------------------------------


def test_a_login_by_each_protocol_is_kept_and_told(host):
    with host.smtp(25) as client:
        client.sendmail("", ["dora@example.test"], message("to-read"))
    assert host.mailbox_holds("dora@example.test", "to-read")
    client = host.imap("dora@example.test")
    names = {line.split()[-1] for line in client.list()[1]}
    assert names == {b"INBOX", b"Drafts", b"Sent", b"Junk", b"Trash"}
    client.logout()
    pop = host.pop3("dora@example.test")
    assert pop.stat()[0] >= 1
    pop.quit()
    with host.signed_in("dora@example.test"):
        pass
    until = time.monotonic() + 10
    while True:
        told = host.ask("usage", cursor=0)
        uses = {kind: at for name, kind, at in told["uses"] if name == "dora@example.test"}
        sizes = {name: size for name, size, _ in told["sizes"]}
        if len(uses) == 3 and "dora@example.test" in sizes:
            break
        assert time.monotonic() < until, (told, host.log()[-3000:])
        time.sleep(0.2)
    assert set(uses) == {"imap", "pop3", "smtp"}
    assert all(abs(at - time.time()) < 60 for at in uses.values())
    assert set(told["recording"]) == {"imap", "pop3", "smtp"}
    kept = host.run("doveadm", "-f", "tab", "quota", "get", "-u", "dora@example.test").stdout
    (storage,) = [line.split("\t") for line in kept.splitlines() if "STORAGE" in line]
    assert -(-sizes["dora@example.test"] // 1024) == int(storage[2]), kept


def test_imap_in_clear_takes_no_password(host):
    client = imaplib.IMAP4(host.machine.address, 143, timeout=20)
    assert "LOGINDISABLED" in client.capabilities
    with pytest.raises(imaplib.IMAP4.error):
        client.login("alice@example.test", PASSWORD)
    client.shutdown()


def test_the_quota_is_told_and_kept(host):
    with host.smtp(25) as client:
        client.sendmail("", ["carol@example.test"], message("before"))
    host.accounts(mailbox("carol@example.test", quota_bytes=20_000))
    client = host.imap("carol@example.test")
    assert b"STORAGE" in client.getquotaroot("INBOX")[1][1][0]
    kind, said = client.append("INBOX", "", "", b"Subject: big\r\n\r\n" + b"x" * 30_000)
    assert kind == "NO"
    assert b"OVERQUOTA" in said[0]
    client.logout()
    host.accounts(mailbox("carol@example.test"))


def test_a_suspension_reaches_open_sessions_and_every_service(host):
    address = "dora@example.test"
    submission = host.signed_in(address)
    assert code(submission.docmd("MAIL", f"FROM:<{address}>")) == 250
    submission.rset()
    reader = host.imap(address)
    reader.select("INBOX")

    host.accounts(suspended(address), end_sessions=(address,))

    reply = submission.docmd("MAIL", f"FROM:<{address}>")
    assert code(reply) == 550, reply
    assert b"may not send" in reply[1]
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        reader.noop()
    with pytest.raises(imaplib.IMAP4.error):
        host.imap(address)
    with pytest.raises(Exception, match=r"(?i)auth"):
        host.pop3(address)
    with pytest.raises(smtplib.SMTPAuthenticationError):
        host.signed_in(address)
    with host.smtp(25) as client:
        client.sendmail("", [address], message("kept-while-suspended"))
    host.accounts(mailbox(address))
    assert host.mailbox_holds(address, "kept-while-suspended")
    submission.close()


def test_whoever_guesses_passwords_from_one_address_is_slowed(host):
    script = (
        "import socket\n"
        "for _ in range(140):\n"
        "    s = socket.create_connection(('127.0.0.1', 587), 20, ('127.0.0.9', 0))\n"
        "    said = s.recv(200); s.close()\n"
        "    if not said.startswith(b'220'): break\n"
        "print(said.decode()[:3])\n"
    )
    assert host.run("python3", "-c", script).stdout.strip() in ("421", "554", "550")
    with host.signed_in("alice@example.test") as client:
        assert code(client.docmd("MAIL", "FROM:<alice@example.test>")) == 250


def test_the_daemons_have_nothing_to_complain_about(host):
    """Warnings at a start tell of settings that do not do what they say."""
    bad = [
        line
        for line in host.log().splitlines()
        if any(
            word in line
            for word in ("Warning:", "Error:", "Fatal:", "Panic:", "SYSERR", "unsafe", "obsolete")
        )
        and "Killed with signal 15" not in line  # a session that was ended on purpose
        and 'socket map "full"' not in line  # the bridge: not yet there, or ended on purpose
    ]
    assert not bad, "\n".join(bad[:20])
