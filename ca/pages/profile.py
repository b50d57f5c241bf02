"""Pages of profiles: what each kind of certificate holds, and an operator's copies of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from ca import copying, preparation, profiles, wording
from ca.forms.profiles import CopyForm
from ca.models import ProfileCopy
from core.access import requires


@dataclass(frozen=True)
class Shown:
    """A profile as the page says it."""

    id: str
    label: str
    days: int
    most_days: int
    name_kinds: list[str]
    purposes: list[str]
    wildcards: bool = False
    own_common_name: bool = False
    copyable: bool = False
    copy: ProfileCopy | None = None
    base: str = ""
    broken: bool = False


def _built_in(profile: profiles.Profile) -> Shown:
    return Shown(
        id=profile.id,
        label=str(wording.PROFILES[profile.id]),
        days=profile.days,
        most_days=profile.most_days,
        name_kinds=_kinds(profile.name_kinds),
        purposes=[str(wording.PURPOSES[each]) for each in profile.purposes],
        wildcards=profile.wildcards,
        own_common_name=profile.own_common_name,
        copyable=profile.id in profiles.COPYABLE,
    )


def _authority(profile: profiles.AuthorityProfile) -> Shown:
    return Shown(
        id=profile.id,
        label=str(wording.PROFILES[profile.id]),
        days=profile.days,
        most_days=profile.most_days,
        name_kinds=[],
        purposes=[_("signs certificates and revocation lists")],
    )


def _copy(copy: ProfileCopy) -> Shown:
    try:
        preparation.rails_of(copy)
        broken = False
    except profiles.OutsideRails:
        broken = True
    return Shown(
        id=copy.slug,
        label=copy.name,
        days=copy.days,
        most_days=copy.most_days,
        name_kinds=_kinds(copy.name_kinds),
        purposes=[str(wording.PURPOSES.get(each, each)) for each in copy.purposes],
        wildcards=copy.wildcards,
        copy=copy,
        base=str(wording.PROFILES.get(copy.base, copy.base)),
        broken=broken,
    )


def _kinds(kinds: Any) -> list[str]:
    return [str(label) for kind, label in wording.NAME_KINDS.items() if kind in kinds]


@require_GET
@requires("ca.view")
def listed(request: HttpRequest) -> HttpResponse:
    """Every profile and what it holds."""
    built_in = [_built_in(each) for each in profiles.PROFILES.values()]
    built_in += [_authority(each) for each in (profiles.SUBORDINATE, profiles.ROOT)]
    copies = [_copy(each) for each in ProfileCopy.objects.all()]
    return render(request, "ca/profiles.html", {"built_in": built_in, "copies": copies})


def _add_refusal(form: CopyForm, refusal: copying.CopyRefused) -> None:
    form.add_error(refusal.field if refusal.field in form.fields else None, refusal.sentence)


@requires("ca.manage")
def new(request: HttpRequest, base: str) -> HttpResponse:
    """A copy of a built-in profile."""
    if base not in profiles.COPYABLE:
        raise Http404
    form = CopyForm(request.POST or None, base=profiles.by_id(base))
    if request.method == "POST" and form.is_valid():
        try:
            made = copying.create(base=base, **form.holds(), by=request.user, at=timezone.now())
        except copying.CopyRefused as refusal:
            _add_refusal(form, refusal)
        else:
            messages.success(request, _("“%(name)s” can be chosen now.") % {"name": made.name})
            return redirect("ca:profiles")
    context = {"form": form, "base": wording.PROFILES[base]}
    return render(request, "ca/profile.html", context, status=422 if form.errors else 200)


@requires("ca.manage")
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """What a copy holds from now on."""
    copy = get_object_or_404(ProfileCopy, slug=slug, base__in=profiles.COPYABLE)
    form = CopyForm(request.POST or None, base=profiles.by_id(copy.base), copy=copy)
    if request.method == "POST" and form.is_valid():
        try:
            copying.edit(copy=copy, **form.holds(), by=request.user, at=timezone.now())
        except copying.CopyRefused as refusal:
            copy.refresh_from_db()
            _add_refusal(form, refusal)
        else:
            messages.success(
                request, _("“%(name)s” counts as it is now for new orders.") % {"name": copy.name}
            )
            return redirect("ca:profiles")
    context = {"form": form, "base": wording.PROFILES[copy.base], "copy": copy}
    return render(request, "ca/profile.html", context, status=422 if form.errors else 200)


@require_POST
@requires("ca.manage")
def retire(request: HttpRequest, slug: str) -> HttpResponse:
    copy = get_object_or_404(ProfileCopy, slug=slug)
    try:
        copying.retire(copy=copy, by=request.user, at=timezone.now())
    except copying.CopyRefused as refusal:
        messages.error(request, refusal.sentence)
    return redirect("ca:profiles")


@require_POST
@requires("ca.manage")
def reinstate(request: HttpRequest, slug: str) -> HttpResponse:
    copy = get_object_or_404(ProfileCopy, slug=slug)
    try:
        copying.reinstate(copy=copy, by=request.user, at=timezone.now())
    except copying.CopyRefused as refusal:
        messages.error(request, refusal.sentence)
    return redirect("ca:profiles")
