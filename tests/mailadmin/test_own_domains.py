"""What an operator of some domains sees of the console: those, and nothing of hosts, certificates
or what others did."""

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import domains, flags, lifecycle
from accounts.models import Flag
from core.models import Operator
from deploy.models import Host
from mailadmin import first_run, own_domains

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
PASSWORD = "kapim4-tovuz7-relof2-dasik9"
pytestmark = pytest.mark.django_db


@pytest.fixture(params=["domain_manager", "helpdesk"])
def scoped(request):
    return Operator.objects.create_user(
        username="scoped", password="x", role=request.param, domains=["mine.test"]
    )


@pytest.fixture
def hers(scoped, client):
    client.force_login(scoped, backend=BACKEND)
    return client


@pytest.fixture
def in_use(owner, monkeypatch):
    """Two domains on a host, a mailbox in each, and the one of the other domain is flagged."""
    from argon2 import PasswordHasher

    from accounts import hashing

    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(hashing, "_hasher", quick)
    now = timezone.now()
    host = Host.objects.create(
        fqdn="mail1.hidden.test", address="192.0.2.2", state=Host.READY, created_at=now
    )
    boxes = []
    for name in ("mine.test", "others.test"):
        row = domains.create(name=name, host=str(host.uuid), by=owner, at=now)
        boxes.append(
            lifecycle.create(domain=row, local_part="anna", password=PASSWORD, by=owner, at=now)
        )
    Flag.objects.create(mailbox=boxes[1], kind="weak", since=now, found_at=now, risk=3)
    return boxes


def text(answer):
    return answer.content.decode()


def test_the_overview_is_of_the_own_domains(hers, in_use) -> None:
    page = text(hers.get("/"))
    assert "mine.test" in page and "Nothing in your domains needs a hand" in page
    for hidden in ("others.test", "hidden.test", "Domain added", "Last changes", "First steps"):
        assert hidden not in page, hidden
    for closed in ("/hosts/", "/certificates/", "/activity/", "/settings/operators/"):
        assert f'href="{closed}"' not in page
        assert hers.get(closed).status_code == 403
    assert "change-bar" not in page


def test_first_run_is_not_theirs(hers) -> None:
    assert hers.get("/").status_code == 200
    assert hers.get("/welcome/")["Location"] == "/"


def test_a_flag_of_the_own_domains_is_the_line_of_truth(scoped, in_use) -> None:
    now = timezone.now()
    assert own_domains.look(operator=scoped, at=now).kind == "ok"
    Flag.objects.create(mailbox=in_use[0], kind="weak", since=now, found_at=now, risk=3)
    found = own_domains.look(operator=scoped, at=now)
    assert (found.kind, found.flagged, found.flags, found.mailboxes) == ("warning", 1, 1, 1)
    assert "1 flag of high risk needs a hand" in found.truth
    assert flags.listed(now).count() == 2


def test_who_has_no_domain_is_told_whom_to_ask(hers, scoped, in_use) -> None:
    Operator.objects.filter(pk=scoped.pk).update(domains=[])
    page = text(hers.get("/"))
    assert "Ask an owner" in page and "mine.test" not in page and "others.test" not in page


def test_more_domains_are_the_same_queries(scoped, owner, django_assert_num_queries) -> None:
    now = timezone.now()
    names = [f"d{n:02}.test" for n in range(60)]
    for name in names:
        domains.create(name=name, by=owner, at=now)
    scoped.domains = names
    with django_assert_num_queries(6):
        found = own_domains.look(operator=scoped, at=now)
    assert len(found.domains) == 50 and found.has_more and found.count == 60


def test_whether_an_account_is_live_is_said_without_the_host(hers, in_use, owner, client) -> None:
    from deploy.models import AccountPush

    mine, other = in_use
    push = AccountPush.objects.create(
        host=Host.objects.get(), state=AccountPush.CURRENT, through_change=10_000
    )
    address = reverse("deploy:account_live", args=[mine.pk])
    assert address in text(hers.get(reverse("accounts:mailbox", args=[mine.pk])))
    said = {"Live": hers.get(address)}
    push.through_change = 0
    push.save()
    said["On its way"] = hers.get(address)
    push.state, push.problem, push.problem_detail = AccountPush.HOST_AHEAD, "ahead", "9999"
    push.save()
    said["An administrator of this console can see why"] = hers.get(address)
    push.state = AccountPush.IDLE
    push.save()
    said["once the first configuration is live"] = hers.get(address)
    for words, answer in said.items():
        assert words in text(answer)
        assert "hidden.test" not in text(answer) and "/hosts/" not in text(answer).replace(
            address, ""
        )
        assert "9999" not in text(answer)
    assert hers.get(reverse("deploy:account_live", args=[other.pk])).status_code == 404
    client.force_login(owner, backend=BACKEND)
    assert "mail1.hidden.test" in text(client.get(address))


def test_who_only_looks_is_shown_no_checklist(viewer, client, owner) -> None:
    client.force_login(viewer, backend=BACKEND)
    page = text(client.get("/welcome/"))
    assert "Nothing has begun yet" in page and "From here to the first mail" not in page
    Host.objects.create(fqdn="m.example.test", address="192.0.2.2", created_at=timezone.now())
    assert "First steps" not in text(client.get("/"))
    assert first_run.is_for(owner) and not first_run.is_for(viewer)
    client.force_login(owner, backend=BACKEND)
    assert "First steps" in text(client.get("/"))


def test_an_administrator_has_the_checklist(client) -> None:
    client.force_login(Operator.objects.create(username="a", role="administrator"), backend=BACKEND)
    assert "From here to the first mail" in text(client.get("/welcome/"))
