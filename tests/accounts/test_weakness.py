"""The audit of passwords: what it finds, that it goes on where it was, that it stays polite."""

import datetime
import io
import json
import os
import threading
from typing import Any

import pytest
from argon2 import PasswordHasher
from django.core.management import call_command

from accounts import flags, guessing, lifecycle, weakness
from accounts.models import Flag, Mailbox, WeaknessAudit, WeaknessVerdict
from accounts.weakness import AuditRuns, NoAuditRuns
from core import leases
from core.models import AuditEvent

from .conftest import AT, GOOD

pytestmark = pytest.mark.django_db

SHA512 = (
    "$6$abcd$0hbuxcyLmVJpOFD1dHvBE.vN4.ONpQkByckphjN7LYb43y8Bqgx5UIaysGixdrlsHzRTF.NmTgs3RLhzxmlTU0"
)
# Of "test", as each kind of host wrote it.
HASHES = {
    "sha512": "{SHA512-CRYPT}" + SHA512,
    "sha256": "{SHA256-CRYPT}$5$abcd$PjbU8dHQa3go8eAn1HScqK6HWfPjnkdOiKz6FaZCJK9",
    "md5": "{CRYPT}$1$abcd$T2SbKcrpFB8biuNpvb0F4.",
    "bcrypt": "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuuMceFj4VbmHOj8C7PetMxzZkwre/z.Ri",
    "yescrypt": "{CRYPT}$y$j9T$abcd$Yoq0ugdj8cuJNvKBGqFsYVyCwaqB6qqRWNIKZVV.m2C",
    "crypt": "{CRYPT}" + SHA512,
    "argon2id": "{ARGON2ID}" + PasswordHasher(1, 8, 1).hash("test"),
}


def mailbox(domain: Any, local: str, stored: str) -> Mailbox:
    """As an import makes it: nobody judged the password."""
    return Mailbox.objects.create(
        domain=domain, local_part=local, address=f"{local}@{domain.name}", password=stored,
        password_set_at=AT, state_since=AT, created_at=AT,
    )  # fmt: skip


def claimed(audit: WeaknessAudit, at: datetime.datetime = AT) -> WeaknessAudit:
    row = leases.claim(WeaknessAudit.objects.due(at), audit.pk, worker="one", at=at)
    assert row is not None
    return row


def run(audit: WeaknessAudit) -> WeaknessAudit:
    weakness.work(audit=claimed(audit), clock=lambda: AT)
    audit.refresh_from_db()
    return audit


@pytest.mark.parametrize("kind", HASHES)
def test_the_account_of_the_story_is_flagged_within_one_audit(kind: str, domain: Any) -> None:
    mailbox(domain, "test", HASHES[kind])
    audit = run(weakness.start(by=None, at=AT))
    assert (audit.state, audit.total, audit.looked_at, audit.found) == ("done", 1, 1, 1)
    flag = Flag.objects.get(kind="weak")
    assert (flag.evidence, flag.risk, flag.sure) == ({"reason": "equals_name"}, 3, "certain")
    assert Flag.objects.get(kind="test_named").risk == 3
    assert WeaknessVerdict.objects.get().reason == "equals_name"


def test_no_password_is_stored(domain: Any) -> None:
    hasher = PasswordHasher(1, 8, 1)
    mailbox(domain, "marie", "{ARGON2ID}" + hasher.hash("marie1234"))
    run(weakness.start(by=None, at=AT))
    rows = [*Flag.objects.values(), *WeaknessVerdict.objects.values(), *AuditEvent.objects.values()]
    assert "name_and_digits" in str(rows)
    assert "marie1234" not in str(rows)


def test_a_good_password_is_not_found(anna: Mailbox) -> None:
    audit = run(weakness.start(by=None, at=AT))
    assert (audit.looked_at, audit.found) == (1, 0)
    assert WeaknessVerdict.objects.get().reason == ""
    assert not Flag.objects.filter(kind="weak").exists()


@pytest.mark.parametrize(
    "address", ["test@example.test", "aa@aa.test", "anna.maria-long@a-long-name.example.test"]
)
def test_the_guesses_are_few_and_each_is_another(address: str) -> None:
    guesses = guessing.candidates(address, year=2026)
    assert len(guesses) <= guessing.MOST
    assert len({password for password, _reason in guesses}) == len(guesses)
    assert guesses[0] == (address.partition("@")[0], "equals_name")


def test_every_class_of_guess_is_reached() -> None:
    said = dict(guessing.candidates("anna@acme.test", year=2026))
    for password in ("anna", "anna123", "anna2026", "annaanna", "anna@acme.test", "acme2026"):
        assert password in said
    assert said["changeme"] == said["admin"] == "common"


def test_nothing_is_guessed_twice(domain: Any, monkeypatch: Any) -> None:
    mailbox(domain, "bob", HASHES["md5"].replace("T2S", "T2T"))
    tried = counted(monkeypatch)
    run(weakness.start(by=None, at=AT))
    assert 0 < len(tried) <= guessing.MOST
    tried.clear()
    audit = run(weakness.start(by=None, at=AT))
    assert (len(tried), audit.looked_at) == (0, 1)
    Mailbox.objects.update(password=HASHES["sha256"])
    run(weakness.start(by=None, at=AT))
    assert tried


def test_a_worker_that_is_killed_is_followed_at_the_same_account(
    domain: Any, monkeypatch: Any
) -> None:
    for number in range(4):
        mailbox(domain, f"box{number}", HASHES["md5"])
    real = guessing.fits
    tried: list[str] = []

    def dies(stored: str, password: str) -> bool:
        tried.append(password)
        if password == "box2":
            raise KeyboardInterrupt
        return real(stored, password)

    audit = weakness.start(by=None, at=AT)
    monkeypatch.setattr(guessing, "fits", dies)
    with pytest.raises(KeyboardInterrupt):
        weakness.work(audit=claimed(audit), clock=lambda: AT)
    audit.refresh_from_db()
    assert (audit.state, audit.looked_at, audit.found) == ("running", 2, 2)
    assert Flag.objects.filter(kind="weak").count() == 2

    again = counted(monkeypatch, real)
    later = AT + datetime.timedelta(minutes=5)
    weakness.work(audit=claimed(audit, later), clock=lambda: later)
    audit.refresh_from_db()
    assert (audit.state, audit.looked_at, audit.found) == ("done", 4, 4)
    assert not {"box0", "box1"} & set(again)


def test_accounts_named_like_a_test_come_first(domain: Any, monkeypatch: Any) -> None:
    for local in ("anna", "bob", "test", "scan-2"):
        mailbox(domain, local, HASHES["md5"])
    tried = counted(monkeypatch)
    run(weakness.start(by=None, at=AT))
    firsts = [each for each in tried if each in ("anna", "bob", "test", "scan-2")]
    assert list(dict.fromkeys(firsts))[0:2] == ["test", "scan-2"]


def test_then_come_those_that_nobody_uses(domain: Any, monkeypatch: Any) -> None:
    names = ("anna", "bob", "carl", "dora", "test")
    stored = HASHES["md5"].replace("T2S", "T2T")  # none of the guesses fits
    rows = {local: mailbox(domain, local, stored) for local in names}
    later = AT + datetime.timedelta(hours=1)
    for local, kind, found_at in (
        ("carl", "dormant", AT), ("bob", "never_used", AT), ("dora", "never_used", later),
        ("test", "dormant", AT), ("anna", "no_owner", AT),
    ):  # fmt: skip
        Flag.objects.create(mailbox=rows[local], kind=kind, since=AT, found_at=found_at)
    tried = counted(monkeypatch)
    audit = run(weakness.start(by=None, at=AT))
    firsts = [each for each in tried if each in names]
    assert list(dict.fromkeys(firsts)) == ["test", "bob", "carl", "anna", "dora"]
    assert (audit.looked_at, audit.total) == (5, 5), "each once, whatever was flagged meanwhile"


COSTLY = {
    "argon2id": "{ARGON2ID}$argon2id$v=19$m=1048576,t=4,p=1$c2FsdHNhbHQ$" + "a" * 43,
    "bcrypt": "{BLF-CRYPT}$2y$15$abcdefghijklmnopqrstuuMceFj4VbmHOj8C7PetMxzZkwre/z.Ri",
    "sha512": "{SHA512-CRYPT}$6$rounds=5000000$abcd$" + "a" * 86,
}


@pytest.mark.parametrize("kind", COSTLY)
def test_what_would_take_too_long_is_counted_and_not_tried(
    kind: str, domain: Any, monkeypatch: Any
) -> None:
    row = mailbox(domain, "test", COSTLY[kind])
    tried = counted(monkeypatch)
    audit = run(weakness.start(by=None, at=AT))
    assert (tried, audit.looked_at, audit.found) == ([], 1, 0)
    assert weakness.too_costly() == 1
    flags.refresh(at=AT)
    assert not Flag.objects.filter(kind="weak").exists()
    assert run(weakness.start(by=None, at=AT)).found == 0
    later = AT + datetime.timedelta(hours=1)
    lifecycle.set_password(mailbox=row, password=GOOD, by=None, at=later)
    assert weakness.too_costly() == 0


@pytest.mark.parametrize("kind", HASHES)
def test_what_is_tried_does_not_cost_too_much(kind: str) -> None:
    assert not guessing.too_costly(HASHES[kind])


def test_it_gives_way_after_a_slice(domain: Any) -> None:
    for number in range(3):
        mailbox(domain, f"box{number}", HASHES["md5"])
    audit = weakness.start(by=None, at=AT)
    ticks = (AT + datetime.timedelta(seconds=number) for number in range(10_000))
    weakness.work(audit=claimed(audit), clock=lambda: next(ticks))
    audit.refresh_from_db()
    assert (audit.state, audit.lease_until) == ("running", None)
    assert audit.looked_at < 3


def test_it_runs_at_the_lowest_priority_and_the_worker_does_not(
    domain: Any, monkeypatch: Any
) -> None:
    mailbox(domain, "box", HASHES["md5"])
    nice: list[int] = []

    def looks(stored: str, password: str) -> bool:
        nice.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return False

    monkeypatch.setattr(guessing, "fits", looks)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    run(weakness.start(by=None, at=AT))
    assert set(nice) == {19}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_stopping_takes_it_from_the_worker(anna: Mailbox, owner: Any) -> None:
    audit = weakness.start(by=owner, at=AT)
    with pytest.raises(AuditRuns):
        weakness.start(by=owner, at=AT)
    held = claimed(audit)
    weakness.stop(by=owner, at=AT)
    with pytest.raises(leases.LeaseLost):
        weakness.work(audit=held, clock=lambda: AT)
    with pytest.raises(NoAuditRuns):
        weakness.stop(by=owner, at=AT)
    audit.refresh_from_db()
    assert audit.state == "stopped"
    assert not WeaknessVerdict.objects.exists()


def test_a_new_password_takes_the_flag_away(domain: Any) -> None:
    row = mailbox(domain, "bob", HASHES["md5"])
    assert run(weakness.start(by=None, at=AT)).found == 1
    lifecycle.set_password(mailbox=row, password=GOOD, by=None, at=AT)
    flags.refresh(at=AT)
    assert not Flag.objects.filter(kind="weak").exists()


@pytest.mark.parametrize(
    "stored",
    [
        "", "{PLAIN}test", "test", "{CRYPT}abgOeLfPimXQo", "{CRYPT}$6$",
        "{ARGON2ID}$argon2id$v=19$m=9999999,t=9,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        "{BLF-CRYPT}$2y$16$abcdefghijklmnopqrstuuMceFj4VbmHOj8C7PetMxzZkwre/z.Ri",
        "{SHA512-CRYPT}$6$rounds=9999999$abcd$" + "a" * 86,
    ],
)  # fmt: skip
def test_what_costs_too_much_or_is_unknown_is_left_alone(stored: str) -> None:
    assert not guessing.fits(stored, "test")


def counted(monkeypatch: Any, real: Any = guessing.fits) -> list[str]:
    tried: list[str] = []

    def fits(stored: str, password: str) -> bool:
        tried.append(password)
        return real(stored, password)

    monkeypatch.setattr(guessing, "fits", fits)
    return tried


def test_the_command_goes_to_the_end_and_says_what_was_found(domain: Any) -> None:
    mailbox(domain, "test", HASHES["argon2id"])
    mailbox(domain, "anna", HASHES["md5"].replace("T2S", "T2T"))
    said = io.StringIO()
    call_command("audit_passwords", "--json", stdout=said)
    assert json.loads(said.getvalue()) == {
        "state": "done",
        "accounts": 2,
        "found": 1,
        "weak": [{"address": "test@example.test", "reason": "equals_name"}],
    }


def test_the_command_takes_up_the_audit_that_was_left(anna: Mailbox) -> None:
    audit = weakness.start(by=None, at=AT)
    call_command("audit_passwords", stdout=io.StringIO())
    audit.refresh_from_db()
    assert (audit.state, WeaknessAudit.objects.count()) == ("done", 1)
