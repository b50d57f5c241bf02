"""One-time links: the first owner, and the way back in after a lock-out.

A link is `/setup/<secret>/`; only the secret's SHA-256 is stored, it works once and for an hour
(that of a new colleague for longer, see `core.operators`). A new link of the same purpose (and
operator) puts the older ones out of use.
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


def new_link(*, at: datetime, operator: Operator | None = None, life: timedelta = LIFE) -> str:
    """The path of a fresh link: for the first owner, or for `operator` to get (back) in."""
    purpose = RESTORE if operator else SETUP
    secret = secrets.token_urlsafe(24)
    with transaction.atomic():
        OneTimeLink.objects.filter(purpose=purpose, operator=operator).delete()
        OneTimeLink.objects.create(
            purpose=purpose, operator=operator, digest=_digest(secret), expires_at=at + life
        )
    return reverse("setup", args=[secret])


def look_up(secret: str, *, at: datetime) -> OneTimeLink:
    """The link if it can still be used, otherwise LinkRefused with the reason."""
    found = OneTimeLink.objects.select_related("operator").filter(digest=_digest(secret))
    link = found.first()
    if link is None and owner_exists():
        raise LinkRefused(
            _(
                "This link is not known here. If a newer one was made, use that one; otherwise ask "
                "an owner of this console for one."
            )
        )
    if link is None:
        raise LinkRefused(
            _("This link is not known here. Start the console again to see a new one.")
        )
    if link.used_at or (link.purpose == SETUP and owner_exists()):
        raise LinkRefused(_("This link has been used already. Sign in instead."))
    if link.operator and not link.operator.is_active:
        raise LinkRefused(
            _("This account is switched off. An owner of this console can switch it on again.")
        )
    if link.operator and link.expires_at <= at:
        raise LinkRefused(_("This link is too old. Ask an owner of this console for a new one."))
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
    action = "core.owner.created"
    if link.purpose == RESTORE:
        action = "core.operator.restored" if operator.last_login else "core.operator.joined"
    with transaction.atomic():
        # Switched off meanwhile, or given a newer link: then this one is gone.
        used = OneTimeLink.objects.filter(pk=link.pk, used_at=None).update(used_at=at)
        if not used or (link.purpose == SETUP and owner_exists()):
            raise LinkRefused(_("This link has been used already. Sign in instead."))
        # The password alone: whatever an owner changed meanwhile stays.
        operator.save(update_fields=["password"] if operator.pk else None)
        operator.address = address
        audit.record(by=operator, at=at, action=action, subject=operator.username)
    return operator


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
