"""A domain with one of everything in it, and what pages and calls about it take.

`tests/mailadmin/test_every_address.py` walks with two of them: one in the scope of an operator who
has domains, and one that must not exist for him. A page or call about accounts that is new belongs
into these tables: without a row there the walk fails.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.utils import timezone

from accounts import (
    aliases,
    app_passwords,
    closing,
    domains,
    importing,
    invitations,
    lifecycle,
    reading,
)
from accounts.models import AccountImport, Alias, AppPassword, Domain, Flag, Mailbox
from core.models import AuditEvent
from tests.accounts.conftest import GOOD

Body = dict[str, Any]


@dataclass(frozen=True)
class World:
    """The fields are what KEYS and the bodies name."""

    domain: Domain
    empty: Domain
    active: Mailbox
    suspended: Mailbox
    closing: Mailbox
    alias: Alias
    app_password: AppPassword
    flag: Flag
    batch: AccountImport

    @property
    def names(self) -> list[str]:
        return [self.domain.name, self.empty.name]


def make(name: str) -> World:
    """`name`.test with three mailboxes, and empty-`name`.test. No password costs much to hash."""
    who: Body = {"by": None, "at": timezone.now()}
    domain = domains.create(name=f"{name}.test", **who)
    given = {"domain": domain, "password": GOOD, "owner_contact": "reception", **who}
    active = lifecycle.create(local_part="active", **given)
    suspended = lifecycle.create(local_part="suspended", **given)
    closed = lifecycle.create(local_part="closed", **given)
    lifecycle.suspend(mailbox=suspended, **who)
    closing.close(mailbox=closed, days=0, **who)
    invitations.invite(mailbox=active, **who)
    lead = {"targets": [active.address], "domain": domain, **who}
    moments = {"since": who["at"], "found_at": who["at"]}
    total = hashlib.sha256()
    csv = io.BytesIO(f"address,password\nnew@{name}.test,{GOOD}\n".encode())
    return World(
        domain=domain,
        empty=domains.create(name=f"empty-{name}.test", **who),
        active=active,
        suspended=Mailbox.objects.get(pk=suspended.pk),
        closing=Mailbox.objects.get(pk=closed.pk),
        alias=aliases.create(local_part="alias", **lead),
        app_password=app_passwords.create(mailbox=active, name="Phone", imap=True, **who)[0],
        flag=Flag.objects.create(mailbox=active, kind="no_owner", risk=3, **moments),
        batch=importing.request(
            rows=reading.read(csv, total=total),
            total=total,
            name="x.csv",
            choices=importing.Choices(False, False),
            dry_run=True,
            **who,
        ),
    )


def written() -> list[Any]:
    """Everything that an act on accounts leaves behind."""
    models = apps.get_app_config("accounts").get_models()
    rows = [list(model._default_manager.order_by("pk").values_list()) for model in models]
    return [AuditEvent.objects.count(), *rows]


# Of which row a page's key is.
KEYS = {
    "accounts:alias_delete": "alias",
    "accounts:alias_edit": "alias",
    "accounts:app_password_new": "active",
    "accounts:app_password_revoke": "app_password",
    "accounts:close": "active",
    "accounts:domain": "domain",
    "accounts:domain_edit": "domain",
    "accounts:domain_remove": "empty",
    "accounts:edit": "active",
    "accounts:end": "active",
    "accounts:erase": "closing",
    "accounts:import": "batch",
    "accounts:import_cancel": "batch",
    "accounts:import_real": "batch",
    "accounts:import_report": "batch",
    "accounts:invitation_withdraw": "active",
    "accounts:invite": "active",
    "accounts:mailbox": "active",
    "accounts:password": "active",
    "accounts:reopen": "closing",
    "accounts:resume": "suspended",
    "accounts:suspend": "active",
    "deploy:account_live": "active",
}

# What a page's form is sent; all of it is done where it is allowed.
FORMS: dict[str, Callable[[World], Body]] = {
    "accounts:alias_delete": lambda world: {},
    "accounts:alias_edit": lambda world: {"revision": 1, "targets": "me@elsewhere.test"},
    "accounts:alias_new": lambda world: {
        "local_part": "added",
        "domain": world.domain.pk,
        "targets": "me@elsewhere.test",
    },
    "accounts:app_password_new": lambda world: {"name": "Scanner", "sending": "on"},
    "accounts:app_password_revoke": lambda world: {},
    "accounts:audit_start": lambda world: {},
    "accounts:close": lambda world: {"days": 30},
    "accounts:domain_edit": lambda world: {
        "revision": 1,
        "note": "seen",
        "password_rule": "long",
        "least_length": 12,
        "least_score": 3,
    },
    "accounts:domain_remove": lambda world: {},
    "accounts:domains": lambda world: {"name": "added.test"},
    "accounts:edit": lambda world: {"revision": 1, "note": "seen"},
    "accounts:end": lambda world: {"expires_at": "2099-01-31"},
    "accounts:erase": lambda world: {"typed": world.closing.address},
    "accounts:flags_selected": lambda world: {
        "verb": "exempt",
        "sure": "yes",
        "reason": "seen",
        "flag": [world.flag.pk],
    },
    "accounts:import_cancel": lambda world: {},
    "accounts:import_new": lambda world: {"text": f"address,password\nnew@ours.test,{GOOD}\n"},
    "accounts:invitation_withdraw": lambda world: {},
    "accounts:invite": lambda world: {},
    "accounts:new": lambda world: {
        "local_part": "added",
        "domain": world.domain.pk,
        "password": GOOD,
    },
    "accounts:password": lambda world: {"password": GOOD + "x"},
    "accounts:policy": lambda world: {
        "on": "on",
        "kinds": ["never_used"],
        "notice_days": 14,
        "revision": 0,
        "sure": "yes",
    },
    "accounts:reopen": lambda world: {},
    "accounts:resume": lambda world: {},
    "accounts:selected": lambda world: {
        "verb": "suspend",
        "sure": "yes",
        "mailbox": [world.active.pk],
    },
    "accounts:suspend": lambda world: {},
}
# Forms that only look, or whose moment is not now.
FORMS_WITHOUT_ACT: dict[str, Callable[[World], Body]] = {
    "accounts:audit_stop": lambda world: {},
    "accounts:import_real": lambda world: {},
    "accounts:name_check": lambda world: {"local_part": "active", "domain": world.domain.pk},
    "accounts:password_check": lambda world: {"password": "x", "mailbox": world.active.pk},
}
# Counts of all domains at once: nowhere for who has some.
OF_ALL_DOMAINS = {"accounts:audit"}

# What stands in a call's path, by its first word; several in a tuple.
PATHS: dict[str, Callable[[World], object]] = {
    "aliases": lambda world: world.alias.address,
    "domains": lambda world: world.domain.name,
    "flags": lambda world: world.flag.pk,
    "imports": lambda world: world.batch.pk,
    "mailboxes": lambda world: world.active.address,
}
OTHER_PATHS: dict[str, Callable[[World], object]] = {
    "DELETE /mailboxes/{address}/app-passwords/{pk}": lambda world: (
        world.active.address,
        world.app_password.pk,
    ),
    "POST /mailboxes/{address}/erase": lambda world: world.closing.address,
    "POST /mailboxes/{address}/reopen": lambda world: world.closing.address,
    "POST /mailboxes/{address}/resume": lambda world: world.suspended.address,
}
_LATER = timezone.now() + timedelta(days=30)
# What a call is sent; all of it is done where it is allowed.
BODIES: dict[str, Callable[[World], Body | None]] = {
    "POST /aliases": lambda world: {
        "address": f"added@{world.domain.name}",
        "targets": ["me@elsewhere.test"],
    },
    "DELETE /aliases/{address}": lambda world: None,
    "PATCH /aliases/{address}": lambda world: {"revision": 1, "note": "seen"},
    "POST /domains": lambda world: {"name": "added.test"},
    "PATCH /domains/{name}": lambda world: {"revision": 1, "note": "seen"},
    "PUT /flags/policy": lambda world: {
        "on": True,
        "kinds": ["never_used"],
        "notice_days": 14,
        "revision": 0,
    },
    "POST /flags/{pk}/exempt": lambda world: {"reason": "seen"},
    "DELETE /flags/{pk}/exempt": lambda world: None,
    "POST /mailboxes": lambda world: {
        "address": f"added@{world.domain.name}",
        "password": GOOD,
    },
    "POST /mailboxes/{address}/app-passwords": lambda world: {"name": "Phone", "imap": True},
    "DELETE /mailboxes/{address}/app-passwords/{pk}": lambda world: None,
    "POST /mailboxes/{address}/close": lambda world: {},
    "POST /mailboxes/{address}/erase": lambda world: {"typed": world.closing.address},
    "POST /mailboxes/{address}/expiry": lambda world: {
        "expires_at": _LATER.isoformat(),
        "name_reason": "seen",
    },
    "POST /mailboxes/{address}/password": lambda world: {"password": GOOD + "x"},
    "POST /mailboxes/{address}/reopen": lambda world: None,
    "POST /mailboxes/{address}/resume": lambda world: None,
    "POST /mailboxes/{address}/suspend": lambda world: {},
}
# What takes no row of a domain; who has some domains may do none of it.
OF_NO_DOMAIN = {"POST /imports"}
