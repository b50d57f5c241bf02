"""What hosts are told: by delta and whole, twice and in any order the same."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import aliases, bulk, delta, domains, lifecycle
from accounts.models import Alias, Change, Mailbox

from .conftest import AT, GOOD, HOST

OTHER = "0b0b2d5e-1111-4222-8333-444455556666"


def since(change_id: int, host: str = HOST) -> delta.Delta:
    return delta.build(Change.objects.since(host, change_id))


class FakeHost:
    """The host's tables, filled by lines as hostctl fills them."""

    def __init__(self) -> None:
        self.domains: set[str] = set()
        self.accounts: dict[str, Any] = {}
        self.aliases: dict[str, Any] = {}
        self.through = 0

    def take(self, given: delta.Delta, whole: bool = False) -> None:
        if whole:
            self.__init__()  # type: ignore[misc]
        for line in given.lines:
            (verb, value), *more = json.loads(json.dumps(line)).items()
            assert not more
            if verb == "domain":
                self.domains.add(value["name"])
            elif verb == "mailbox":
                self.accounts[value["address"]] = value
                self.aliases.pop(value["address"], None)
            elif verb == "alias":
                self.aliases[value["address"]] = value
                self.accounts.pop(value["address"], None)
            elif verb == "remove":
                self.accounts.pop(value, None)
                self.aliases.pop(value, None)
            elif verb == "remove_domain":
                self.domains.discard(value)
                for table in (self.accounts, self.aliases):
                    for address in [a for a in table if a.endswith("@" + value)]:
                        del table[address]
            else:
                raise AssertionError(verb)
        self.through = given.through_change

    def state(self) -> tuple[Any, ...]:
        return (self.domains, self.accounts, self.aliases)


def test_a_mailbox(anna: Any) -> None:
    found = since(0)
    assert found.through_change == Change.objects.latest_id(HOST)
    assert list(found.lines) == [
        {"domain": {"name": "example.test"}},
        {
            "mailbox": {
                "address": "anna@example.test",
                "password": anna.password,
                "can_login": True,
                "can_send": True,
                "receives": True,
                "quota_bytes": 0,
            }
        },
    ]
    assert list(found.lines) == list(found.lines), "lines can be read again for a second try"


def test_nothing_new(anna: Any) -> None:
    found = since(Change.objects.latest_id(HOST))
    assert (list(found.lines), found.end_sessions, found.through_change) == ([], [], 0)


def test_a_suspension_ends_sessions(anna: Any) -> None:
    reached = Change.objects.latest_id(HOST)
    lifecycle.suspend(mailbox=anna, by=None, at=AT)
    found = since(reached)
    (line,) = found.lines
    assert line["mailbox"]["can_login"] is False and line["mailbox"]["can_send"] is False
    assert line["mailbox"]["receives"] is True
    assert found.end_sessions == ["anna@example.test"]


def test_several_changes_of_one_mailbox_are_one_line(anna: Any) -> None:
    reached = Change.objects.latest_id(HOST)
    lifecycle.suspend(mailbox=anna, by=None, at=AT)
    lifecycle.resume(mailbox=anna, by=None, at=AT)
    found = since(reached)
    (line,) = found.lines
    assert line["mailbox"]["can_login"] is True
    assert found.end_sessions == ["anna@example.test"], "they were out, if only for a moment"


def test_quota_in_bytes(domain: Any) -> None:
    lifecycle.create(domain=domain, local_part="bert", password=GOOD, quota_mb=3, by=None, at=AT)
    assert list(since(0).lines)[1]["mailbox"]["quota_bytes"] == 3 * 1024 * 1024


def test_a_deleted_alias_and_an_address_that_changed_its_kind(domain: Any, anna: Any) -> None:
    info = aliases.create(
        domain=domain, local_part="info", targets=["anna@example.test"], by=None, at=AT
    )
    reached = Change.objects.latest_id(HOST)
    aliases.delete(alias=info, by=None, at=AT)
    assert list(since(reached).lines) == [{"remove": "info@example.test"}]
    lifecycle.create(domain=domain, local_part="info", password=GOOD, by=None, at=AT)
    (line,) = since(reached).lines
    assert line["mailbox"]["address"] == "info@example.test"


def test_a_domain_that_moves(domain: Any, anna: Any) -> None:
    reached = Change.objects.latest_id(HOST)
    domains.assign_host(domain=domain, host=OTHER, by=None, at=AT)
    assert list(since(reached).lines) == [{"remove_domain": "example.test"}]
    assert [next(iter(line)) for line in since(0, OTHER).lines] == ["domain", "mailbox"]


def test_a_domain_removed_and_made_again_keeps_nothing_of_the_old(domain: Any) -> None:
    host = FakeHost()
    old = aliases.create(
        domain=domain, local_part="old", targets=["x@elsewhere.test"], by=None, at=AT
    )
    host.take(since(0))
    aliases.delete(alias=old, by=None, at=AT)
    domains.remove(domain=domain, by=None, at=AT)
    domains.create(name="example.test", host=HOST, by=None, at=AT)
    host.take(since(host.through))
    assert host.state() == ({"example.test"}, {}, {})


def test_a_domain_that_comes_back_keeps_nothing_of_before(domain: Any) -> None:
    host = FakeHost()
    old = aliases.create(
        domain=domain, local_part="old", targets=["x@elsewhere.test"], by=None, at=AT
    )
    host.take(since(0))
    domains.assign_host(domain=domain, host=OTHER, by=None, at=AT)
    aliases.delete(alias=old, by=None, at=AT)
    domain.refresh_from_db()
    domains.assign_host(domain=domain, host=HOST, by=None, at=AT)
    host.take(since(host.through))
    assert host.state() == ({"example.test"}, {}, {})


def test_each_host_learns_only_its_own(domain: Any, anna: Any) -> None:
    elsewhere = domains.create(name="other.test", host=OTHER, by=None, at=AT)
    lifecycle.create(domain=elsewhere, local_part="carl", password=GOOD, by=None, at=AT)
    assert "carl" not in str(list(since(0).lines)) and "carl" not in str(
        list(delta.whole(HOST).lines)
    )
    assert "anna" not in str(list(delta.whole(OTHER).lines))


def test_the_change_that_makes_an_address_live(anna: Any) -> None:
    lifecycle.suspend(mailbox=anna, by=None, at=AT)
    expected = Change.objects.latest("id").pk
    assert Change.objects.latest_id_for(HOST, "anna@example.test") == expected
    assert Change.objects.latest_id_for(HOST, "nobody@example.test") == 0
    assert Change.objects.latest_id("no such host") == 0


def test_the_whole_ends_the_sessions_that_a_delta_would(anna: Any) -> None:
    reached = Change.objects.latest_id(HOST)
    lifecycle.suspend(mailbox=anna, by=None, at=AT)
    assert delta.whole(HOST).end_sessions == []
    assert delta.whole(HOST, since=reached).end_sessions == ["anna@example.test"]
    assert delta.whole(HOST, since=Change.objects.latest_id(HOST)).end_sessions == []


TYPED = st.from_regex(r"[ -~]{1,70}@[a-zA-Z0-9äé.-]{1,70}\.[a-z]{2,5}", fullmatch=True)


@given(st.one_of(TYPED, st.emails()))
def test_the_host_takes_every_address_that_the_forms_take(text: str) -> None:
    """One line the host refuses would stop every later delta."""
    from accounts import addresses
    from deploy.hostctl import deltas

    for accept, pattern in ((addresses.parse, deltas.ADDRESS), (addresses.target, deltas.TARGET)):
        try:
            accepted = str(accept(text))
        except addresses.NotAnAddress:
            continue
        assert pattern.fullmatch(accepted)
        assert deltas.DOMAIN.fullmatch(accepted.rpartition("@")[2])


def test_the_host_takes_the_longest_address() -> None:
    from accounts import addresses
    from deploy.hostctl import deltas

    long_domain = ".".join(["a" * 63] * 2) + "." + "b" * 61 + ".test"
    longest = f"{'x' * (254 - 1 - len(long_domain))}@{long_domain}"
    assert deltas.ADDRESS.fullmatch(str(addresses.parse(longest)))
    assert deltas.TARGET.fullmatch(addresses.target(longest))
    for accept in (addresses.parse, addresses.target):
        with pytest.raises(addresses.NotAnAddress) as refused:
            accept("x" + longest)
        assert [reason.code for reason in refused.value.reasons] == ["address_long"]


def test_whole_reads_in_chunks(domain: Any, django_assert_max_num_queries: Any) -> None:
    Mailbox.objects.bulk_create(
        Mailbox(
            domain=domain,
            local_part=f"m{n}",
            address=f"m{n}@example.test",
            password="{ARGON2ID}x",
            password_set_at=AT,
            state_since=AT,
            created_at=AT,
        )
        for n in range(1200)
    )
    with django_assert_max_num_queries(4 + 3):  # and the app passwords of each chunk
        assert sum("mailbox" in line for line in delta.whole(HOST).lines) == 1200


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["create", "suspend", "resume", "password", "alias", "unalias", "move", "bulk", "push"]
        ),
        st.sampled_from(["anna", "bert", "carl"]),
    ),
    max_size=14,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
@pytest.mark.django_db
def test_deltas_end_where_the_whole_does(steps: list[tuple[str, str]]) -> None:
    """Whatever happened, and whenever a push came in between, twice included."""
    from django.db import transaction

    from core.errors import Refusal

    hosts = {HOST: FakeHost(), OTHER: FakeHost()}

    def push(host: str) -> None:
        given = since(hosts[host].through, host)
        if given.through_change:
            hosts[host].take(given)
            hosts[host].take(given)

    with transaction.atomic():
        home = domains.create(name="example.test", host=HOST, by=None, at=AT)
        for step, name in steps:
            address = f"{name}@example.test"
            mailbox = Mailbox.objects.filter(address=address).first()
            alias = Alias.objects.filter(address=address).first()
            common: dict[str, Any] = {"by": None, "at": AT}
            try:
                if step == "create":
                    lifecycle.create(domain=home, local_part=name, password=GOOD, **common)
                elif step == "alias":
                    aliases.create(
                        domain=home, local_part=name, targets=["x@elsewhere.test"], **common
                    )
                elif step == "unalias" and alias:
                    aliases.delete(alias=alias, **common)
                elif step == "suspend" and mailbox:
                    lifecycle.suspend(mailbox=mailbox, **common)
                elif step == "resume" and mailbox:
                    lifecycle.resume(mailbox=mailbox, **common)
                elif step == "password" and mailbox:
                    lifecycle.set_password(mailbox=mailbox, password=GOOD, **common)
                elif step == "bulk":
                    bulk.suspend(
                        mailboxes=list(Mailbox.objects.values_list("pk", flat=True)), **common
                    )
                elif step == "move":
                    home.refresh_from_db()
                    to = OTHER if home.host == HOST else HOST
                    domains.assign_host(domain=home, host=to, **common)
                elif step == "push":
                    push(HOST)
            except Refusal:
                pass
        for host, fake in hosts.items():
            push(host)
            fresh = FakeHost()
            fresh.take(delta.whole(host), whole=True)
            assert fake.state() == fresh.state()
        transaction.set_rollback(True)
