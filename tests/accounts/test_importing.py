"""Accounts out of a file: what lands, what is said of the rest, what a killed worker leaves."""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
from typing import Any

import pytest
from django.utils import timezone

from accounts import aliases, exporting, import_rows, importing, lifecycle, reading, tasks, weakness
from accounts.hashing import hash_password, matches
from accounts.importing import Choices
from accounts.models import (
    AccountImport,
    Change,
    Domain,
    Erasure,
    Flag,
    ImportOutcome,
    Mailbox,
    WeaknessAudit,
)
from accounts.sentences import SENTENCES
from core import leases, seal
from core.models import AuditEvent
from tests.accounts.conftest import AT, GOOD, HOST

pytestmark = pytest.mark.django_db
MINUTES = datetime.timedelta(minutes=3)
MD5_OF_TEST = "{CRYPT}$1$abcd$T2SbKcrpFB8biuNpvb0F4."
SHA512 = "{SHA512-CRYPT}$6$saltsalt$" + "a" * 86


def ask(
    content: str | bytes, *, dry_run: bool = False, by: Any = None, **choices: bool
) -> AccountImport:
    data = content.encode() if isinstance(content, str) else content
    total = hashlib.sha256()
    return importing.request(
        rows=reading.read(io.BytesIO(data), total=total),
        total=total,
        name="staff.csv",
        choices=Choices(**choices),
        dry_run=dry_run,
        by=by,
        at=AT,
    )


def claimed(batch: AccountImport, at: datetime.datetime = AT) -> AccountImport:
    row = leases.claim(AccountImport.objects.due(at), batch.pk, worker="me", at=at)
    assert row is not None
    return row


def done(batch: AccountImport) -> AccountImport:
    importing.work(batch=claimed(batch), clock=lambda: AT)
    batch.refresh_from_db()
    return batch


def brought(content: str | bytes, **how: Any) -> AccountImport:
    return done(ask(content, **how))


def counts(batch: AccountImport) -> dict[str, int]:
    found = {name: getattr(batch, name) for name in importing.OUTCOMES}
    return {name: count for name, count in found.items() if count}


def codes(batch: AccountImport) -> list[list[str]]:
    rows = ImportOutcome.objects.filter(batch=batch).order_by("line")
    for row in rows:
        for code, values in row.reasons:
            assert str(SENTENCES[code]) % values
    return [[code for code, _values in row.reasons] for row in rows]


def many(count: int) -> str:
    return "address,password_hash\n" + "".join(
        f"user{n}@example.test,{SHA512}\n" for n in range(count)
    )


def test_hashes_and_clear_passwords_come_in(
    domain: Any, owner: Any, sent_nudges: Any, django_capture_on_commit_callbacks: Any
) -> None:
    content = (
        "address,password,password_hash,display_name,quota_mb,state\n"
        f"bert@example.test,,{SHA512},Bert,500,suspended\n"
        f"cora@example.test,{GOOD},,Cora,,\n"
    )
    before = Change.objects.count()
    with django_capture_on_commit_callbacks(execute=True):
        batch = brought(content, by=owner)
    assert (batch.state, counts(batch)) == ("done", {"created": 2})
    bert, cora = Mailbox.objects.order_by("address")
    assert (bert.password, bert.quota_mb, bert.state) == (SHA512, 500, "suspended")
    assert matches(cora.password, GOOD) and cora.state == "active"
    assert Change.objects.count() - before == 2
    # One message a host and part.
    assert [pk for task, pk in sent_nudges if task == "deploy.push_accounts"] == [HOST]
    assert not batch.parts.exists()
    asked, ended = AuditEvent.objects.filter(action__startswith="accounts.import").order_by("pk")
    assert (asked.action, ended.action) == ("accounts.import.requested", "accounts.import.done")
    digest = hashlib.sha256(b"bert@example.test\ncora@example.test\n").hexdigest()
    assert ended.detail["sha256"] == digest
    assert ended.actor == owner
    assert GOOD not in str(list(AuditEvent.objects.values_list("detail", flat=True)))


def test_nothing_readable_waits_in_the_database(domain: Any) -> None:
    batch = ask(f"address,password\nbert@example.test,{GOOD}\n")
    (part,) = batch.parts.all()
    assert b"bert" not in bytes(part.rows)
    with pytest.raises(seal.SealBroken):
        seal.open_as_worker(bytes(part.rows), context="accounts.import other 0")


def test_the_same_file_twice_changes_nothing(domain: Any) -> None:
    content = (
        "address,password,password_hash,display_name\n"
        f"bert@example.test,,{SHA512},Bert\n"
        f"cora@example.test,{GOOD},,Cora\n"
    )
    brought(content)
    rows, changes = list(Mailbox.objects.values()), Change.objects.count()
    assert counts(brought(content, update_existing=True)) == {"unchanged": 2}
    assert list(Mailbox.objects.values()) == rows
    assert Change.objects.count() == changes


def test_rows_that_fail_leave_the_others_alone(domain: Any, anna: Any, owner: Any) -> None:
    aliases.create(domain=domain, local_part="info", targets=["anna@example.test"], by=owner, at=AT)
    content = (
        "address,password,display_name\n"
        f"bert@example.test,{GOOD},\n"
        f"x y@example.test,{GOOD},\n"
        "test@example.test,test,\n"
        f"info@example.test,{GOOD},\n"
        f"who@elsewhere.test,{GOOD},\n"
        "cora@example.test,,\n"
        f"bert@example.test,{GOOD},\n"
        f"anna@example.test,{GOOD},Anna B.\n"
        f"dora@example.test,{GOOD}1,\n"
    )
    batch = brought(content)
    assert counts(batch) == {"created": 2, "refused": 7}
    assert codes(batch) == [
        [],
        ["local_characters"],
        ["too_short", "equals_name", "common", "guessable"],
        ["import_alias"],
        ["import_no_domain"],
        ["password_missing"],
        ["row_twice"],
        ["import_differs"],
        [],
    ]
    assert set(Mailbox.objects.values_list("local_part", flat=True)) == {"anna", "bert", "dora"}


def test_existing_accounts_change_where_it_was_chosen(anna: Any) -> None:
    content = f"address,display_name,password_hash\nanna@example.test,Anna B.,{SHA512}\n"
    batch = brought(content, update_existing=True)
    anna.refresh_from_db()
    assert counts(batch) == {"updated": 1}
    assert (anna.display_name, anna.password, anna.revision) == ("Anna B.", SHA512, 2)
    assert "anna b." in anna.search_text
    assert Change.objects.latest("id").end_sessions


def test_empty_cells_say_nothing(anna: Any) -> None:
    content = "address,display_name,owner_contact,quota_mb,note,state\nanna@example.test,,,,,\n"
    assert counts(brought(content, update_existing=True)) == {"unchanged": 1}


def test_domains_are_made_where_it_was_chosen(db: None) -> None:
    content = f"address,password_hash\na@new.test,{SHA512}\nb@new.test,{SHA512}\n"
    assert counts(brought(content)) == {"refused": 2}
    assert counts(brought(content, make_domains=True)) == {"created": 2}
    assert Domain.objects.get().name == "new.test"


def test_a_domains_limits_hold(domain: Any) -> None:
    Domain.objects.update(most_mailboxes=1, most_quota_mb=100, quota_mb=50)
    content = (
        "address,password_hash,quota_mb\n"
        f"bert@example.test,{SHA512},\n"
        f"cora@example.test,{SHA512},\n"
        f"dora@example.test,{SHA512},101\n"
    )
    assert codes(brought(content)) == [[], ["import_domain_full"], ["import_quota_most"]]
    assert Mailbox.objects.get().quota_mb == 50


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_domains_limit_holds_beyond_a_part(
    domain: Any, anna: Any, dry_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run says of 25 lines in three parts what the import then does, in whatever pieces."""
    monkeypatch.setattr(importing, "PART", 10)
    monkeypatch.setattr(importing, "SLICE", datetime.timedelta(0))
    Domain.objects.update(most_mailboxes=18)
    batch = ask(many(25), dry_run=dry_run)
    ticks = (AT + datetime.timedelta(minutes=number) for number in range(1000))
    while batch.state == AccountImport.RUNNING:
        at = next(ticks)
        importing.work(batch=claimed(batch, at), clock=lambda: next(ticks), slice_=MINUTES)
        batch.refresh_from_db()
    assert counts(batch) == {"created": 17, "refused": 8}
    assert codes(batch) == [[]] * 17 + [["import_domain_full"]] * 8
    assert Mailbox.objects.count() == (1 if dry_run else 18)


def temporary(*rows: str, **how: Any) -> AccountImport:
    lines = [f"{name}@example.test,{SHA512},{rest}" for name, _at, rest in map(_parted, rows)]
    head = "address,password_hash,expires_at,owner_contact"
    return brought("\n".join([head, *lines, ""]), **how)


def _parted(row: str) -> tuple[str, str, str]:
    return row.partition(" ")


def test_temporary_accounts_come_in_with_their_end_and_an_owner(domain: Any) -> None:
    batch = temporary(
        "visit 2027-01-31,Bert",
        "moment 2027-01-31T12:00:00+00:00,Bert",
        "test 2027-01-31,Bert",
        "lonely 2027-01-31,",
        "late 2026-11-23,Bert",
        "odd soon,Bert",
        "odd2 2027-02-30,Bert",
        "for-good ,Bert",
    )
    assert codes(batch) == [
        [], [], [], ["import_owner_missing"], ["import_expired"], ["row_expires_at"],
        ["row_expires_at"], [],
    ]  # fmt: skip
    ends = dict(Mailbox.objects.values_list("local_part", "expires_at"))
    local = timezone.localtime(ends["visit"])
    assert (str(local.date()), local.hour, local.minute) == ("2027-01-31", 23, 59)
    assert ends["moment"] == datetime.datetime(2027, 1, 31, 12, tzinfo=datetime.UTC)
    assert ends["for-good"] is None
    assert Mailbox.objects.get(local_part="test").name_reason == "", "temporary is reason enough"


def test_an_end_changes_and_what_was_exported_changes_nothing(domain: Any) -> None:
    temporary("visit 2027-01-31,Bert")
    same = temporary("visit 2027-01-31,")
    assert counts(same) == {"unchanged": 1}, "it has its owner"
    moved = temporary("visit 2027-02-28,", update_existing=True)
    assert counts(moved) == {"updated": 1}
    assert timezone.localtime(Mailbox.objects.get().expires_at).month == 2
    text = "".join(exporting.lines(Mailbox.objects.all()))
    assert ",2027-02-28T23:59:59" in text
    assert counts(brought(text.removeprefix("\ufeff"))) == {"unchanged": 1}
    Mailbox.objects.update(expires_at=AT - datetime.timedelta(days=3))
    text = "".join(exporting.lines(Mailbox.objects.all()))
    assert counts(brought(text.removeprefix("\ufeff"))) == {"unchanged": 1}, "past, and as it was"


def test_an_address_whose_mail_is_not_deleted_yet_says_so(anna: Any) -> None:
    Mailbox.objects.update(state="erased")
    Erasure.objects.create(address="anna@example.test", host=HOST, asked_at=AT)
    Erasure.objects.create(address="gone@example.test", host=HOST, asked_at=AT)
    Erasure.objects.create(address="done@example.test", host=HOST, asked_at=AT, state="done")
    names = ("anna", "gone", "done")
    content = "".join(f"{name}@example.test,{SHA512}\n" for name in names)
    batch = brought("address,password_hash\n" + content)
    assert codes(batch) == [["import_erasing"], ["import_erasing"], []]
    clear = brought(f"address,password\ngone@example.test,{GOOD}\n")
    assert codes(clear) == [["import_erasing"]]


def test_the_end_of_an_import_starts_an_audit(domain: Any, owner: Any) -> None:
    brought(many(1), dry_run=True)
    assert not WeaknessAudit.objects.exists()
    batch = brought(f"address,password_hash\ntest@example.test,{MD5_OF_TEST}\n", by=owner)
    audit = WeaknessAudit.objects.get()
    started = AuditEvent.objects.get(action="accounts.audit.started")
    assert (audit.asked_by, started.detail["import"]) == (owner, batch.pk)
    tasks.audit_passwords(audit.pk)
    assert Flag.objects.filter(kind="weak", mailbox__local_part="test").exists()
    brought(f"address,password_hash\ntest@example.test,{MD5_OF_TEST}\n")
    assert WeaknessAudit.objects.count() == 1, "nothing came in"


def test_what_came_in_while_an_audit_ran_is_looked_at_by_the_next(domain: Any) -> None:
    running = weakness.start(by=None, at=AT - datetime.timedelta(hours=1))
    WeaknessAudit.objects.update(round=weakness.ALL_OTHERS)
    brought(f"address,password_hash\ntest@example.test,{MD5_OF_TEST}\n")
    assert WeaknessAudit.objects.get() == running
    tasks.audit_passwords(running.pk)
    assert not Flag.objects.filter(kind="weak").exists()
    following = WeaknessAudit.objects.exclude(pk=running.pk).get()
    tasks.audit_passwords(following.pk)
    assert Flag.objects.filter(kind="weak", mailbox__local_part="test").exists()
    assert WeaknessAudit.objects.count() == 2


def test_a_name_like_a_test_comes_in_with_its_hash_and_says_how(domain: Any) -> None:
    hashed = hash_password("test")
    brought(f'address,password_hash\ntest@example.test,"{hashed}"\n')
    assert Mailbox.objects.get().name_reason == import_rows.NAME_REASON


def test_an_erased_address_is_not_handed_on(anna: Any) -> None:
    Mailbox.objects.update(state="erased")
    batch = brought(f"address,password_hash\nanna@example.test,{SHA512}\n", update_existing=True)
    assert codes(batch) == [["import_erased"]]


def test_a_dry_run_writes_nothing_and_can_be_followed(domain: Any, owner: Any) -> None:
    dry = brought(f"address,password\nbert@example.test,{GOOD}\n", dry_run=True)
    assert (counts(dry), Mailbox.objects.count()) == ({"created": 1}, 0)
    real = done(importing.for_real(batch=dry, by=owner, at=AT))
    assert (counts(real), Mailbox.objects.count()) == ({"created": 1}, 1)
    with pytest.raises(importing.ImportNotInState):
        importing.for_real(batch=dry, by=owner, at=AT)


def test_what_a_dry_run_read_is_forgotten_after_a_day(domain: Any) -> None:
    dry = brought(f"address,password\nbert@example.test,{GOOD}\n", dry_run=True)
    importing.forget(at=AT + importing.KEPT)
    assert dry.parts.exists()
    later = AT + importing.KEPT + datetime.timedelta(seconds=1)
    assert list(importing.forgotten(later)) == [dry]
    importing.forget(at=later)
    assert not dry.parts.exists()


class Killed(BaseException):
    pass


def test_a_killed_worker_leaves_whole_parts_and_its_successor_goes_on(
    domain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "PART", 10)
    batch = ask(many(35))
    real, parts = import_rows.write, []

    def dies(*args: Any, **named: Any) -> None:
        real(*args, **named)
        parts.append(1)
        if len(parts) == 3:
            raise Killed

    monkeypatch.setattr(import_rows, "write", dies)
    with pytest.raises(Killed):
        importing.work(batch=claimed(batch), clock=lambda: AT)
    batch.refresh_from_db()
    assert (batch.done, Mailbox.objects.count(), batch.created) == (20, 20, 20)
    monkeypatch.setattr(import_rows, "write", real)
    later = AT + datetime.timedelta(seconds=leases.SECONDS)
    importing.work(batch=claimed(batch, later), clock=lambda: later)
    batch.refresh_from_db()
    assert (batch.state, counts(batch)) == ("done", {"created": 35})
    assert Mailbox.objects.count() == 35
    assert ImportOutcome.objects.filter(batch=batch).count() == 35


def test_who_lost_the_lease_writes_nothing(domain: Any) -> None:
    batch = ask(many(3))
    slow = claimed(batch)
    later = AT + datetime.timedelta(seconds=leases.SECONDS)
    claimed(batch, later)
    with pytest.raises(leases.LeaseLost):
        importing.work(batch=slow, clock=lambda: AT)
    assert not Mailbox.objects.exists()


def test_a_worker_that_dies_again_and_again_ends_the_import(domain: Any) -> None:
    batch = ask(many(3))
    AccountImport.objects.update(fence=importing.MOST_CLAIMS)
    done(batch)
    assert (batch.state, batch.problem) == ("failed", "import_worker_failed")
    assert str(SENTENCES[batch.problem])


def test_cancelled_between_parts(domain: Any, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "PART", 10)
    batch = ask(many(30))
    real = import_rows.write

    def cancels(*args: Any, **named: Any) -> None:
        real(*args, **named)
        importing.cancel(batch=batch, by=owner, at=AT)

    monkeypatch.setattr(import_rows, "write", cancels)
    done(batch)
    assert (batch.state, counts(batch)) == ("cancelled", {"created": 10})
    assert Mailbox.objects.count() == 10 and not batch.parts.exists()
    with pytest.raises(importing.ImportNotInState):
        importing.cancel(batch=batch, by=owner, at=AT)


def test_the_worker_pauses_and_goes_on(domain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "PART", 10)
    monkeypatch.setattr(importing, "SLICE", datetime.timedelta(0))
    batch = ask(many(25))
    moments = iter(AT + datetime.timedelta(seconds=n) for n in range(99))
    importing.work(
        batch=claimed(batch),
        clock=lambda: next(moments),
        slice_=datetime.timedelta(seconds=3),
    )
    batch.refresh_from_db()
    assert batch.state == "running" and 0 < batch.done < 25 and batch.lease_until is None
    assert done(batch).created == 25


def test_two_imports_at_once_make_each_account_once(
    domain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ask(many(3)), ask(many(3))
    real, raced = import_rows.plan, []

    def slow(*args: Any, **named: Any) -> Any:
        plans = real(*args, **named)
        if not raced:
            raced.append(1)
            done(second)
        return plans

    monkeypatch.setattr(import_rows, "plan", slow)
    done(first)
    assert (counts(first), counts(second)) == ({"unchanged": 3}, {"created": 3})
    assert Mailbox.objects.count() == 3


def test_somebody_who_edits_meanwhile_is_not_overwritten(
    anna: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = ask("address,display_name\nanna@example.test,Anna\n", update_existing=True)
    real, raced = import_rows.plan, []

    def slow(*args: Any, **named: Any) -> Any:
        plans = real(*args, **named)
        if not raced:
            raced.append(1)
            lifecycle.suspend(mailbox=anna, by=owner, at=AT)
        return plans

    monkeypatch.setattr(import_rows, "plan", slow)
    assert counts(done(batch)) == {"unchanged": 1}
    anna.refresh_from_db()
    assert anna.state == "suspended"


def test_a_part_asks_the_database_no_more_for_many_rows(
    domain: Any, django_assert_max_num_queries: Any
) -> None:
    batch = claimed(ask(many(400)))
    with django_assert_max_num_queries(45):
        importing.work(batch=batch, clock=lambda: AT)
    assert Mailbox.objects.count() == 400


def test_the_task_claims_and_works(domain: Any) -> None:
    batch = ask(many(2))
    tasks.import_accounts(batch.pk)
    tasks.import_accounts(batch.pk)
    batch.refresh_from_db()
    assert (batch.state, batch.created) == ("done", 2)


@pytest.mark.parametrize(
    ("content", "code"), [("", "csv_empty"), ("address|note\na@b.test|\n", "csv_delimiter")]
)
def test_a_file_that_cannot_be_read_leaves_nothing(db: None, content: str, code: str) -> None:
    with pytest.raises(importing.FileRefused) as caught:
        ask(content)
    assert caught.value.codes == [code] and caught.value.sentence
    assert not AccountImport.objects.exists() and not AuditEvent.objects.exists()


def exported(**how: Any) -> list[dict[str, str]]:
    text = "".join(exporting.lines(Mailbox.objects.all(), **how))
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_an_export_holds_no_formula_and_no_password(anna: Any, name: str) -> None:
    Mailbox.objects.update(display_name=name)
    (row,) = exported()
    assert row["display_name"] == f"'{name}"
    assert not any("password" in column for column in row)
    (row,) = exported(hashes=True)
    assert row["password_hash"] == anna.password


def test_an_export_comes_back_unchanged(domain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 2)
    content = (
        "address,password_hash,display_name,note,quota_mb\n"
        f'bert@example.test,{SHA512},=Bert,"two\nlines, ""quoted""",10\n'
    )
    brought(content)
    brought(many(4))
    text = "".join(exporting.lines(Mailbox.objects.all(), hashes=True))
    rows = list(Mailbox.objects.values())
    assert counts(brought(text, update_existing=True)) == {"unchanged": 5}
    assert list(Mailbox.objects.values()) == rows
