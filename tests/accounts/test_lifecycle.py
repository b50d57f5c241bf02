"""The verbs on one mailbox: what they write, what they refuse, and that they tell the host."""

import datetime
import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts import aliases, hashing, lifecycle
from accounts.checks import NameNeedsReason
from accounts.lifecycle import MailboxRefused
from accounts.models import Alias, Change, Domain, Mailbox
from accounts.refusals import AddressRefused, AddressTaken, DomainGone, EditedMeanwhile, NotInState
from accounts.rules import PasswordRefused, QuotaRefused
from core.models import AuditEvent

from .conftest import AT, GOOD, HOST

LATER = AT + datetime.timedelta(hours=1)


def last_change() -> Change:
    return Change.objects.latest("id")


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("pk")


def create(domain: Any, **given: Any) -> Mailbox:
    return lifecycle.create(
        **{"domain": domain, "local_part": "bert", "password": GOOD, "by": None, "at": AT} | given
    )


def test_creating_writes_the_row_the_change_and_the_event(
    domain: Any, owner: Any, sent_nudges: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made = lifecycle.create(
            domain=domain, local_part=" Anna ", password=GOOD, quota_mb=500, by=owner, at=AT
        )
    row = Mailbox.objects.get(address="anna@example.test")
    assert (row.pk, row.state, row.created_at) == (made.pk, "active", AT)
    assert row.password.startswith("{ARGON2ID}$argon2id$v=19$")
    assert hashing.matches(row.password, GOOD) and not hashing.matches(row.password, GOOD + " ")
    change = last_change()
    assert (change.host, change.kind, change.subject) == (HOST, "mailbox", "anna@example.test")
    assert not change.end_sessions
    event = last_event()
    assert (event.action, event.subject) == ("accounts.mailbox.created", "anna@example.test")
    assert event.actor == owner and event.at == AT
    assert ("deploy.push_accounts", HOST) in sent_nudges


def test_hashes_have_the_parameters_of_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert hashing.hash_password(GOOD).startswith("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$")


def test_what_is_hashed_is_nfc() -> None:
    hashed = hashing.hash_password("Cafe\u0301 au lait, trois fois")
    assert hashing.matches(hashed, "Café au lait, trois fois")
    assert not hashing.matches("{SHA512-CRYPT}$6$x$y", "Café au lait, trois fois")


def test_test_with_the_password_test_cannot_be_made(domain: Any) -> None:
    with pytest.raises(MailboxRefused) as refused:
        create(domain, local_part="test", password="test")
    kinds = {type(one) for one in refused.value.refusals}
    assert kinds == {NameNeedsReason, PasswordRefused}
    password = next(r for r in refused.value.refusals if isinstance(r, PasswordRefused))
    assert set(password.codes) == {"too_short", "equals_name", "common", "guessable"}
    assert not Mailbox.objects.exists()


def test_a_test_account_needs_a_reason_which_is_kept(domain: Any) -> None:
    with pytest.raises(NameNeedsReason):
        create(domain, local_part="scan-2", name_reason="   ")
    made = create(domain, local_part="scan-2", name_reason="Copier on floor 2, Ms Lin")
    assert made.name_reason == "Copier on floor 2, Ms Lin"
    assert last_event().detail["name_reason"] == "Copier on floor 2, Ms Lin"


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"local_part": "an na"}, AddressRefused),
        ({"local_part": "anna"}, AddressTaken),
        ({"local_part": "ANNA"}, AddressTaken),
        ({"password": "bert2026bert2026"}, PasswordRefused),
        ({"password": ""}, PasswordRefused),
        ({"quota_mb": 0}, QuotaRefused),
        ({"quota_mb": -1}, QuotaRefused),
        ({"quota_mb": 2**60}, QuotaRefused),
    ],
)
def test_refusals_change_nothing(domain: Any, anna: Any, given: Any, refusal: Any) -> None:
    before = (Mailbox.objects.count(), Change.objects.count(), AuditEvent.objects.count())
    with pytest.raises(refusal) as refused:
        create(domain, **given)
    assert refused.value.sentence
    after = (Mailbox.objects.count(), Change.objects.count(), AuditEvent.objects.count())
    assert before == after


def test_an_alias_holds_its_address(domain: Any, anna: Any) -> None:
    aliases.create(domain=domain, local_part="info", targets=["anna@example.test"], by=None, at=AT)
    with pytest.raises(AddressTaken) as refused:
        create(domain, local_part="info")
    assert refused.value.holder == "alias" and refused.value.status == 409


def test_a_second_submit_that_raced_is_refused_and_not_an_error(
    domain: Any, anna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both looked before either wrote: only the constraint is left.
    monkeypatch.setattr(lifecycle, "check_free", lambda *_, **__: None)
    with pytest.raises(AddressTaken):
        create(domain, local_part="anna")
    assert Mailbox.objects.filter(address="anna@example.test").count() == 1


def test_a_domain_that_was_removed_meanwhile(domain: Any) -> None:
    from accounts import domains

    domains.remove(domain=Domain.objects.get(), by=None, at=AT)
    with pytest.raises(DomainGone):
        create(domain)
    with pytest.raises(DomainGone):
        aliases.create(domain=domain, local_part="b", targets=["x@y.test"], by=None, at=AT)


def test_hashing_is_outside_of_the_transaction(
    domain: Any, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    inside = []

    def spy(password: str) -> str:
        inside.append(transaction.get_connection().in_atomic_block)
        return "{ARGON2ID}x"

    monkeypatch.setattr(lifecycle, "hash_password", spy)
    made = create(domain)
    lifecycle.set_password(mailbox=made, password=GOOD, by=None, at=AT)
    assert inside == [False, False]


def test_suspending_ends_sessions_and_keeps_mail_arriving(anna: Any, owner: Any) -> None:
    row = lifecycle.suspend(mailbox=anna, reason=" stolen ", by=owner, at=LATER)
    assert (row.state, row.state_reason, row.state_since) == ("suspended", "stolen", LATER)
    assert row.rights.receives and not row.rights.can_login and not row.rights.can_send
    assert last_change().end_sessions
    assert last_event().detail == {"reason": "stolen", "refuses_mail": False}


def test_suspending_may_refuse_mail_too(anna: Any) -> None:
    row = lifecycle.suspend(mailbox=anna, refuses_mail=True, by=None, at=LATER)
    assert not row.rights.receives
    row = lifecycle.resume(mailbox=anna, by=None, at=LATER)
    assert row.rights.receives and not row.refuses_mail


def test_the_second_of_two_operators_is_told(anna: Any) -> None:
    stale = Mailbox.objects.get(pk=anna.pk)
    lifecycle.suspend(mailbox=anna, by=None, at=LATER)
    changes = Change.objects.count()
    with pytest.raises(NotInState):
        lifecycle.suspend(mailbox=stale, by=None, at=LATER)
    assert Change.objects.count() == changes


def test_resuming(anna: Any) -> None:
    with pytest.raises(NotInState):
        lifecycle.resume(mailbox=anna, by=None, at=LATER)
    lifecycle.suspend(mailbox=anna, reason="holiday", by=None, at=LATER)
    row = lifecycle.resume(mailbox=anna, by=None, at=LATER)
    assert (row.state, row.state_reason) == ("active", "")
    assert not last_change().end_sessions
    assert last_event().action == "accounts.mailbox.resumed"


def test_a_new_password_ends_sessions(anna: Any) -> None:
    new = "vesif3-kolab9-numat2-hodeg5"
    row = lifecycle.set_password(mailbox=anna, password=new, by=None, at=LATER)
    assert hashing.matches(row.password, new) and row.password_set_at == LATER
    assert last_change().end_sessions
    assert last_event().action == "accounts.mailbox.password_set"


def test_a_bad_new_password_leaves_the_old_one(anna: Any) -> None:
    with pytest.raises(PasswordRefused):
        lifecycle.set_password(mailbox=anna, password="Anna2026", by=None, at=LATER)
    anna.refresh_from_db()
    assert hashing.matches(anna.password, GOOD)


SAID = {"display_name": "Anna M.", "owner_contact": "ext. 12", "note": "", "quota_mb": None}


def test_editing_tells_the_host_only_of_the_quota(anna: Any) -> None:
    changes = Change.objects.count()
    row = lifecycle.edit(mailbox=anna, revision=1, **SAID, by=None, at=LATER)
    assert (row.display_name, row.revision) == ("Anna M.", 2)
    assert Change.objects.count() == changes
    assert last_event().detail["before"] == {"display_name": "Anna", "owner_contact": ""}
    lifecycle.edit(mailbox=anna, revision=2, **SAID | {"quota_mb": 100}, by=None, at=LATER)
    assert Change.objects.count() == changes + 1


def test_editing_nothing_is_no_event(anna: Any) -> None:
    lifecycle.edit(mailbox=anna, revision=1, **SAID, by=None, at=LATER)
    events = AuditEvent.objects.count()
    row = lifecycle.edit(mailbox=anna, revision=2, **SAID, by=None, at=LATER)
    assert row.revision == 2 and AuditEvent.objects.count() == events


def test_two_operators_edit_one_account(anna: Any) -> None:
    lifecycle.edit(mailbox=anna, revision=1, **SAID, by=None, at=LATER)
    with pytest.raises(EditedMeanwhile):
        lifecycle.edit(mailbox=anna, revision=1, **SAID | {"note": "x"}, by=None, at=LATER)
    anna.refresh_from_db()
    assert anna.note == ""


def test_a_change_belongs_to_a_transaction(transactional_db: None) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        Change.objects.all().append([Change(at=AT, host=HOST, kind="mailbox", subject="x")])


def test_the_database_holds_the_rules_too(anna: Any) -> None:
    for wrong in ({"state": "gone"}, {"refuses_mail": True}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Mailbox.objects.filter(pk=anna.pk).update(**wrong)


def test_no_password_in_events_changes_or_refusals(domain: Any, anna: Any, owner: Any) -> None:
    secret = "example.test-2026"
    with pytest.raises(PasswordRefused) as refused:
        lifecycle.set_password(mailbox=anna, password=secret, by=owner, at=AT)
    assert secret not in str(refused.value) and secret not in repr(refused.value)
    lifecycle.set_password(mailbox=anna, password=GOOD, by=owner, at=AT)
    told = json.dumps(
        [[e.subject, e.detail] for e in AuditEvent.objects.all()]
        + [[c.subject, c.kind] for c in Change.objects.all()]
    )
    assert GOOD not in told and "argon2" not in told.lower()


def test_aliases(domain: Any, anna: Any) -> None:
    made = aliases.create(
        domain=domain,
        local_part="Info",
        targets=["Anna@Example.test", "anna@example.test", "Ext+x@Elsewhere.test", " "],
        by=None,
        at=AT,
    )
    assert made.targets == ["anna@example.test", "Ext+x@elsewhere.test"]
    assert (last_change().kind, last_change().subject) == ("alias", "info@example.test")
    aliases.delete(alias=made, by=None, at=LATER)
    aliases.delete(alias=made, by=None, at=LATER)
    assert not Alias.objects.exists()
    deleted = AuditEvent.objects.filter(action="accounts.alias.deleted")
    assert deleted.count() == 1 and deleted[0].detail["targets"] == made.targets


@pytest.mark.parametrize(
    ("local", "targets", "refusal"),
    [
        ("info", [], aliases.TargetsMissing),
        ("info", ["  "], aliases.TargetsMissing),
        ("info", ["|/bin/sh"], aliases.TargetRefused),
        ("info", ["anna@example.test", "x@localhost"], aliases.TargetRefused),
        ("info", [f"a{n}@example.test" for n in range(101)], aliases.TooManyTargets),
        ("info", ["info@example.test"], aliases.AliasLoop),
        ("a b", ["anna@example.test"], AddressRefused),
        ("anna", ["b@elsewhere.test"], AddressTaken),
    ],
)
def test_aliases_that_are_refused(
    domain: Any, anna: Any, local: str, targets: list[str], refusal: Any
) -> None:
    with pytest.raises(refusal) as refused:
        aliases.create(domain=domain, local_part=local, targets=targets, by=None, at=AT)
    assert refused.value.sentence
    assert not Alias.objects.exists()


def test_a_circle_of_aliases_is_shown(domain: Any, anna: Any) -> None:
    def make(name: str, *targets: str) -> Alias:
        return aliases.create(
            domain=domain,
            local_part=name,
            targets=[f"{target}@example.test" for target in targets],
            by=None,
            at=AT,
        )

    make("b", "anna", "c")
    make("c", "anna", "d")
    with pytest.raises(aliases.AliasLoop) as refused:
        make("d", "b")
    names = [address.partition("@")[0] for address in refused.value.path]
    assert names == ["d", "b", "c", "d"]
    make("d", "anna")
    make("e", "b", "c", "d")  # many ways to one place are no circle
