"""The activity page: newest first, filtered, paged by key."""

import re
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone

from core import audit
from core.models import AuditEvent
from mailadmin.actions import WORDS

BASE = Path(__file__).resolve().parents[2]


@pytest.fixture
def events(owner):
    now = timezone.now()
    AuditEvent.objects.bulk_create(
        AuditEvent(
            at=now, actor=owner, actor_name="owner", subject=f"box-{n:03}@example.test",
            action="accounts.mailbox.created" if n % 2 else "ca.certificate.issued",
        )
        for n in range(120)
    )  # fmt: skip


def subjects(answer):
    return re.findall(r"(box-\d+@example\.test)", answer.content.decode())


def test_pages_by_key_there_and_back(signed_in, events):
    first = signed_in.get("/activity/")
    assert subjects(first)[0] == "box-119@example.test" and len(subjects(first)) == 50
    assert 'rel="prev"' not in first.content.decode()
    key = re.search(r'rel="next" href="\?after=(\d+)"', first.content.decode())[1]
    second = signed_in.get(f"/activity/?after={key}")
    assert subjects(second)[0] == "box-069@example.test"
    key = re.search(r'rel="prev" href="\?before=(\d+)"', second.content.decode())[1]
    assert subjects(signed_in.get(f"/activity/?before={key}")) == subjects(first)


def test_filters_keep_while_paging(signed_in, events):
    page = signed_in.get("/activity/?area=ca&q=box")
    assert len(subjects(page)) == 50
    assert all(int(s[4:7]) % 2 == 0 for s in subjects(page))
    assert re.search(r'href="\?area=ca&amp;q=box&amp;after=\d+"', page.content.decode())


@pytest.mark.parametrize(
    "junk", ["?after=x", "?before=%00", "?area=nope", "?after=99999999999999999999999"]
)
def test_nonsense_in_the_address_is_no_error(signed_in, events, junk):
    assert signed_in.get(f"/activity/{junk}").status_code == 200


def test_what_people_type_is_escaped(signed_in, owner):
    with transaction.atomic():
        audit.record(
            by=owner, at=timezone.now(), action="core.token.created", subject="<script>x</script>"
        )
    page = signed_in.get("/activity/").content.decode()
    assert "<script>x" not in page and "&lt;script&gt;x" in page


def test_every_action_that_a_verb_records_has_words():
    used = set()
    for app in ("core", "ca", "accounts", "deploy", "mailadmin"):
        for path in (BASE / app).rglob("*.py"):
            if path.name != "actions.py" and "tests" not in path.parts:
                used |= set(
                    re.findall(
                        r'"((?:core|ca|accounts|deploy)\.[a-z_]+\.[a-z_]+)"', path.read_text()
                    )
                )
    used = {code for code in used if code.split(".")[0] in ("core", "ca", "accounts", "deploy")}
    modules = {".".join(p.relative_to(BASE).with_suffix("").parts) for p in BASE.glob("*/*.py")}
    used = {c for c in used if ".".join(c.split(".")[:2]) not in modules}
    assert used and not used - WORDS.keys(), sorted(used - WORDS.keys())
