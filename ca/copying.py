"""The verbs on copies of profiles: an operator's own kinds of certificate.

    copy = create(slug="inside", name="Inside hosts", base="host", days=30, most_days=90,
                  name_kinds=["dns"], wildcards=False, purposes=["serverAuth"], by=me, at=now)
    edit(copy=copy, name="Inside hosts", days=14, …, by=me, at=now)
    retire(copy=copy, by=me, at=now)          # takes no new orders; what was issued stays valid
    reinstate(copy=copy, by=me, at=now)

A copy never holds more than its base (`profiles.Profile.copied`); what it says counts for what is
signed from then on. Its id is in certificates' rows, so that it is neither changed nor given away
again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction

from ca import profiles, wording
from ca.models import ProfileCopy
from ca.preparation import rails_of
from core import audit
from core.errors import Refusal
from core.models import Operator

LONGEST_NAME = 64
_ID = re.compile(r"[a-z][a-z0-9-]{1,19}\Z")
# Ids that already mean something else in a certificate's row.
RESERVED = frozenset(profiles.PROFILES) | profiles.AUTHORITY_PROFILES | {"imported"}


class CopyRefused(Refusal):
    """A copy that will not be made or changed; `field` is the value that is wrong."""

    def __init__(self, code: str, field: str = "", *, status: int = 422, **detail: Any) -> None:
        super().__init__(wording.sentence(code, detail), status=status)
        self.code = code
        self.field = field
        self.detail = detail


class Holds(TypedDict):
    """What a copy says otherwise than its base: see `ca.models.ProfileCopy`."""

    name: str
    days: int
    most_days: int
    name_kinds: Sequence[str]
    wildcards: bool
    purposes: Sequence[str]


def create(
    *, slug: str, base: str, by: Operator | None, at: datetime, **holds: Unpack[Holds]
) -> ProfileCopy:
    """Make a copy of the built-in profile `base`; `slug` will be its id."""
    if not _ID.match(slug):
        raise CopyRefused("copy_id_bad", "slug", value=slug)
    if slug in RESERVED:
        raise CopyRefused("copy_id_taken", "slug", value=slug)
    copy = ProfileCopy(slug=slug, base=base)
    _fill(copy, holds)
    return _save(copy, "ca.profile.copied", by, at)


def edit(
    *, copy: ProfileCopy, by: Operator | None, at: datetime, **holds: Unpack[Holds]
) -> ProfileCopy:
    """Say anew what a copy in use holds. What was signed before stays as it is."""
    if copy.retired_at is not None:
        raise CopyRefused("copy_retired", value=copy.name, status=409)
    _fill(copy, holds)
    return _save(copy, "ca.profile.edited", by, at)


def retire(*, copy: ProfileCopy, by: Operator | None, at: datetime) -> None:
    """No new certificate of it: orders and renewals are refused with a sentence."""
    _turn(copy, at, "ca.profile.retired", "copy_retired", by, at)


def reinstate(*, copy: ProfileCopy, by: Operator | None, at: datetime) -> None:
    """Into use again."""
    _turn(copy, None, "ca.profile.reinstated", "copy_not_retired", by, at)


def _fill(copy: ProfileCopy, holds: Holds) -> None:
    name = str(holds["name"]).strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise CopyRefused("copy_name_bad", "name")
    copy.name, copy.days, copy.most_days = name, holds["days"], holds["most_days"]
    copy.name_kinds, copy.purposes = list(holds["name_kinds"]), list(holds["purposes"])
    copy.wildcards = holds["wildcards"]
    try:
        rails = rails_of(copy)
    except profiles.OutsideRails as error:
        raise CopyRefused(error.code, error.field, **error.detail) from error
    copy.name_kinds, copy.purposes = sorted(rails.name_kinds), list(rails.purposes)


def _save(copy: ProfileCopy, action: str, by: Operator | None, at: datetime) -> ProfileCopy:
    try:
        with transaction.atomic():
            copy.save()
            audit.record(
                by=by,
                at=at,
                action=action,
                subject=copy.name,
                detail={
                    "id": copy.slug,
                    "base": copy.base,
                    "days": copy.days,
                    "most_days": copy.most_days,
                    "name_kinds": copy.name_kinds,
                    "wildcards": copy.wildcards,
                    "purposes": copy.purposes,
                },
            )
    except IntegrityError as error:
        others = ProfileCopy.objects.exclude(pk=copy.pk)
        if others.filter(slug=copy.slug).exists():
            raise CopyRefused("copy_id_taken", "slug", value=copy.slug) from error
        if others.filter(name=copy.name).exists():
            raise CopyRefused("copy_name_taken", "name", value=copy.name) from error
        raise
    return copy


def _turn(
    copy: ProfileCopy,
    retired_at: datetime | None,
    action: str,
    already: str,
    by: Operator | None,
    at: datetime,
) -> None:
    with transaction.atomic():
        moved = ProfileCopy.objects.filter(
            pk=copy.pk, retired_at__isnull=retired_at is not None
        ).update(retired_at=retired_at)
        if not moved:
            raise CopyRefused(already, value=copy.name, status=409)
        audit.record(by=by, at=at, action=action, subject=copy.name, detail={"id": copy.slug})
    copy.retired_at = retired_at
