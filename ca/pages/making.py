"""Pages that make authorities, or use a root: each posts one wish to one verb, and follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from ca import authorities, describe, offline, refused, rehearsal, rollover
from ca.forms.authorities import (
    AuthorityForm,
    HierarchyForm,
    IssuingForm,
    PassphraseForm,
    ReissueForm,
    RootForm,
    key_label,
    subject_of,
    warnings_of,
)
from ca.forms.offline import RequestForm, SubordinateForm, uploaded
from ca.models import Ceremony, Issuer
from ca.pages.certificate import labelled
from ca.reissue import bound_to_the_serial
from ca.wishes import Wish
from core.access import requires

# What a stand-in key says of itself is not what will be signed.
OF_THE_KEY = frozenset({"serial", "key_id", "subject_key_identifier", "authority_key_identifier"})


def add_refusal(form: forms.Form, refusal: rehearsal.NotMade) -> None:
    field = refusal.field if refusal.field in form.fields else None
    sentences = getattr(refusal, "sentences", [refusal.sentence])
    for sentence in sentences:
        form.add_error(field, sentence)


def _preview(wish: Wish, *, unconstrained: bool, under: Issuer | None) -> dict[str, Any]:
    """Every field that would be signed, and what to think about first."""
    at = timezone.now()
    wish, seen = rehearsal.looked_at(wish, unconstrained=unconstrained, under=under, at=at)
    parts = []
    for part, tbs in ((wish.root, seen.root), (wish.issuing, seen.issuing)):
        if part is None or tbs is None:
            continue
        rows = [
            describe.Field("key", (key_label(part.algorithm),)) if field.code == "key" else field
            for field in describe.fields(describe.of_prepared(tbs))
            if field.code not in OF_THE_KEY
        ]
        parts.append({"name": part.name, "fields": labelled(rows)})
    return {"parts": parts, "warnings": warnings_of(wish, unconstrained=not wish.permitted)}


def _asked(
    request: HttpRequest,
    form: AuthorityForm,
    template: str,
    context: dict[str, Any],
    *,
    wish: Callable[[], Wish],
    ask: Callable[[Wish], Ceremony],
    under: Issuer | None = None,
) -> HttpResponse:
    """The way of every page here: look at it, or ask for it, or be told what is wrong."""
    looks = "preview" in request.POST
    if looks:
        form.without_secrets()
    if request.method == "POST" and form.is_valid():
        try:
            if not looks:
                return redirect("ca:ceremony", pk=ask(wish()).pk)
            unconstrained = form.cleaned_data.get("unconstrained", True)
            context["preview"] = _preview(wish(), unconstrained=unconstrained, under=under)
        except rehearsal.NotMade as refusal:
            add_refusal(form, refusal)
    form.with_secrets()
    status = 422 if form.errors else 200
    return render(request, template, context | {"form": form}, status=status)


def _secret(form: forms.Form) -> str:
    return str(form.cleaned_data.get("passphrase", ""))


@sensitive_post_parameters("passphrase", "passphrase_again")
@requires("ca.manage")
def new_hierarchy(request: HttpRequest) -> HttpResponse:
    """A root and an issuing authority in one page."""
    form = HierarchyForm(request.POST or None)

    def ask(wish: Wish) -> Ceremony:
        return authorities.request_hierarchy(
            wish=wish,
            unconstrained=form.cleaned_data["unconstrained"],
            passphrase=_secret(form),
            by=request.user,
            at=timezone.now(),
        )

    return _asked(request, form, "ca/new_hierarchy.html", {}, wish=form.wish, ask=ask)


@sensitive_post_parameters("passphrase", "passphrase_again")
@requires("ca.manage")
def new_root(request: HttpRequest) -> HttpResponse:
    """A root alone."""
    form = RootForm(request.POST or None)

    def ask(wish: Wish) -> Ceremony:
        return authorities.request_root(
            wish=wish, passphrase=_secret(form), by=request.user, at=timezone.now()
        )

    context = {"alone": True}
    return _asked(request, form, "ca/new_hierarchy.html", context, wish=form.wish, ask=ask)


@requires("ca.manage")
def new_request(request: HttpRequest) -> HttpResponse:
    """An issuing authority whose root is elsewhere: its key and its request."""
    form = RequestForm(request.POST or None)

    def ask(wish: Wish) -> Ceremony:
        return authorities.request_key(
            wish=wish,
            unconstrained=form.cleaned_data["unconstrained"],
            by=request.user,
            at=timezone.now(),
        )

    context = {
        "heading": _("Make a key for a root elsewhere"),
        "subheading": _(
            "The key stays here; you carry its request to the root, and bring the certificate back."
        ),
        "label": _("Make the key and its request"),
        "looks": False,
    }
    return _asked(request, form, "ca/new_issuing.html", context, wish=form.wish, ask=ask)


def _initial(under: Issuer, like: Issuer | None) -> dict[str, Any]:
    """What was chosen the last time, or what the one above allows."""
    permitted = like.permitted if like is not None else under.permitted
    return {
        "origin": like.origin if like is not None else under.origin,
        "permitted": "\n".join(permitted),
        "unconstrained": like is not None and not permitted,
        **subject_of(under),
    }


def _above(pk: int) -> Issuer:
    return get_object_or_404(Issuer.objects.exclude(certificate=None), pk=pk)


def _signed_by(root: Issuer) -> str:
    if root.key_kept == Issuer.UNDER_PASSPHRASE:
        return _("“%(root)s” signs it once; its passphrase is asked for.") % {"root": root.name}
    return _("“%(root)s” signs it; its key is with the signer, so no passphrase is needed.") % {
        "root": root.name
    }


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def new_issuing(request: HttpRequest, pk: int) -> HttpResponse:
    """Another authority under a root, or under one between."""
    root = _above(pk)
    initial = _initial(root, root.children.order_by("-pk").first())
    form = IssuingForm(request.POST or None, initial=initial, under=root)

    def ask(wish: Wish) -> Ceremony:
        return authorities.request_issuing(
            under=root,
            wish=wish,
            unconstrained=form.cleaned_data["unconstrained"],
            passphrase=_secret(form),
            by=request.user,
            at=timezone.now(),
        )

    context = {
        "root": root,
        "heading": _("Add an issuing authority"),
        "subheading": _signed_by(root),
        "label": _("Sign it with “%(root)s”") % {"root": root.name},
        "looks": True,
    }
    return _asked(
        request,
        form,
        "ca/new_issuing.html",
        context,
        wish=lambda: form.wish(**subject_of(root)),
        ask=ask,
        under=root,
    )


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def new_successor(request: HttpRequest, pk: int) -> HttpResponse:
    """A new issuing authority that takes the place of one that is there."""
    old = get_object_or_404(Issuer.objects.select_related("parent", "successor"), pk=pk)
    try:
        root = rollover.parent_of(old)
    except rollover.NotRetirable as refusal:
        return _refused(request, refusal, old)
    initial = _initial(root, old) | {
        "issuing_name": rollover.next_name(old),
        "issuing_algorithm": old.algorithm,
        "issuing_path_length": str(rehearsal.path_length_of(old.parsed) or 0),
    }
    form = IssuingForm(request.POST or None, initial=initial, under=root)

    def ask(wish: Wish) -> Ceremony:
        return rollover.request_successor(
            issuer=old,
            wish=wish,
            unconstrained=form.cleaned_data["unconstrained"],
            passphrase=_secret(form),
            by=request.user,
            at=timezone.now(),
        )

    context = {
        "root": old,
        "heading": _("Roll over to a new issuing authority"),
        "subheading": _(
            "“%(old)s” goes on until you retire it; new orders are offered the successor first."
        )
        % {"old": old.name},
        "label": _("Sign the successor with “%(root)s”") % {"root": root.name},
        "looks": True,
    }
    return _asked(
        request,
        form,
        "ca/new_issuing.html",
        context,
        wish=lambda: form.wish(**subject_of(root)),
        ask=ask,
        under=root,
    )


def _refused(request: HttpRequest, refusal: rehearsal.NotMade, issuer: Issuer) -> HttpResponse:
    messages.error(request, refusal.sentence)
    return redirect("ca:authority", pk=issuer.pk)


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def new_subordinate(request: HttpRequest, pk: int) -> HttpResponse:
    """A certificate for an authority whose key is elsewhere."""
    root = _above(pk)
    initial = subject_of(root) | {"permitted": "\n".join(root.permitted)}
    form = SubordinateForm(request.POST or None, request.FILES or None, initial=initial, under=root)

    def wish() -> Wish:
        with refused.noted(by=request.user, at=timezone.now()):
            asked = offline.read_request(uploaded(form, "csr"))
        part = replace(form.issuing_wish(), algorithm=asked.key_label)
        return replace(form.wish(), csr=asked.pem, issuing=part)

    def ask(wish: Wish) -> Ceremony:
        return authorities.request_subordinate(
            root=root,
            wish=wish,
            unconstrained=form.cleaned_data["unconstrained"],
            passphrase=_secret(form),
            by=request.user,
            at=timezone.now(),
        )

    context = {
        "root": root,
        "heading": _("Sign the request of an authority elsewhere"),
        "subheading": _signed_by(root),
        "label": _("Sign it with “%(root)s”") % {"root": root.name},
        "looks": True,
    }
    return _asked(request, form, "ca/new_issuing.html", context, wish=wish, ask=ask, under=root)


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def reissue(request: HttpRequest, pk: int) -> HttpResponse:
    """The root's certificate anew, with the same key."""
    root = get_object_or_404(Issuer.objects.roots().exclude(certificate=None), pk=pk)
    form = ReissueForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            asked = authorities.request_reissue(
                root=root,
                days=form.cleaned_data["days"],
                passphrase=form.cleaned_data["passphrase"],
                by=request.user,
                at=timezone.now(),
            )
            return redirect("ca:ceremony", pk=asked.pk)
        except authorities.NotMade as refusal:
            if refusal.code == "days_long":
                refusal.field = "root_days"
            add_refusal(form, refusal)
    status = 422 if form.errors else 200
    bound = bound_to_the_serial(root, timezone.now())
    context = {"form": form, "root": root, "bound": bound}
    return render(request, "ca/reissue.html", context, status=status)


@sensitive_post_parameters("passphrase")
@requires("ca.manage")
def renew_list(request: HttpRequest, pk: int) -> HttpResponse:
    """The root's next revocation list: only its passphrase can sign it."""
    root = get_object_or_404(Issuer.objects.roots().filter(key_kept=Issuer.UNDER_PASSPHRASE), pk=pk)
    form = PassphraseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            asked = authorities.request_list(
                root=root,
                passphrase=form.cleaned_data["passphrase"],
                by=request.user,
                at=timezone.now(),
            )
            return redirect("ca:ceremony", pk=asked.pk)
        except authorities.NotMade as refusal:
            add_refusal(form, refusal)
    status = 422 if form.errors else 200
    return render(request, "ca/renew_list.html", {"form": form, "root": root}, status=status)
