"""Domain managers and the helpdesk: what lists, choices, files and commands show of other domains
(nothing). That each address answers 404 out of scope is tests/mailadmin/test_every_address.py's."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import aliases, bulk, closing, domains, lifecycle
from accounts.models import Alias, Domain, Flag, Mailbox, scope
from core.api_auth import create_token
from core.models import AuditEvent, Operator

from .conftest import AT, GOOD

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def other(owner: Operator) -> Domain:
    return domains.create(name="other.test", by=owner, at=AT)


@pytest.fixture
def otto(other: Domain) -> Mailbox:
    """What is there beside anna's: a mailbox, an alias and a flag of another domain."""
    otto = lifecycle.create(domain=other, local_part="otto", password=GOOD, by=None, at=AT)
    aliases.create(domain=other, local_part="hidden", targets=["anna@example.test"], by=None, at=AT)
    flag(otto)
    return otto


def flag(mailbox: Mailbox) -> Flag:
    return Flag.objects.create(mailbox=mailbox, kind="no_owner", since=AT, found_at=AT, risk=3)


@pytest.fixture
def manager(db: None) -> Operator:
    return operator("domain_manager")


@pytest.fixture
def helper(db: None) -> Operator:
    return operator("helpdesk")


def operator(role: str, *names: str) -> Operator:
    return Operator.objects.create_user(
        username=f"the-{role}", role=role, domains=list(names) or ["example.test"]
    )


def browser(by: Operator) -> Client:
    client = Client()
    client.force_login(by, backend=BACKEND)
    return client


def with_token(by: Operator) -> Client:
    _token, secret = create_token(
        name="t", scopes=["accounts:read"], expires_at=None, by=by, at=timezone.now()
    )
    return Client(headers={"Authorization": f"Bearer {secret}"})


def body(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(content.decode())


LISTS = ("mailboxes", "csv", "aliases", "domains", "flags", "new", "alias_new")


@pytest.mark.parametrize("wide", [10_000, 0], ids=["narrow", "wide"])
@pytest.mark.parametrize("name", LISTS)
def test_no_list_file_or_choice_tells_of_another_domain(
    anna: Mailbox,
    otto: Mailbox,
    manager: Operator,
    viewer: Operator,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    wide: int,
) -> None:
    monkeypatch.setattr(scope, "WIDE", wide)
    flag(anna)
    lead = {"domain": anna.domain, "targets": ["anna@example.test"], "by": None, "at": AT}
    aliases.create(local_part="info", **lead)
    address = reverse(f"accounts:{name}")
    shown = body(browser(manager).get(address))
    assert "example.test" in shown and "other.test" not in shown
    if not name.endswith("new"):
        assert "other.test" in body(browser(viewer).get(address))


def test_a_list_counts_and_finds_what_is_in_scope(
    anna: Mailbox, otto: Mailbox, manager: Operator
) -> None:
    client = browser(manager)
    shown = client.get(reverse("accounts:mailboxes"))
    assert shown.context["total"] == 1
    found = client.get(reverse("accounts:mailboxes"), {"q": "otto"})
    assert list(found.context["page"]) == []
    # A filter that makes no sense shows all there is, which is what is in scope.
    filtered = client.get(reverse("accounts:mailboxes"), {"domain": "other.test"})
    assert [row.address for row in filtered.context["page"]] == ["anna@example.test"]
    flagged = client.get(reverse("accounts:flags"))
    assert (flagged.context["all"], flagged.context["shows_audit"]) == (0, False)
    assert "of high risk" not in body(flagged)
    assert "of high risk" in body(browser(operator("auditor")).get(reverse("accounts:flags")))
    Flag.objects.update(exempt_at=AT, exempt_reason="seen")
    aside = client.get(reverse("accounts:flags"), {"kind": "set_aside"})
    assert (aside.context["aside"], list(aside.context["page"])) == (0, [])


def test_without_a_domain_pages_say_whom_to_ask(otto: Mailbox) -> None:
    client = browser(operator("domain_manager", "gone.test"))
    for name in ("mailboxes", "aliases", "domains", "new", "alias_new"):
        shown = body(client.get(reverse(f"accounts:{name}")))
        assert "Ask an owner or an administrator to add one" in shown, name
        assert "Add a domain" not in shown and "other.test" not in shown, name


def test_another_domain_is_no_choice(anna: Mailbox, otto: Mailbox, manager: Operator) -> None:
    client = browser(manager)
    seen = AuditEvent.objects.count()
    given = {"local_part": "new", "password": GOOD, "domain": otto.domain_id}
    answer = client.post(reverse("accounts:new"), given)
    assert "domain" in answer.context["form"].errors
    given = {"local_part": "new", "targets": "me@elsewhere.test", "domain": otto.domain_id}
    answer = client.post(reverse("accounts:alias_new"), given)
    assert "domain" in answer.context["form"].errors
    assert AuditEvent.objects.count() == seen


def test_a_fragment_tells_nothing_of_another_domain(
    anna: Mailbox, otto: Mailbox, manager: Operator
) -> None:
    client = browser(manager)
    name, password = reverse("accounts:name_check"), reverse("accounts:password_check")
    taken = {"local_part": "anna", "domain": anna.domain_id}
    assert "There is a mailbox" in body(client.post(name, taken))
    assert "otto" not in body(client.post(name, {"local_part": "otto", "domain": otto.domain_id}))
    ours = body(client.post(password, {"password": "anna4711", "mailbox": anna.pk}))
    theirs = body(client.post(password, {"password": "otto4711", "mailbox": otto.pk}))
    assert "name" in ours and ours != theirs
    nobody = body(client.post(password, {"password": "otto4711", "mailbox": 10**9}))
    assert theirs == nobody


def test_an_alias_leads_elsewhere_where_the_domain_is_not_the_operators(
    anna: Mailbox, otto: Mailbox, manager: Operator, owner: Operator
) -> None:
    """It may lead anywhere; whether another domain is one of the console's is not told."""
    lead: dict[str, Any] = {"domain": anna.domain, "targets": [otto.address, anna.address]}
    alias = aliases.create(local_part="both", **lead, by=manager, at=AT)
    for by, elsewhere in ((manager, True), (owner, False)):
        shown = dict(browser(by).get(reverse("accounts:aliases")).context["shown"])
        assert shown[alias] == [("otto@other.test", elsewhere), ("anna@example.test", False)]


def test_the_policy_counts_what_is_in_scope(
    anna: Mailbox, otto: Mailbox, manager: Operator, viewer: Operator
) -> None:
    Flag.objects.update(kind="never_used", suspends_at=AT)
    address = reverse("accounts:policy")
    for by, announced in ((manager, 0), (viewer, 1)):
        assert browser(by).get(address).context["announced"] == announced
        told = with_token(by).get("/api/v1/flags/policy").json()
        assert (told["announced"], told["concerned"]["never_used"]) == (announced, announced)


def test_verbs_on_many_leave_out_what_is_not_the_operators(
    anna: Mailbox, otto: Mailbox, manager: Operator
) -> None:
    given: dict[str, Any] = {"mailboxes": [anna.pk, otto.pk], "by": manager, "at": AT}
    assert bulk.suspend(**given) == bulk.Done(1, 1)
    assert bulk.resume(**given) == bulk.Done(1, 1)
    assert bulk.close(**given) == bulk.Done(1, 1)
    otto.refresh_from_db()
    assert otto.revision == 1


@pytest.mark.parametrize("verb", ["suspend", "close"])
def test_ticked_rows_of_another_domain_are_left_out(
    anna: Mailbox, otto: Mailbox, manager: Operator, verb: str
) -> None:
    client = browser(manager)
    both = {"verb": verb, "mailbox": [anna.pk, otto.pk]}
    asked = client.post(reverse("accounts:selected"), both)
    assert [row.address for row in asked.context["applies"]] == ["anna@example.test"]
    assert asked.context["left_out"] == 0
    client.post(reverse("accounts:selected"), both | {"sure": "yes", "days": 30})
    anna.refresh_from_db()
    otto.refresh_from_db()
    assert anna.state != "active"
    assert (otto.state, otto.revision) == ("active", 1)
    flags = {"verb": "exempt", "sure": "yes", "reason": "x", "flag": [otto.flags.get().pk]}
    client.post(reverse("accounts:flags_selected"), flags)
    assert otto.flags.get().exempt_at is None


def test_the_helpdesk_only_suspends_what_it_ticks(anna: Mailbox, helper: Operator) -> None:
    client = browser(helper)
    ticked = {"mailbox": [anna.pk], "sure": "yes", "days": 30}
    for verb in ("resume", "close"):
        assert client.post(reverse("accounts:selected"), ticked | {"verb": verb}).status_code == 403
    flags = {"flag": [flag(anna).pk], "sure": "yes", "reason": "x"}
    for verb in ("exempt", "count", "close"):
        answer = client.post(reverse("accounts:flags_selected"), flags | {"verb": verb})
        assert answer.status_code == 403
    anna.refresh_from_db()
    assert (anna.state, anna.flags.get().exempt_at) == ("active", None)
    client.post(reverse("accounts:selected"), ticked | {"verb": "suspend"})
    anna.refresh_from_db()
    assert anna.state == "suspended"


def test_pages_offer_the_helpdesk_what_it_may(anna: Mailbox, helper: Operator) -> None:
    client = browser(helper)
    shown = body(client.get(reverse("accounts:mailbox", args=[anna.pk])))
    for name in ("password", "suspend", "invite"):
        assert reverse(f"accounts:{name}", args=[anna.pk]) in shown, name
    for name in ("edit", "close", "end"):
        assert reverse(f"accounts:{name}", args=[anna.pk]) not in shown, name
    shown = body(client.get(reverse("accounts:mailboxes")))
    assert 'value="suspend"' in shown
    for word in ('value="resume"', 'value="close"', "New account", 'href="/accounts/imports/"'):
        assert word not in shown
    lifecycle.suspend(mailbox=anna, by=None, at=AT)
    resume = reverse("accounts:resume", args=[anna.pk])
    assert resume not in body(client.get(reverse("accounts:mailbox", args=[anna.pk])))
    helper.role = "domain_manager"
    helper.save()
    assert resume in body(client.get(reverse("accounts:mailbox", args=[anna.pk])))


def test_pages_send_nobody_where_he_may_not_go(
    anna: Mailbox, helper: Operator, signed_in: Client
) -> None:
    page = reverse("accounts:mailbox", args=[anna.pk])
    ticked = {"verb": "suspend", "mailbox": [anna.pk]}
    shown = body(browser(helper).get(page))
    shown += body(browser(helper).post(reverse("accounts:selected"), ticked))
    asked = body(signed_in.get(page))
    asked += body(signed_in.post(reverse("accounts:selected"), ticked))
    for sentence in (
        "deploy its configuration once more",
        "you can resume it at any time",
        "you can resume them at any time",
    ):
        assert sentence in asked and sentence not in shown, sentence
    for sentence in (
        "An administrator of this console can change that.",
        "whoever manages its domain can resume it at any time",
        "whoever manages their domain can resume them at any time",
    ):
        assert sentence in shown and sentence not in asked, sentence


def test_the_api_lists_what_is_in_scope(anna: Mailbox, otto: Mailbox, manager: Operator) -> None:
    client = with_token(manager)
    for name in ("domains", "mailboxes", "aliases", "flags"):
        assert "other.test" not in body(client.get(f"/api/v1/{name}")), name
    assert "anna@example.test" in body(client.get("/api/v1/mailboxes"))
    for name in ("mailboxes", "aliases"):
        assert client.get(f"/api/v1/{name}", {"domain": "other.test"}).status_code == 404


def test_erasing_names_no_alias_of_another_domain(
    anna: Mailbox, otto: Mailbox, manager: Operator, owner: Operator
) -> None:
    """Where the alias leads there alone, somebody who sees it must mend it."""
    closing.close(mailbox=anna, days=0, by=manager, at=AT)
    given: dict[str, Any] = {"mailbox": anna, "typed": anna.address, "at": AT}
    with pytest.raises(closing.OthersLeadHere) as refused:
        closing.erase(by=manager, **given)
    assert "hidden" not in refused.value.sentence
    with pytest.raises(closing.AliasesLeadHere, match=r"hidden@other\.test"):
        closing.erase(by=owner, **given)
    assert closing.aliases_to(anna, manager) == []
    Alias.objects.update(targets=["anna@example.test", "otto@other.test"])
    closing.erase(by=manager, **given)
    assert Alias.objects.get().targets == ["otto@other.test"]


COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "suspend": lambda address: [address],
    "resume": lambda address: [address],
    "close": lambda address: [address],
    "erase": lambda address: [address, "--yes"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_the_same_of_another_domain_as_of_none(
    anna: Mailbox, otto: Mailbox, manager: Operator, name: str
) -> None:
    seen = AuditEvent.objects.count()
    for address in ("otto@other.test", "otto@nowhere.test"):
        with pytest.raises(CommandError, match=f"^There is no mailbox {address}"):
            call_command(name, *COMMANDS[name](address), operator=manager.username)
    assert AuditEvent.objects.count() == seen


def told(name: str, *argv: str, by: Operator) -> Any:
    out = io.StringIO()
    call_command(name, *argv, json=True, operator=by.username, stdout=out)
    return json.loads(out.getvalue())


def test_commands_list_what_is_in_scope(
    anna: Mailbox, otto: Mailbox, manager: Operator, viewer: Operator
) -> None:
    def addresses(by: Operator) -> list[str]:
        return [row["address"] for row in told("export_accounts", by=by)["accounts"]]

    assert addresses(manager) == ["anna@example.test"]
    assert addresses(viewer) == ["anna@example.test", "otto@other.test"]
    assert told("flags", by=manager)["count"] == 0
    assert told("flags", by=viewer)["count"] == 1
    with pytest.raises(CommandError, match=r"Known: example\.test\."):
        told("export_accounts", "--domain", "other.test", by=manager)
    with pytest.raises(CommandError, match=r"Known: example\.test\."):
        told("create_mailbox", "new@other.test", "--password-file", "-", by=manager)


@pytest.mark.parametrize(
    ("role", "name", "argv"),
    [
        ("domain_manager", "create_domain", ["new.test"]),
        ("domain_manager", "audit_passwords", []),
        ("domain_manager", "import_accounts", ["-"]),
        ("helpdesk", "close", ["anna@example.test"]),
        ("helpdesk", "resume", ["anna@example.test"]),
        ("auditor", "suspend", ["anna@example.test"]),
    ],
)
def test_a_command_asks_for_the_role(anna: Mailbox, role: str, name: str, argv: list[str]) -> None:
    by = operator(role)
    with pytest.raises(CommandError, match="may not do this"):
        call_command(name, *argv, operator=by.username)


def test_the_helpdesk_suspends_by_command(anna: Mailbox, helper: Operator) -> None:
    assert told("suspend", "anna@example.test", by=helper)["state"] == "suspended"
