"""Who gets past the gate at RCPT beside exact addresses: full mailboxes, a catch-all, detail."""

from tests.live.rendered import mailbox


def rcpt(host, recipient: str, sender: str = "FROM:<> SIZE=900") -> tuple[int, bytes]:
    with host.smtp(25, source=host.machine.foreign_address) as stranger:
        stranger.docmd("MAIL", sender)
        return stranger.docmd("RCPT", f"TO:<{recipient}>")


def message(subject: str) -> bytes:
    return f"From: x@elsewhere.example\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()


def full_mailbox_is_refused(host) -> None:
    """To strangers, to who signed in, under its detail and by an alias to it alone."""
    address = "fay@example.test"
    host.accounts(
        mailbox(address, quota_bytes=20_000),
        {"alias": {"address": "fays@example.test", "targets": [address]}},
        {"alias": {"address": "both@example.test", "targets": [address, "alice@example.test"]}},
    )
    with host.smtp(25) as client:  # Dovecot lets one message go over, and not the next
        client.sendmail("", [address], message("nearly") + b"x" * 18_900)
        client.sendmail("", [address], message("over") + b"x" * 1_800)
    assert host.mailbox_holds(address, "over")
    locals_ = ("fay", "fay+lists", "fays", "fays+x", "both")
    replies = {local: rcpt(host, f"{local}@example.test") for local in locals_}
    with host.signed_in("alice@example.test") as sender:
        sender.docmd("MAIL", "FROM:<alice@example.test>")
        replies["signed in"] = sender.docmd("RCPT", f"TO:<{address}>")
    assert replies.pop("both")[0] == 250, "one of the two has room"
    assert {code for code, _ in replies.values()} == {552}, replies
    for _code, words in replies.values():
        assert words.startswith(b"5.2.2 ") and words.endswith(b"Mailbox is full"), replies

    reader = host.imap(address)
    reader.select("INBOX")
    reader.store("1:*", "+FLAGS", r"\Deleted")
    reader.expunge()
    assert rcpt(host, address)[0] == 250


def test_a_full_mailbox_is_refused_at_rcpt(host):
    full_mailbox_is_refused(host)


def test_without_the_bridge_mail_is_accepted_and_none_is_refused_for_good(host):
    with host.smtp(25, source=host.machine.foreign_address) as open_before:
        open_before.docmd("MAIL", "FROM:<>")
        assert open_before.docmd("RCPT", "TO:<alice@example.test>")[0] == 250
        host.run("sh", "-c", "kill $(cat /run/mailadmin/bridge.pid)")
        assert open_before.docmd("RCPT", "TO:<bob@example.test>")[0] in (250, 451)
        assert rcpt(host, "bob@example.test")[0] == 250
        assert rcpt(host, "nobody@example.test")[0] == 550
    host.run("python3", "-I", "/usr/local/lib/mailadmin/hostctl", "bridge")


def test_a_catch_all_takes_what_nobody_else_does(host):
    assert rcpt(host, "whoever@example.test") == (
        550,
        b"5.1.1 <whoever@example.test>... No such user here",
    )
    host.accounts({"alias": {"address": "*@example.test", "targets": ["dora@example.test"]}})
    try:
        with host.smtp(25, source=host.machine.foreign_address) as client:
            client.sendmail("", ["Who.Ever+x@example.test"], message("caught"))
            client.sendmail("", ["alice+x@example.test"], message("for-alice-alone"))
        assert host.mailbox_holds("dora@example.test", "caught")
        assert host.mailbox_holds("alice@example.test", "for-alice-alone")
        assert not host.mailbox_holds("dora@example.test", "for-alice-alone", seconds=0)
        for recipient, status in (
            ("closed@example.test", b"5.2.1"),
            ("someone@sub.example.test", b"5.7.1"),
            ("x%elsewhere.example@example.test", b"5.1.1"),
            ('"|/bin/true"@example.test', b"5.1.1"),
        ):
            reply = rcpt(host, recipient)
            assert reply[0] == 550 and reply[1].startswith(status), reply
        leads = host.run("sendmail", "-bv", "postmaster@example.test", "abuse@example.test").stdout
        assert leads == "root... deliverable: mailer local, user root\n", "both, as before"
        with host.signed_in("dora@example.test") as client:
            assert client.docmd("MAIL", "FROM:<whoever@example.test>")[0] == 550
        host.ask("validate", generation=host.generation)
    finally:
        host.accounts({"remove": "*@example.test"})
    assert rcpt(host, "whoever@example.test")[0] == 550


def test_the_detail_of_an_alias_reaches_its_targets(host):
    with host.smtp(25, source=host.machine.foreign_address) as client:
        client.sendmail("", ["sales+spring@example.test"], message("with-detail"))
    assert host.mailbox_holds("alice@example.test", "with-detail")
