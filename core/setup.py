"""One-time links: the first owner, and the way back in after a lock-out.

A link is `/setup/<secret>/`; only the secret's SHA-256 is stored, it works once and for an hour. A
new link of the same purpose (and operator) puts the older ones out of use.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from core import audit, roles
from core.errors import Refusal
from core.models import OneTimeLink, Operator

LIFE = timedelta(hours=1)
SETUP = "setup"
RESTORE = "restore"


class LinkRefused(Refusal):
    """The link is unknown, used, or too old."""

    status = 410


def owner_exists() -> bool:
    return Operator.objects.filter(role=roles.OWNER, is_active=True).exists()


def new_link(*, at: datetime, operator: Operator | None = None) -> str:
    """The path of a fresh link: for the first owner, or for `operator` to get back in."""
    purpose = RESTORE if operator else SETUP
    secret = secrets.token_urlsafe(24)
    with transaction.atomic():
        OneTimeLink.objects.filter(purpose=purpose, operator=operator).delete()
        OneTimeLink.objects.create(
            purpose=purpose, operator=operator, digest=_digest(secret), expires_at=at + LIFE
        )
    return reverse("setup", args=[secret])


def look_up(secret: str, *, at: datetime) -> OneTimeLink:
    """The link if it can still be used, otherwise LinkRefused with the reason."""
    link = OneTimeLink.objects.filter(digest=_digest(secret)).first()
    if link is None:
        raise LinkRefused(
            _("This link is not known here. Start the console again to see a new one.")
        )
    if link.used_at or (link.purpose == SETUP and owner_exists()):
        raise LinkRefused(_("This link has been used already. Sign in instead."))
    if link.expires_at <= at:
        raise LinkRefused(
            _("This link is more than an hour old. Start the console again to see a new one.")
        )
    return link


def redeem(
    secret: str, *, username: str, email: str, password: str, at: datetime, address: str = ""
) -> Operator:
    """Make the owner (or give a locked-out operator the new password). The password has been
    checked by the form; the link is used up in the same transaction."""
    link = look_up(secret, at=at)
    operator = link.operator or Operator(username=username, email=email, role=roles.OWNER)
    operator.set_password(password)
    with transaction.atomic():
        used = OneTimeLink.objects.filter(pk=link.pk, used_at=None).update(used_at=at)
        if not used or (link.purpose == SETUP and owner_exists()):
            raise LinkRefused(_("This link has been used already. Sign in instead."))
        operator.save()
        operator.address = address
        action = "core.operator.restored" if link.purpose == RESTORE else "core.owner.created"
        audit.record(by=operator, at=at, action=action, subject=operator.username)
    return operator


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
