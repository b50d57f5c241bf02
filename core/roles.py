"""Who may do what: three roles and one table.

An owner may do everything; an operator does the daily work; a viewer looks. Snippets are root on
the mail hosts in all but name, and new authorities speak for the organisation: both are the
owner's alone.
"""

from collections.abc import Mapping
from typing import Protocol

from django.utils.translation import gettext_lazy as _

OWNER = "owner"
OPERATOR = "operator"
VIEWER = "viewer"

CHOICES = [(OWNER, _("Owner")), (OPERATOR, _("Operator")), (VIEWER, _("Viewer"))]

_EVERYONE = frozenset({OWNER, OPERATOR, VIEWER})
_WORKERS = frozenset({OWNER, OPERATOR})
_OWNERS = frozenset({OWNER})

PERMISSIONS: Mapping[str, frozenset[str]] = {
    "ca.view": _EVERYONE,
    "ca.issue": _WORKERS,
    "ca.manage": _OWNERS,
    "accounts.view": _EVERYONE,
    "accounts.manage": _WORKERS,
    "deploy.view": _EVERYONE,
    "deploy.rollout": _WORKERS,
    "deploy.manage": _OWNERS,
    "deploy.snippets": _OWNERS,
    "settings.view": _EVERYONE,
    "settings.manage": _OWNERS,
    "audit.view": _EVERYONE,
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
