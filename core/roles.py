"""Who may do what: five roles and one table.

An owner may do everything; an administrator does the daily work; an auditor reads. A domain manager
and the helpdesk do theirs in the domains they were given (`Operator.domains`) and see no others.
Snippets are root on the mail hosts in all but name, and new authorities speak for the organisation:
both are the owner's alone.
"""

from collections.abc import Mapping
from typing import Protocol

from django.utils.translation import gettext_lazy as _

OWNER = "owner"
ADMINISTRATOR = "administrator"
DOMAIN_MANAGER = "domain_manager"
HELPDESK = "helpdesk"
AUDITOR = "auditor"

CHOICES = [
    (OWNER, _("Owner")),
    (ADMINISTRATOR, _("Administrator")),
    (DOMAIN_MANAGER, _("Domain manager")),
    (HELPDESK, _("Helpdesk")),
    (AUDITOR, _("Auditor")),
]

IN_SCOPE = frozenset({DOMAIN_MANAGER, HELPDESK})
"""Roles that see the domains they were given and nothing else."""

_EVERYONE = frozenset(role for role, _label in CHOICES)
_READERS = frozenset({OWNER, ADMINISTRATOR, AUDITOR})
_OWNERS = frozenset({OWNER})
_WORKERS = _OWNERS | {ADMINISTRATOR}
_MANAGERS = _WORKERS | {DOMAIN_MANAGER}

PERMISSIONS: Mapping[str, frozenset[str]] = {
    "ca.view": _READERS,
    "ca.issue": _WORKERS,
    "ca.manage": _OWNERS,
    "accounts.view": _EVERYONE,
    # To set a password, and to suspend.
    "accounts.help": _MANAGERS | {HELPDESK},
    # The rest of an account's life, and aliases.
    "accounts.manage": _MANAGERS,
    # What is not one domain's: domains themselves, imports, audits of passwords.
    "accounts.domains": _WORKERS,
    "deploy.view": _READERS,
    "deploy.rollout": _WORKERS,
    "deploy.manage": _OWNERS,
    "deploy.snippets": _OWNERS,
    "settings.view": _EVERYONE,
    "settings.manage": _OWNERS,
    "audit.view": _READERS,
}


class HasRole(Protocol):
    role: str
    is_active: bool


def may(operator: HasRole, permission: str) -> bool:
    """Whether the operator's role allows `permission`; an unknown permission is a KeyError."""
    return bool(operator.is_active) and getattr(operator, "role", "") in PERMISSIONS[permission]


def who_may(permission: str) -> list[object]:
    """The names of the roles that have `permission`, for the page that refuses."""
    return [label for role, label in CHOICES if role in PERMISSIONS[permission]]
