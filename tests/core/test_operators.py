"""Operators: added, changed, switched off, let in again; and the rules about owners and scopes."""

from datetime import UTC, datetime, timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.utils import timezone

from core import api_auth, operator_refusals, operators, setup
from core.models import AuditEvent, OneTimeLink, Operator

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def add(username="anna", role="administrator", **more):
    return operators.add(username=username, role=role, **{"by": None, "at": AT, **more})


def change(row, **more):
    given = {
        "seen": operators.stamp(row), "email": row.email, "role": row.role, "domains": row.domains,
        "by": None, "at": AT,
    }  # fmt: skip
    return operators.change(operator=row, **{**given, **more})


def secret_of(link: operators.Link) -> str:
    return link.path.rstrip("/").rsplit("/", 1)[1]


def join(link: operators.Link, password="a whole new sentence", at=AT) -> Operator:
    return setup.redeem(secret_of(link), username="", email="", password=password, at=at)


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("pk")


@pytest.fixture
def second_owner(owner):
    return Operator.objects.create_user(
        username="second", email="second@example.test", password="x", role="owner"
    )


def test_a_new_operator_sets_his_own_password_with_a_link_that_lives_for_days(owner) -> None:
    row, link = add(
        role="helpdesk", domains=["B.test", "a.test", "a.test"], email=" a@b.test ", by=owner
    )
    row.refresh_from_db()
    assert (row.role, row.domains, row.email) == ("helpdesk", ["a.test", "b.test"], "a@b.test")
    assert not row.has_usable_password()
    event = last_event()
    assert (event.action, event.subject, event.actor) == ("core.operator.added", "anna", owner)
    assert event.detail["role"] == "helpdesk" and secret_of(link) not in str(event.detail)
    assert link.expires_at == AT + timedelta(days=3)
    join(link, at=AT + timedelta(days=2, hours=23))
    row.refresh_from_db()
    assert row.check_password("a whole new sentence")
    assert last_event().action == "core.operator.joined"
    with pytest.raises(setup.LinkRefused, match="used already"):
        join(link)


def test_an_invitation_ends_and_says_whom_to_ask(owner) -> None:
    _row, link = add()
    with pytest.raises(setup.LinkRefused, match="Ask an owner"):
        join(link, at=AT + timedelta(days=3, seconds=1))


def test_a_link_that_was_replaced_says_whom_to_ask(owner) -> None:
    row, link = add()
    operators.let_in(operator=row, by=owner, at=AT)
    with pytest.raises(setup.LinkRefused, match="ask an owner"):
        join(link)


@pytest.mark.parametrize("name", ["", "  ", "two words", "x" * 151, "a/b"])
def test_a_name_that_is_none_is_refused(name) -> None:
    with pytest.raises(operator_refusals.UsernameRefused):
        add(name)


@pytest.mark.parametrize("name", ["owner", "OWNER", "Owner@example.test"])
def test_a_name_leads_to_one_operator(owner, name) -> None:
    with pytest.raises(operator_refusals.UsernameTaken, match="owner"):
        add(name)
    assert Operator.objects.count() == 1 and not OneTimeLink.objects.exists()


def test_an_address_leads_to_one_operator(owner) -> None:
    with pytest.raises(operator_refusals.EmailTaken):
        add(email="OWNER@example.test")
    anna, _link = add()
    with pytest.raises(operator_refusals.EmailTaken):
        change(anna, email="owner@example.test")
    with pytest.raises(operator_refusals.EmailRefused):
        change(anna, email="no address")
    assert change(anna, email="anna@example.test").email == "anna@example.test"


def test_the_role_must_exist_and_a_scoped_one_needs_a_domain() -> None:
    with pytest.raises(operator_refusals.RoleUnknown, match="domain_manager"):
        add(role="viewer")
    for role in ("domain_manager", "helpdesk"):
        with pytest.raises(operator_refusals.ScopeNeeded):
            add(role=role, domains=[" "])
    anna, _link = add()
    with pytest.raises(operator_refusals.ScopeNeeded):
        change(anna, role="helpdesk")
    assert Operator.objects.get(pk=anna.pk).role == "administrator"


def test_a_role_that_sees_all_keeps_no_domains() -> None:
    anna, _link = add(role="domain_manager", domains=["a.test"])
    assert anna.scope == {"a.test"}
    changed = change(anna, role="auditor")
    changed.refresh_from_db()
    assert (changed.domains, changed.scope) == ([], None)
    assert last_event().detail == {
        "before": {"role": "domain_manager", "domains": ["a.test"]},
        "after": {"role": "auditor", "domains": []},
    }


def test_changing_nothing_writes_nothing() -> None:
    anna, _link = add()
    seen = AuditEvent.objects.count()
    change(anna)
    assert AuditEvent.objects.count() == seen


def test_of_two_who_edit_one_the_second_is_told(owner) -> None:
    anna, _link = add()
    seen = operators.stamp(anna)
    change(anna, role="auditor", by=owner)
    with pytest.raises(operator_refusals.ChangedMeanwhile):
        change(anna, seen=seen, email="anna@example.test")
    row = Operator.objects.get(pk=anna.pk)
    assert (row.role, row.email) == ("auditor", "")
    seen = operators.stamp(row)
    operators.switch_off(operator=row, by=owner, at=AT)
    with pytest.raises(operator_refusals.ChangedMeanwhile):
        change(row, seen=seen, role="owner")


def test_nobody_changes_his_own_rights(owner, second_owner) -> None:
    with pytest.raises(operator_refusals.OwnAccount):
        change(owner, role="auditor", by=owner)
    with pytest.raises(operator_refusals.OwnAccount):
        operators.switch_off(operator=owner, by=owner, at=AT)
    with pytest.raises(operator_refusals.OwnAccount):
        operators.let_in(operator=owner, by=owner, at=AT)
    assert change(owner, email="o@example.test", by=owner).role == "owner"


def test_nobody_widens_his_own_scope() -> None:
    anna, _link = add(role="domain_manager", domains=["a.test"])
    with pytest.raises(operator_refusals.OwnAccount):
        change(anna, domains=["a.test", "b.test"], by=anna)


def test_the_last_owner_who_can_sign_in_stays(owner) -> None:
    waiting, link = add("waiting", role="owner")
    off, _link = add("off", role="owner")
    off.set_password("x")
    off.is_active = False
    off.save()
    for _attempt in range(2):
        with pytest.raises(operator_refusals.LastOwner):
            change(owner, role="administrator")
        with pytest.raises(operator_refusals.LastOwner):
            operators.switch_off(operator=owner, by=waiting, at=AT)
    join(link)
    assert change(owner, role="administrator", by=waiting).role == "administrator"
    assert setup.owner_exists()


def test_of_two_owners_who_take_the_other_away_the_second_is_refused(owner, second_owner) -> None:
    change(second_owner, role="auditor", by=owner)
    with pytest.raises(operator_refusals.LastOwner):
        operators.switch_off(operator=owner, by=second_owner, at=AT)


def test_switched_off_is_off_for_links_sessions_and_tokens(owner, client, rf) -> None:
    anna, link = add()
    address = link.path
    join(link)
    client.post("/session/login/", {"login": "anna", "password": "a whole new sentence"})
    assert client.get("/settings/").status_code == 200
    now = timezone.now()
    _token, secret = api_auth.create_token(
        name="t", scopes=["ca:read"], expires_at=None, by=anna, at=now
    )
    link = operators.let_in(operator=add("bert")[0], by=owner, at=now)
    operators.switch_off(operator=Operator.objects.get(username="bert"), by=owner, at=now)
    assert client.get(link.path).status_code == 410 == client.get(address).status_code

    operators.switch_off(operator=anna, by=owner, at=now)
    assert last_event().detail == {"sessions_ended": 1}
    assert client.get("/settings/").status_code == 302
    assert api_auth.Token("ca:read").authenticate(rf.get("/"), secret) is None
    seen = AuditEvent.objects.count()
    operators.switch_off(operator=anna, by=owner, at=now)
    assert AuditEvent.objects.count() == seen

    operators.switch_on(operator=anna, by=owner, at=now)
    assert client.get("/settings/").status_code == 302, "the old session came back"
    assert api_auth.Token("ca:read").authenticate(rf.get("/"), secret) == anna
    assert Operator.objects.get(pk=anna.pk).check_password("a whole new sentence")


def test_a_session_that_began_with_a_link_ends_too(owner, client) -> None:
    anna, link = add(at=timezone.now())
    client.post(link.path, {"password": "a whole new sentence"})
    assert client.get("/settings/").status_code == 200
    operators.switch_off(operator=anna, by=owner, at=AT)
    operators.switch_on(operator=anna, by=owner, at=AT)
    assert client.get("/settings/").status_code == 302


def test_a_link_that_is_open_does_not_undo_a_switching_off(owner, monkeypatch) -> None:
    """Between the look at the link and its use, an owner switched the operator off."""
    anna, link = add()
    looked_up = setup.look_up

    def slowly(secret, *, at):
        found = looked_up(secret, at=at)
        operators.switch_off(operator=anna, by=owner, at=AT)
        return found

    monkeypatch.setattr(setup, "look_up", slowly)
    with pytest.raises(setup.LinkRefused):
        join(link)
    row = Operator.objects.get(pk=anna.pk)
    assert not row.is_active and not row.has_usable_password()


def test_a_link_that_is_open_does_not_undo_a_change(owner, monkeypatch) -> None:
    anna, link = add()
    looked_up = setup.look_up

    def slowly(secret, *, at):
        found = looked_up(secret, at=at)
        change(anna, role="auditor", by=owner)
        return found

    monkeypatch.setattr(setup, "look_up", slowly)
    join(link)
    row = Operator.objects.get(pk=anna.pk)
    assert row.role == "auditor" and row.check_password("a whole new sentence")


def test_who_was_locked_out_gets_in_by_the_link_alone(owner, client) -> None:
    now = timezone.now()
    anna, link = add(at=now)
    join(link, at=now)
    client.post("/session/login/", {"login": "anna", "password": "a whole new sentence"})
    assert client.get("/settings/").status_code == 200
    Authenticator.objects.create(user=anna, type="totp", data={"secret": "X"})
    link = operators.let_in(operator=anna, by=owner, at=now)
    assert link.expires_at == now + timedelta(hours=1)
    assert client.get("/settings/").status_code == 302
    anna.refresh_from_db()
    assert not anna.has_usable_password()
    assert not Authenticator.objects.filter(user=anna).exists()
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))[-2:]
    assert actions == ["core.operator.second_factors_reset", "core.operator.link_made"]
    join(link, "another whole sentence", at=now)
    assert last_event().action == "core.operator.restored"
    operators.switch_off(operator=anna, by=owner, at=now)
    with pytest.raises(operator_refusals.SwitchedOff):
        operators.let_in(operator=anna, by=owner, at=now)


def test_a_removed_domain_leaves_every_scope(owner) -> None:
    anna, _link = add(role="domain_manager", domains=["a.test", "b.test"])
    bert, _link = add("bert", role="helpdesk", domains=["a.test"])
    carl, _link = add("carl", role="helpdesk", domains=["aa.test"])
    assert operators.forget_domain(name="a.test", by=owner, at=AT) == 2
    scopes = {row.username: row.domains for row in (anna, bert, carl) if not row.refresh_from_db()}
    assert scopes == {"anna": ["b.test"], "bert": [], "carl": ["aa.test"]}
    assert bert.scope == frozenset(), "no domain is not all domains"
    event = last_event()
    assert (event.subject, event.actor) == ("bert", owner)
    assert event.detail["removed_domain"] == "a.test"


def test_removing_a_domain_takes_it_out_of_the_scopes(owner) -> None:
    from accounts import domains

    row = domains.create(name="a.test", by=owner, at=AT)
    anna, _link = add(role="domain_manager", domains=["a.test", "b.test"])
    domains.remove(domain=row, by=owner, at=AT)
    anna.refresh_from_db()
    assert anna.domains == ["b.test"]


def test_the_list_knows_who_can_sign_in(owner) -> None:
    add("invited")
    off, _link = add("off")
    operators.switch_off(operator=off, by=owner, at=AT)
    Authenticator.objects.create(user=owner, type="totp", data={"secret": "X"})
    Authenticator.objects.create(user=off, type="recovery_codes", data={})

    def states(at):
        return {row.username: operators.state_of(row, at) for row in operators.listed()}

    assert states(AT) == {"owner": "active", "invited": "invited", "off": "off"}
    assert states(AT + timedelta(days=4))["invited"] == "link_over"
    factors = {row.username: row.has_second_factor for row in operators.listed()}
    assert factors == {"owner": True, "invited": False, "off": False}
