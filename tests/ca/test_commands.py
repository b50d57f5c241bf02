"""The commands, each in a process of its own, with the console stopped."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.utils import timezone

from ca import issuance
from ca.models import Order
from core import inline, leases, seal
from mailadmin import privileges
from tests.ca.byhand import PASSPHRASE as OLD_PASSPHRASE
from tests.ca.byhand import by_hand
from tests.ca.conftest import PASSPHRASE, request_for
from tests.terminal import CHECKOUT, Answer, Terminal, on_sqlite, started


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    with started() as at:
        at.write("pass", PASSPHRASE + "\n")
        yield at


@pytest.fixture(scope="module")
def root(terminal: Terminal) -> dict[str, Any]:
    """By the real manage.py, on a data folder that is new."""
    argv = ["create_root", "--name", "Example Root", "--algorithm", "p384", "--days", "3653"]
    argv += ["--passphrase-file", "pass", "--organisation", "Example", "--country", "tw", "--json"]
    env = os.environ | {
        "MAILADMIN_DATA": str(terminal.data),
        "MAILADMIN_PUBLIC_URL": "http://pki.example.test",
    }
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), *argv],
        cwd=terminal.folder,
        env=env,
        capture_output=True,
        text=True,
    )
    answer = Answer(done.returncode, done.stdout, done.stderr)
    assert answer.status == 0 and not answer.err, answer.out + answer.err
    terminal.write("root.pem", answer.json["certificate"])
    return answer.json


@pytest.fixture(scope="module")
def issuer(terminal: Terminal, root: dict[str, Any]) -> dict[str, Any]:
    argv = ["--root", "Example Root", "--name", "Example Issuing", "--algorithm", "p256"]
    argv += ["--passphrase-file", "pass", "--permit", "example.test", "192.0.2.0/24"]
    made = terminal.does("create_issuer", *argv)
    terminal.write("issuing.pem", made["certificate"])
    return made


def issue(terminal: Terminal, out: str, *argv: str) -> dict[str, Any]:
    names = [] if "--csr" in argv else ["--name", "mail1.example.test"]
    return terminal.does(
        "issue", "--issuer", "Example Issuing", "--profile", "host", *names, "--out", out, *argv
    )


@on_sqlite
def test_a_root_and_an_issuing_authority(terminal: Terminal, root, issuer) -> None:  # type: ignore[no-untyped-def]
    assert (root["name"], root["key"]) == ("Example Root", "P-384")
    assert (issuer["root"], issuer["key"]) == ("Example Root", "P-256")
    assert issuer["permitted"] == ["example.test", "192.0.2.0/24"]
    made = x509.load_pem_x509_certificate(issuer["certificate"].encode())
    assert made.subject.rfc4514_string() == "CN=Example Issuing,O=Example,C=TW"
    text = terminal.openssl("x509", "-in", "issuing.pem", "-noout", "-text")
    assert "DNS:example.test" in text and "URI:http://pki.example.test/pki/" in text
    strict = ("-x509_strict", "-auth_level", "2")
    assert "OK" in terminal.openssl("verify", *strict, "-CAfile", "root.pem", "issuing.pem")


@on_sqlite
def test_each_algorithm_of_a_root(terminal: Terminal, root) -> None:  # type: ignore[no-untyped-def]
    for algorithm, key in (("p256", "P-256"), ("rsa2048", "RSA 2048"), ("ed25519", "Ed25519")):
        argv = ["--name", f"Root {algorithm}", "--algorithm", algorithm, "--days", "7305"]
        made = terminal.does("create_root", *argv, "--passphrase-file", "pass")
        assert made["key"] == key
        pem = terminal.write(f"{algorithm}.pem", made["certificate"])
        strict = ("-x509_strict", "-auth_level", "2", "-check_ss_sig")
        assert "OK" in terminal.openssl("verify", *strict, "-CAfile", pem, pem)


@on_sqlite
def test_issue_makes_the_key_and_keeps_it_to_its_owner(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    issued = issue(terminal, "mail1", "--days", "30")
    assert [Path(path).name for path in issued["files"]] == [
        "cert.pem",
        "chain.pem",
        "fullchain.pem",
        "key.pem",
    ]
    folder = terminal.folder / "mail1"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {
        "cert.pem": 0o644,
        "chain.pem": 0o644,
        "fullchain.pem": 0o644,
        "key.pem": 0o600,
    }
    assert "OK" in terminal.verify(
        "mail1/cert.pem", "root.pem", "-verify_hostname", issued["names"][0]
    )
    public = terminal.openssl("x509", "-in", "mail1/cert.pem", "-noout", "-pubkey")
    assert public == terminal.openssl("pkey", "-in", "mail1/key.pem", "-pubout")
    key = (folder / "key.pem").read_bytes()
    chain = (folder / "cert.pem").read_text() + (folder / "chain.pem").read_text()
    assert (folder / "fullchain.pem").read_text() == chain
    # The key is in no row: not even its encoding without the frame.
    kept = b"".join(path.read_bytes() for path in terminal.data.glob("db.sqlite3*"))
    assert b"".join(key.splitlines()[1:-1])[:60] not in kept and b"PRIVATE KEY" not in kept
    events = terminal.sql("SELECT actor_name FROM core_auditevent WHERE action LIKE ?", "%issued")
    assert ("console",) in events


@on_sqlite
def test_issue_for_a_request(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    csr = terminal.write("mail2.csr", request_for("mail2.example.test"), mode=0o644)
    issued = issue(terminal, "mail2", "--csr", csr)
    assert issued["names"] == ["mail2.example.test"]
    assert not (terminal.folder / "mail2" / "key.pem").exists()
    assert "OK" in terminal.verify("mail2/cert.pem", "root.pem")
    people = terminal.run(
        "issue", "--issuer", "Example Iss", "--name", "192.0.2.7", "--csr", csr, "--out", "mail3"
    )
    assert people.status == 0 and people.out.startswith("Issued ") and not people.err


@on_sqlite
def test_issue_for_people_and_programs(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    argv = ("issue", "--issuer", "Example Issuing", "--profile")
    person = terminal.does(
        *argv, "person", "--name", "wei@example.test", "--common-name", "王小明",
        "--organisation", "Example", "--country", "tw", "--out", "person",
    )  # fmt: skip
    assert person["names"] == ["wei@example.test"] and "王小明" in person["subject"]
    client = terminal.does(*argv, "client", "--name", "backup@example.test", "--out", "client")
    assert client["names"] == ["backup@example.test"]
    terminal.refuses("names_missing", *argv, "client", "--out", "client2")


@on_sqlite
def test_what_cannot_be_issued_leaves_nothing_behind(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    def refuses(code: str, *argv: str, out: str = "refused") -> str:
        return terminal.refuses(code, "issue", "--issuer", "Example Issuing", "--out", out, *argv)

    orders = terminal.sql("SELECT count(*) FROM ca_order")
    named = ("--name", "mail9.example.test")
    assert "example.test" in refuses("names_outside", "--name", "mail.example.com")
    refuses("profile_unknown", *named, "--profile", "nonsense")
    refuses("days_out_of_range", *named, "--days", "9000")
    refuses("csr_unreadable", *named, "--csr", terminal.write("garbage", "garbage"))
    refuses("argument_not_text", "--name", "mail\udcff.example.test")
    assert "no-such-file" in refuses("file_missing", *named, "--csr", "no-such-file")
    refuses("names_missing", "--csr", terminal.write("nameless.csr", request_for()))
    refuses("folder_missing", *named, out="no/such/folder")
    refuses("folder_unwritable", *named, out="pass")
    taken = terminal.folder / "taken"
    taken.mkdir()
    (taken / "chain.pem").write_text("mine")
    assert "taken/chain.pem" in refuses("file_exists", *named, out="taken")
    assert [path.name for path in taken.iterdir()] == ["chain.pem"]
    assert not any((terminal.folder / "refused").glob("*"))
    assert terminal.sql("SELECT count(*) FROM ca_order") == orders
    sentence = terminal.refuses(
        "issuer_unknown", "issue", "--issuer", "Nobody", *named, "--out", "refused"
    )
    assert "Example Issuing" in sentence
    terminal.refuses("issuer_ambiguous", "issue", "--issuer", "Example", *named, "--out", "refused")
    issue(terminal, "taken", "--force")
    assert "BEGIN CERTIFICATE" in (taken / "chain.pem").read_text()


@on_sqlite
def test_a_revoked_certificate_is_on_the_list_at_once(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    issued = issue(terminal, "lost")
    serial = issued["serial"]
    shown = ":".join(serial[place : place + 2] for place in range(0, len(serial) & ~1, 2)).upper()
    revoked = terminal.does("revoke", shown, "--reason", "keyCompromise")
    assert (revoked["serial"], revoked["state"]) == (serial, "revoked")
    listed = terminal.does("crl", "--issuer", "Example Issuing", "--out", "issuing.crl.pem")
    assert listed["number"] == revoked["list"] and not listed["stale"]
    checked = terminal.openssl(
        "verify", "-crl_check", "-CRLfile", "issuing.crl.pem", "-CAfile", "root.pem",
        "-untrusted", "issuing.pem", "lost/cert.pem",
    )  # fmt: skip
    assert "certificate revoked" in checked
    terminal.does("crl", "--issuer", "Example Issuing", "--out", "issuing.crl")
    der = terminal.openssl("crl", "-inform", "DER", "-in", "issuing.crl", "-CAfile", "issuing.pem")
    assert "verify OK" in der
    assert "revoked" in terminal.refuses("not_in_state", "revoke", serial, "--reason", "superseded")
    assert "keyCompromise" in terminal.refuses("reason_unknown", "revoke", serial, "--reason", "x")
    terminal.refuses("file_exists", "crl", "--issuer", "Example Issuing", "--out", "issuing.crl")


@on_sqlite
def test_an_authority_is_revoked_on_its_roots_list_with_the_passphrase(
    terminal: Terminal, root, issuer
) -> None:  # type: ignore[no-untyped-def]
    argv = ["--root", "Example Root", "--name", "Lost Issuing", "--passphrase-file", "pass"]
    lost = terminal.does("create_issuer", *argv, "--permit", "example.test")
    answer = terminal.run("revoke", lost["serial"], "--reason", "cACompromise", "--json")
    assert answer.json["list"] is None and "--passphrase-file" in answer.err
    argv = ["crl", "--issuer", "Example Root", "--out", "root.crl.pem"]
    listed = terminal.does(*argv, "--passphrase-file", "pass")
    assert listed["entries"] == 1 and not listed["stale"]
    text = terminal.openssl("crl", "-in", "root.crl.pem", "-noout", "-text")
    assert "CA Compromise" in text


@on_sqlite
def test_serial_numbers_that_name_nothing_or_too_much(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    first, second = issue(terminal, "one"), issue(terminal, "two")
    rows = "UPDATE ca_certificate SET serial = ? WHERE serial = ?"
    terminal.sql(rows, "abcdef01", first["serial"])
    terminal.sql(rows, "abcdef02", second["serial"])
    argv = ("--format", "pem", "--out", "found.pem")
    assert "abcdef01" in terminal.refuses("serial_ambiguous", "export", "abcd", *argv)
    terminal.refuses("serial_unknown", "export", "abcdef03", *argv)
    terminal.refuses("serial_unknown", "export", "abcd", *argv, "--issuer", "Example Root")
    for malformed in ("", "xyz", ":"):
        terminal.refuses("serial_malformed", "export", malformed, *argv)
    assert not (terminal.folder / "found.pem").exists()
    assert terminal.does("export", "0xABCDEF01", *argv)["serial"] == "abcdef01"


@on_sqlite
def test_every_format_is_written(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    serial = issue(terminal, "many")["serial"]
    read = {
        "pem": ("x509", "-noout", "-subject"),
        "der": ("x509", "-inform", "DER", "-noout", "-subject"),
        "fullchain": ("x509", "-noout", "-subject"),
        "p7b": ("pkcs7", "-inform", "DER", "-print_certs", "-noout"),
        "p12": ("pkcs12", "-passin", "pass:changeit", "-nokeys"),
    }
    for form, command in read.items():
        written = terminal.does("export", serial, "--format", form, "--out", f"many.{form}")
        assert written["file"] == f"many.{form}"
        said = terminal.openssl(*command, "-in", f"many.{form}")
        assert "mail1.example.test" in said, (form, said)
    root = terminal.does("export", serial, "--format", "root", "--out", "trusted.pem")
    assert root["format"] == "root"
    assert "OK" in terminal.verify("many/cert.pem", "trusted.pem")
    assert "fullchain" in terminal.refuses(
        "form_unknown", "export", serial, "--format", "jpg", "--out", "many.jpg"
    )
    terminal.refuses("file_exists", "export", serial, "--format", "pem", "--out", "many.pem")
    terminal.refuses("folder_missing", "export", serial, "--format", "pem", "--out", "nope/x.pem")


@on_sqlite
def test_renewing_keeps_the_key_or_makes_a_new_one(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    old = issue(terminal, "renewed", "--days", "40")
    new = terminal.does("renew", old["serial"], "--out", "renewed", "--force")
    assert new["renews"] == old["serial"] != new["serial"] and new["names"] == old["names"]
    public = terminal.openssl("x509", "-in", "renewed/cert.pem", "-noout", "-pubkey")
    assert public == terminal.openssl("pkey", "-in", "renewed/key.pem", "-pubout")
    assert "OK" in terminal.verify("renewed/cert.pem", "root.pem")
    terminal.refuses("renewed_already", "renew", old["serial"])
    terminal.refuses("out_missing", "renew", new["serial"], "--new-key")
    terminal.refuses("file_exists", "renew", new["serial"], "--new-key", "--out", "renewed")
    terminal.does("renew", new["serial"], "--new-key", "--out", "other")
    key = terminal.openssl("pkey", "-in", "other/key.pem", "-pubout")
    assert key == terminal.openssl("x509", "-in", "other/cert.pem", "-noout", "-pubkey") != public
    terminal.refuses("renewal_authority", "renew", issuer["serial"])


@on_sqlite
def test_an_authority_made_by_hand_crosses_over(terminal: Terminal) -> None:
    made = by_hand()
    old = terminal.folder / "CA"
    (old / "certs").mkdir(parents=True)
    terminal.write("CA/root.crt", made.root)
    terminal.write("CA/root.key", made.key)
    terminal.write("CA/serial", made.serial)
    for name, content in made.issued():
        terminal.write(f"CA/{name}", content)
    terminal.write("CA/certs/README", "nothing")
    terminal.write("oldpass", OLD_PASSPHRASE + "\n")
    argv = ["--name", "My Root CA", "--cert", "CA/root.crt", "--key", "CA/root.key"]
    whole = [*argv, "--serial-file", "CA/serial", "--certs", "CA/certs"]
    terminal.refuses("import_passphrase_wrong", "import_ca", *argv, "--passphrase-file", "pass")
    taken = terminal.does("import_ca", *whole, "--passphrase-file", "oldpass")
    assert sum(taken["certificates"].values()) == 3 and taken["serial_floor"]
    assert [each["file"] for each in taken["left_out"]] == ["README"]
    reports = [*taken["noted"], *taken["left_out"]]
    assert all(each["reason"] not in ("", each["code"]) for each in reports)
    terminal.refuses("name_taken", "import_ca", *whole, "--passphrase-file", "oldpass")
    strict = ("verify", "-x509_strict", "-auth_level", "2", "-check_ss_sig", "-CAfile")
    assert "OK" not in terminal.openssl(*strict, "CA/root.crt", "CA/certs/myhost.crt")
    argv = ["reissue_root", "My Root CA"]
    terminal.refuses("wrong_passphrase", *argv, "--passphrase-file", "pass")
    anew = terminal.does(*argv, "--passphrase-file", "oldpass")
    assert anew["replaces"] == taken["serial"]
    terminal.write("anew.pem", anew["certificate"])
    assert "OK" in terminal.openssl(*strict, "anew.pem", "anew.pem")
    assert "OK" in terminal.openssl(
        "verify", "-auth_level", "0", "-CAfile", "anew.pem", "CA/certs/myhost.crt"
    )
    argv = ["--root", "My Root CA", "--name", "Crossed Issuing", "--passphrase-file", "oldpass"]
    terminal.does("create_issuer", *argv, "--permit", "example.test")
    argv = ["--issuer", "Crossed Issuing", "--name", "mail.example.test", "--out", "crossed"]
    terminal.does("issue", *argv)
    assert "OK" in terminal.verify("crossed/cert.pem", "anew.pem")


@on_sqlite
def test_what_cannot_be_made_says_why(terminal: Terminal, root, issuer) -> None:  # type: ignore[no-untyped-def]
    before = terminal.sql("SELECT count(*) FROM ca_issuer")
    made = ["create_root", "--name", "Other Root", "--algorithm", "p256", "--passphrase-file"]
    terminal.refuses("file_missing", *made, "no-such-file")
    terminal.refuses("file_unreadable", *made, ".")
    terminal.refuses("passphrase_empty", *made, terminal.write("empty", "\n"))
    terminal.refuses(
        "passphrase_lines", *made, terminal.write("lines", "six honest\nserving men\n")
    )
    terminal.refuses("passphrase_not_text", *made, terminal.write("bytes", b"\xff\xfe"))
    terminal.refuses("file_big", *made, terminal.write("big", "x" * 5000))
    assert "12" in terminal.refuses("passphrase_short", *made, terminal.write("short", "short"))
    terminal.refuses("name_taken", *made[:1], "--name", "Example Root", *made[3:], "pass")
    terminal.refuses("days_long", *made, "pass", "--days", "99999")
    assert "rsa2048" in terminal.refuses(
        "usage", *made[:3], "--algorithm", "dsa", *made[5:], "pass"
    )
    below = ["create_issuer", "--root", "Example Root", "--name", "Other", "--passphrase-file"]
    sentence = terminal.refuses("constraints_missing", *below, "pass")
    assert "--permit" in sentence and "--unconstrained" in sentence
    limits = ("--permit", "example.test")
    terminal.refuses("usage", *below, "pass", *limits, "--unconstrained")
    terminal.refuses("name_control", *below, "pass", "--permit", "not a domain")
    wrong = terminal.write("wrong", "six dishonest serving men")
    terminal.refuses("wrong_passphrase", *below, wrong, *limits)
    terminal.refuses("token_none", *below, "pass", *limits, "--token")
    argv = ["create_issuer", "--root", "Example Root", "--name", "Other", *limits]
    terminal.refuses("passphrase_missing", *argv)
    terminal.refuses("not_a_root", "reissue_root", "Example Issuing", "--passphrase-file", "pass")
    assert terminal.sql("SELECT count(*) FROM ca_issuer") == before
    people = terminal.run(*below, "pass")
    assert (people.status, people.out) == (1, "") and people.err.strip() == sentence


@on_sqlite
def test_a_passphrase_that_others_can_read_is_taken_with_a_warning(
    terminal: Terminal, root
) -> None:  # type: ignore[no-untyped-def]
    path = terminal.write("open", PASSPHRASE, mode=0o644)
    argv = ["crl", "--issuer", "Example Root", "--passphrase-file", path, "--out", "open.crl"]
    answer = terminal.run(*argv, "--json")
    assert answer.status == 0 and answer.json["issuer"] == "Example Root"
    assert f"chmod 600 {path}" in answer.err and PASSPHRASE not in answer.out + answer.err


@on_sqlite
def test_who_does_it_is_in_the_audit_log(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    make = "from core.models import Operator as O; O.objects.create_user({!r}, role={!r})"
    for name, role in (("viewer", "auditor"), ("operator", "administrator")):
        assert terminal.run("shell", "--no-imports", "-c", make.format(name, role)).status == 0
    named = ("--issuer", "Example Issuing", "--name", "mail5.example.test", "--out", "mail5")
    assert "Owner" in terminal.refuses("operator_may_not", "issue", *named, "--as", "viewer")
    assert "viewer" in terminal.refuses("operator_unknown", "issue", *named, "--as", "nobody")
    terminal.does("issue", *named, "--as", "operator")
    found = terminal.sql(
        "SELECT address FROM core_auditevent WHERE actor_name = 'operator' AND action = ?",
        "ca.order.requested",
    )
    assert found == [("local",)]
    # Such a certificate lets its holder say "not revoked" of any other.
    responder = ("--issuer", "Example Issuing", "--profile", "ocsp", "--out", "mail7")
    terminal.refuses("operator_may_not", "issue", *responder, "--as", "operator")
    revoking = ("revoke", issuer["serial"], "--reason", "unspecified", "--as", "operator")
    terminal.refuses("operator_may_not", *revoking)


@on_sqlite
def test_a_user_without_the_keys_is_told_what_to_do(terminal: Terminal, issuer) -> None:  # type: ignore[no-untyped-def]
    (terminal.folder / "nothing").mkdir(exist_ok=True)
    env = {"CREDENTIALS_DIRECTORY": str(terminal.folder / "nothing")}
    named = ("--issuer", "Example Issuing", "--name", "mail6.example.test", "--out", "mail6")
    sentence = terminal.refuses("keys_not_held", "issue", *named, "--wait", "0.1", **env)
    assert "Start the console" in sentence and env["CREDENTIALS_DIRECTORY"] in sentence
    assert not any((terminal.folder / "mail6").glob("*"))
    # Nobody would have the key of what is signed later; a request's owner has his.
    newest = "SELECT state, reason_code FROM ca_order ORDER BY id DESC LIMIT 1"
    assert terminal.sql(newest) == [("refused", "cancelled")]
    csr = terminal.write("mail6.csr", request_for("mail6.example.test"), mode=0o644)
    named = ("--issuer", "Example Issuing", "--csr", csr, "--out", "mail6", "--wait", "0.1")
    assert "stays asked for" in terminal.refuses("keys_not_held", "issue", *named, **env)
    assert terminal.sql(newest) == [("requested", "")]
    argv = ["create_root", "--name", "Keyless Root", "--passphrase-file", "pass"]
    terminal.refuses("keys_not_held_passphrase", *argv, **env)
    assert not terminal.sql("SELECT 1 FROM ca_ceremony WHERE wish LIKE '%Keyless%'")


@on_sqlite
def test_a_database_from_before_is_left_alone(terminal: Terminal, root) -> None:  # type: ignore[no-untyped-def]
    last = "SELECT id, app, name, applied FROM django_migrations WHERE app = 'ca' ORDER BY id DESC"
    row = terminal.sql(last)[0]
    terminal.sql("DELETE FROM django_migrations WHERE id = ?", row[0])
    try:
        argv = ("crl", "--issuer", "Example Root", "--out", "never.crl")
        assert "migrate" in terminal.refuses("database_old", *argv)
    finally:
        terminal.sql("INSERT INTO django_migrations VALUES (?, ?, ?, ?)", *row)


@on_sqlite
def test_help_names_every_option(terminal: Terminal) -> None:
    for command in sorted(privileges.FILES_OF_CALLER):
        answer = terminal.run(command, "--help")
        assert answer.status == 0, answer.err
        assert "--json" in answer.out and "./run manage" in answer.out
        assert "--settings" not in answer.out.split("options:")[1]
    misused = terminal.run("issue")
    assert misused.status == 1 and "--issuer" in misused.err and not misused.out


# Beside a running console


@pytest.fixture
def order(issuing, owner, now) -> Order:  # type: ignore[no-untyped-def]
    name = "mail1.example.test"
    return issuance.request(
        profile="host", names=[name], issuer=issuing, csr_pem=request_for(name), by=owner, at=now
    )


def settled(order: Order, work, patience: float = 5) -> Order:  # type: ignore[no-untyped-def]
    return inline.carry_out(
        order, work, ends=lambda each: each.is_final, role="sign", patience=patience
    )


@pytest.mark.django_db
def test_a_running_signer_that_is_quicker_is_waited_for(order: Order, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from ca import tasks

    at = timezone.now()
    other = leases.claim(Order.objects.due(at), order.pk, worker="elsewhere:1", at=at)
    assert other is not None
    asked = []

    def work(pk: int) -> None:
        asked.append(pk)
        tasks.sign_order(pk)  # does nothing while the other holds it
        if len(asked) == 2:
            issuance.sign(order=other, at=at)

    monkeypatch.setattr(inline, "PAUSE", 0.01)
    ended = settled(order, work)
    assert ended.state == Order.ISSUED and len(asked) == 2


@pytest.mark.django_db
def test_a_lease_that_was_lost_is_no_error(order: Order, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from ca import tasks

    asked = []

    def work(pk: int) -> None:
        asked.append(pk)
        if len(asked) == 1:
            raise leases.LeaseLost
        tasks.sign_order(pk)

    monkeypatch.setattr(inline, "PAUSE", 0.01)
    assert settled(order, work).state == Order.ISSUED


@pytest.mark.django_db
def test_who_does_not_hold_the_keys_only_waits(order: Order, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delitem(seal._held, seal.AUTHORITY)
    monkeypatch.setattr(inline, "PAUSE", 0.01)
    with pytest.raises(inline.NotCarriedOut) as waited:
        settled(order, pytest.fail, patience=0.05)
    assert not waited.value.holds
    order.refresh_from_db()
    assert order.state == Order.REQUESTED
