"""`manage.py restore_access NAME` lets a locked-out operator back in."""

import re
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command

from core.models import AuditEvent


def restore(name: str) -> str:
    out = StringIO()
    call_command("restore_access", name, stdout=out)
    return re.search(r"(/setup/\S+)", out.getvalue())[1]


@pytest.mark.parametrize("name", ["owner", "Owner@example.test"])
def test_removes_factors_ends_sessions_and_gives_a_link(owner, signed_in, client, name):
    Authenticator.objects.create(user=owner, type="totp", data={"secret": "X"})
    assert signed_in.get("/welcome/").status_code == 200
    link = restore(name)
    assert not Authenticator.objects.filter(user=owner).exists()
    assert AuditEvent.objects.filter(action="core.operator.second_factors_reset").exists()
    page = client.get(link)
    assert page.status_code == 200 and 'name="username"' not in page.content.decode()
    answer = client.post(link, {"password": "a whole new sentence"})
    assert answer.status_code == 302
    owner.refresh_from_db()
    assert owner.check_password("a whole new sentence")
    assert client.get("/welcome/").status_code == 200
    assert client.get(link).status_code == 410


def test_an_open_session_ends(owner, client, db):
    client.post("/session/login/", {"login": "owner", "password": "correct horse 42"})
    assert client.get("/welcome/").status_code == 200
    restore("owner")
    assert client.get("/welcome/").status_code == 302


def test_an_unknown_name_lists_the_known(owner):
    with pytest.raises(CommandError, match="Known: owner"):
        restore("nobody")
