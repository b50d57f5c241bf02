"""Calls about profiles: what each kind of certificate holds, and an operator's copies."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Router, Schema, Status

from ca import copying, preparation, profiles
from ca.api.common import operator_of
from ca.models import ProfileCopy
from core.api_auth import Token

router = Router()


class ProfileOut(Schema):
    """`base` is the built-in profile a copy comes from, or null; `retired` takes no new orders."""

    id: str
    name: str
    base: str | None
    days: int
    most_days: int
    name_kinds: list[str]
    wildcards: bool
    purposes: list[str]
    retired: bool


class CopyIn(Schema):
    """What is left out is as the base has it."""

    id: str
    name: str
    base: str = profiles.HOST.id
    days: int | None = None
    most_days: int | None = None
    name_kinds: list[str] | None = None
    wildcards: bool | None = None
    purposes: list[str] | None = None


class CopyChange(Schema):
    """What is left out stays. `retired` true or false takes it out of use, or into use again."""

    name: str | None = None
    days: int | None = None
    most_days: int | None = None
    name_kinds: list[str] | None = None
    wildcards: bool | None = None
    purposes: list[str] | None = None
    retired: bool | None = None


HOLDS = ("name", "days", "most_days", "name_kinds", "wildcards", "purposes")


def _built_in(profile: profiles.Profile) -> ProfileOut:
    return ProfileOut(
        id=profile.id,
        name=preparation.profile_label(profile.id),
        base=None,
        days=profile.days,
        most_days=profile.most_days,
        name_kinds=sorted(profile.name_kinds),
        wildcards=profile.wildcards,
        purposes=list(profile.purposes),
        retired=False,
    )


def _copy(copy: ProfileCopy) -> ProfileOut:
    return ProfileOut(
        id=copy.slug,
        base=copy.base,
        retired=copy.retired_at is not None,
        **{each: getattr(copy, each) for each in HOLDS},
    )


@router.get("/profiles", auth=Token("ca:read"), response=list[ProfileOut])
def listed(request: HttpRequest) -> list[ProfileOut]:
    """Every kind of certificate that can be ordered, an operator's copies after the built-in."""
    built_in = [_built_in(each) for each in profiles.PROFILES.values()]
    return [*built_in, *(_copy(each) for each in ProfileCopy.objects.all())]


@router.post("/profiles", auth=Token("ca:issue"), response={201: ProfileOut})
def create(request: HttpRequest, body: CopyIn) -> Status[ProfileOut]:
    """Copy a built-in profile, with less than it has."""
    operator = operator_of(request, "ca.manage")
    asked = body.model_dump(exclude_none=True)
    slug, base = asked.pop("id"), asked.pop("base", profiles.HOST.id)
    rails = profiles.PROFILES.get(base, profiles.HOST)
    holds = {
        "days": min(rails.days, asked.get("most_days", rails.days)),
        "most_days": rails.most_days,
        "name_kinds": sorted(rails.name_kinds),
        "wildcards": rails.wildcards and "dns" in asked.get("name_kinds", rails.name_kinds),
        "purposes": list(rails.purposes),
    } | asked
    made = copying.create(slug=slug, base=base, **holds, by=operator, at=timezone.now())
    return Status(201, _copy(made))


@router.patch("/profiles/{slug:slug}", auth=Token("ca:issue"), response=ProfileOut)
def change(request: HttpRequest, slug: str, body: CopyChange) -> ProfileOut:
    """Edit, retire or take into use again. What was signed before stays as it is."""
    operator = operator_of(request, "ca.manage")
    copy = get_object_or_404(ProfileCopy, slug=slug)
    asked = body.model_dump(exclude_none=True)
    retired, now = asked.pop("retired", None), timezone.now()
    with transaction.atomic():  # all of it or nothing
        if retired is False:
            copying.reinstate(copy=copy, by=operator, at=now)
        if asked:
            holds = {each: getattr(copy, each) for each in HOLDS} | asked
            copying.edit(copy=copy, **holds, by=operator, at=now)
        if retired:
            copying.retire(copy=copy, by=operator, at=now)
    return _copy(copy)
