"""What tests of pages share."""

import html
from typing import Any

from accounts import lifecycle
from accounts.models import Domain, Mailbox

from .conftest import AT, GOOD

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


def new_account(home: Domain, **given: Any) -> dict[str, Any]:
    return {"local_part": "bert", "domain": home.pk, "password": GOOD} | given


def several(domain: Any, *names: str) -> list[Mailbox]:
    return [
        lifecycle.create(domain=domain, local_part=name, password=GOOD, by=None, at=AT)
        for name in names
    ]
