"""Pages that ask for a certificate, by any of the four ways to its key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from ca import csr, describe, issuance, keys, lints, parcels, preparation, refused, renewal, wording
from ca.forms.requests import FORMS, PassphraseForm, WishForm
from ca.models import Issuer, Order
from ca.names import Name
from ca.pages.certificate import labelled
from core.access import requires

PAGES = {
    Order.HOST: "ca:new_host",
    Order.ELSEWHERE: "ca:new_csr",
    Order.BROWSER: "ca:new_browser",
    Order.SIGNER: "ca:new_signer",
}
# The fields that say which key it is, as long as there is none.
_OF_THE_KEY = ("key_id", "subject_key_identifier")


@requires("ca.issue")
def new(request: HttpRequest) -> HttpResponse:
    """First of all: where the key is made."""
    has_issuer = Issuer.objects.able_to_issue(timezone.now()).exists()
    return render(request, "ca/new.html", {"has_issuer": has_issuer})


@requires("ca.issue")
def new_host(request: HttpRequest) -> HttpResponse:
    """What would be signed for a managed host: its order is made on the host's own page."""
    return _new(request, Order.HOST)


@requires("ca.issue")
def new_csr(request: HttpRequest) -> HttpResponse:
    """For a pasted or uploaded request."""
    return _new(request, Order.ELSEWHERE)


@never_cache
@requires("ca.issue")
def new_browser(request: HttpRequest) -> HttpResponse:
    """For a key that the page itself makes; its script posts the request and follows the order."""
    return _new(request, Order.BROWSER)


@sensitive_post_parameters("passphrase", "passphrase_again")
@sensitive_variables()
@never_cache
@requires("ca.issue")
def new_signer(request: HttpRequest) -> HttpResponse:
    """For a key that the signer makes and hands over under a passphrase."""
    return _new(request, Order.SIGNER)


@dataclass(frozen=True)
class Asked:
    """What a form asks for, read but not judged."""

    profile: str
    texts: Sequence[str]
    csr: csr.Csr | None
    key_algorithm: str
    subject: Mapping[str, str]


def _new(request: HttpRequest, way: str) -> HttpResponse:
    """The form, then the preview, whose button posts the same fields with `sign`: what was shown
    is asked for again, and the verb judges it anew."""
    issuers = Issuer.objects.able_to_issue(timezone.now())
    posted = request.method == "POST"
    form = FORMS[way](
        request.POST if posted else None,
        request.FILES if posted else None,
        issuers=issuers,
        initial=_initial(request),
    )
    context = {"form": form, "way": way, "has_issuer": issuers.exists()}
    if not posted or "change" in request.POST:
        return render(request, "ca/new_way.html", context)
    if not form.is_valid():
        return _refused(request, form, context)
    try:
        with refused.noted(by=request.user, at=timezone.now()):
            return _judged(request, form, way)
    except issuance.IssuanceRefused as refusal:
        form.add_error(_field_of(refusal, form), refusal.sentence)
        if refusal.code == "lints":
            context["verdicts"] = _verdicts(refusal.detail["findings"])
        return _refused(request, form, context)


def _judged(request: HttpRequest, form: WishForm, way: str) -> HttpResponse:
    asked = _asked(form, way)
    renews = form.cleaned_data.get("renews")
    if renews and _sent_before(request, asked, way) is None:
        renewal.check(renews, at=timezone.now())
    if "sign" in request.POST and way != Order.HOST:
        return _sign(request, form, asked, way)
    return _preview(request, form, asked, way)


def _initial(request: HttpRequest) -> dict[str, Any]:
    """`?order=7`: the same again, for a key that did not arrive."""
    known = request.GET.get("order", "")
    order = Order.objects.filter(pk=known).first() if known.isdecimal() else None
    return _again(order) if order else _next_of(request.GET.get("renews", ""))


def _next_of(known: str) -> dict[str, Any]:
    """`?renews=7`: the next of a certificate whose key was made in a browser."""
    orders = Order.objects.filter(certificate=known) if known.isdecimal() else Order.objects.none()
    order = orders.select_related("certificate__issuer").first()
    if order is None or order.certificate is None:
        return {}
    issuer = renewal.signed_by(order.certificate)
    return _again(order) | {"issuer": issuer.pk, "renews": order.certificate_id}


def _again(order: Order) -> dict[str, Any]:
    return {
        "profile": order.profile,
        "names": "\n".join(order.names),
        "common_name": order.subject.get("CN", ""),
        "organisation": order.subject.get("O", ""),
        "days": order.days,
        "issuer": order.issuer_id,
        "key_algorithm": order.key_algorithm,
        "parcel_form": order.parcel_form,
    }


def _refused(request: HttpRequest, form: WishForm, context: dict[str, Any]) -> HttpResponse:
    if "sign" in request.POST and context["way"] == Order.BROWSER:
        problems = [str(each) for errors in form.errors.values() for each in errors]
        return JsonResponse({"problem": " ".join(problems)}, status=422)
    return render(request, "ca/new_way.html", context, status=422)


def _asked(form: WishForm, way: str) -> Asked:
    data = form.cleaned_data
    read = preparation.read_csr(data["source"]) if way == Order.ELSEWHERE else None
    if way == Order.BROWSER and data["csr"]:
        read = preparation.read_csr(data["csr"])
    proposed = [each.value for each in read.names] if read and way == Order.ELSEWHERE else []
    return Asked(
        profile=data["profile"],
        texts=form.texts() or proposed,
        csr=read,
        key_algorithm=data.get("key_algorithm", ""),
        subject=form.subject(),
    )


def _preview(
    request: HttpRequest,
    form: WishForm,
    asked: Asked,
    way: str,
    passphrase: PassphraseForm | None = None,
) -> HttpResponse:
    data = form.cleaned_data
    rails = preparation.read_profile(asked.profile)
    wanted = preparation.read_names(asked.texts, profile=rails)
    tbs, _linted = preparation.prepare(
        profile=rails,
        issuer=data["issuer"],
        wanted=wanted,
        public_key=asked.csr.public_key if asked.csr else None,
        key_algorithm=asked.key_algorithm or "p256",
        days=data["days"],
        subject=asked.subject,
        at=timezone.now(),
    )
    hidden = dict(form.hidden()) | {"names": "\n".join(each.value for each in wanted)}
    if asked.csr:
        hidden["csr"] = asked.csr.pem
    proposed = asked.csr.names if asked.csr else ()
    shown = [each for each in describe.fields(describe.of_prepared(tbs)) if each.code != "serial"]
    context = {
        "way": way,
        "action": reverse(PAGES[way]),
        "issuer": data["issuer"],
        "hidden": hidden.items(),
        "title": wanted[0].shown() if wanted else asked.subject.get("CN", ""),
        "ignored": [each.value for each in proposed if each not in wanted],
        "fields": [
            _kind(asked.profile),
            *labelled(shown if asked.csr else _without_key(shown, asked, way)),
        ],
        "verdicts": _verdicts(()),
        "form": passphrase or (PassphraseForm() if way in (Order.BROWSER, Order.SIGNER) else None),
        "parcel_form": dict(_labels(form, "parcel_form")).get(data.get("parcel_form", ""), ""),
        "names_json": json.dumps([_general(each) for each in wanted]),
        "key_algorithm": asked.key_algorithm,
    }
    status = 422 if passphrase and passphrase.errors else 200
    return render(request, "ca/preview.html", context, status=status)


def _kind(profile_id: str) -> dict[str, Any]:
    field = describe.Field("profile", (preparation.profile_label(profile_id),))
    return {"label": _("Kind"), "field": field}


def _labels(form: WishForm, field: str) -> list[tuple[str, Any]]:
    found = form.fields.get(field)
    return list(getattr(found, "choices", ()))


def _general(name: Name) -> dict[str, Any]:
    """A name as the page's script puts it into the request: RFC 5280 4.2.1.6's tag and value."""
    tags = {"email": 1, "dns": 2, "ip": 7}
    value = name.general_name().value
    packed = getattr(value, "packed", b"")
    return {"tag": tags[name.kind], "value": packed.hex() if packed else name.value}


def _without_key(shown: Sequence[describe.Field], asked: Asked, way: str) -> list[describe.Field]:
    """The fields of a key that is still to be made."""
    label = keys.ALGORITHM_LABELS.get(asked.key_algorithm, "")
    to_be_made = {
        Order.HOST: _("made on the host"),
        Order.BROWSER: _("%(key)s, made in this page when you sign") % {"key": label},
        Order.SIGNER: _("%(key)s, made by the signer") % {"key": label},
    }[way]
    follows = _("follows from the key")
    found = []
    for each in shown:
        if each.code == "key":
            each = replace(each, values=(to_be_made,))
        elif each.code in _OF_THE_KEY:
            each = replace(each, values=(follows,), mono=False)
        found.append(each)
    return found


def _verdicts(findings: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Every rule with its section, what it demands and what breaks it; the broken ones first."""
    rows = []
    for rule in lints.ALL:
        broken = [lints.Finding(*each) for each in findings if each[0] == rule.id]
        rows.append(
            {
                "id": rule.id,
                "section": rule.section,
                "demand": wording.RULES.get(rule.id, rule.id),
                "broken": [wording.finding(each) for each in broken],
            }
        )
    return {
        "rows": sorted(rows, key=lambda row: not row["broken"]),
        "count": len(rows),
        "broken": sum(1 for row in rows if row["broken"]),
    }


@sensitive_variables()
def _sign(request: HttpRequest, form: WishForm, asked: Asked, way: str) -> HttpResponse:
    data = form.cleaned_data
    given: dict[str, Any] = {"way": way}
    if way == Order.SIGNER:
        secret = PassphraseForm(request.POST)
        if not secret.is_valid():
            return _preview(request, form, asked, way, secret)
        given |= {
            "key_algorithm": asked.key_algorithm,
            "parcel_form": data["parcel_form"],
            "passphrase": secret.cleaned_data["passphrase"],
        }
    elif asked.csr is not None:
        given["csr_pem"] = asked.csr.pem
    order = _sent_before(request, asked, way)
    if order is None:
        try:
            order = issuance.request(
                profile=asked.profile,
                names=asked.texts,
                issuer=data["issuer"],
                days=data["days"],
                subject=asked.subject,
                by=request.user,  # type: ignore[arg-type]
                at=timezone.now(),
                renews=data.get("renews"),
                **given,
            )
        except parcels.KeyRefused as refusal:
            if refusal.field != "passphrase":
                raise
            secret.add_error("passphrase", refusal.sentence)
            return _preview(request, form, asked, way, secret)
    if way == Order.BROWSER:
        where = reverse("ca:order", args=[order.pk])
        state = reverse("ca:order_state", args=[order.pk])
        return JsonResponse({"order": where, "state": state}, status=202)
    return redirect("ca:order", pk=order.pk)


def _sent_before(request: HttpRequest, asked: Asked, way: str) -> Order | None:
    """The order of a page that posts again because it never heard the answer."""
    if way != Order.BROWSER or asked.csr is None:
        return None
    mine = Order.objects.filter(way=way, requested_by=request.user.pk, key_id=asked.csr.key_id)
    return mine.exclude(state=Order.REFUSED).first()


def _field_of(refusal: issuance.IssuanceRefused, form: WishForm) -> str | None:
    """The form's field a refusal belongs to."""
    field = getattr(refusal, "field", None)
    if isinstance(refusal, preparation.NamesRefused):
        field = "names"
    elif isinstance(refusal, preparation.LifeRefused):
        field = "days"
    elif isinstance(refusal, preparation.IssuerUnable):
        field = "issuer"
    elif isinstance(refusal, preparation.ProfileRefused):
        field = "profile"
    elif isinstance(refusal, preparation.RequestUnreadable):
        field = "csr"
    elif refusal.code.startswith("subject_") or refusal.code.startswith("common_name"):
        value = refusal.detail.get("value")
        field = "organisation" if value == form.cleaned_data["organisation"] else "common_name"
    return field if field in form.fields else None
