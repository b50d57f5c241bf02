"""The list of certificates, its download as CSV, and what is done to those ticked in it. The page
of one is in `ca.pages.certificate`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from ca import lists, preparation, selection, wording
from ca.forms.certificates import FilterForm, RevokeForm
from ca.models import Certificate, Issuer, Order
from ca.pages.certificate import state_of
from core.access import requires
from core.errors import Refusal


@require_GET
@requires("ca.view")
def certificates(request: HttpRequest) -> HttpResponse:
    """The list: searched, filtered and paged by the URL."""
    now = timezone.now()
    names = dict(Issuer.objects.values_list("pk", "name"))
    form = FilterForm(request.GET, issuers=names, profiles=preparation.profile_labels())
    asked = form.asked()
    page = lists.page_of(asked, request.GET, at=now)
    filtered = asked.is_filtered or not form.is_valid()
    first = not filtered and not page.previous
    return render(
        request,
        "ca/certificates.html",
        {
            "form": form,
            "main": [form[name] for name in ("q", "state", "issuer", "order")],
            "more": [form[name] for name in ("profile", "days", "since", "until")],
            "is_open": any(form.data.get(name) for name in ("profile", "days", "since", "until")),
            "asked": asked,
            "page": page,
            "rows": [
                {"certificate": each, "state": state_of(each), "issuer": names[each.issuer_id]}
                for each in page
            ],
            "filtered": filtered,
            "csv_query": _without_keys(request),
            "has_issuer": Issuer.objects.able_to_issue(now).exists(),
            "open_orders": Order.objects.open()[:5] if first else [],
        },
    )


def _without_keys(request: HttpRequest) -> str:
    query = request.GET.copy()
    for key in ("after", "before"):
        query.pop(key, None)
    return query.urlencode()


COLUMNS = (
    "name", "names", "state", "reason", "issuer", "kind", "serial", "not_before", "not_after",
    "issued_at", "key", "sha256", "sha1",
)  # fmt: skip


class _Echo:
    """A file whose `write` gives back what it is given."""

    def write(self, text: str) -> str:
        return text


def plain(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula (OWASP, "CSV injection")."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _lines(asked: lists.Asked, issuers: dict[int, str]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    at = timezone.now()
    # Spreadsheets take UTF-8 for something else without its mark.
    yield "\ufeff" + str(writer.writerow(COLUMNS))
    for rows in lists.chunks(asked, at=at):
        yield "".join(
            writer.writerow(
                [
                    plain(row.title),
                    plain(" ".join(row.names)),
                    row.shown_state(at),
                    row.revocation_reason,
                    plain(issuers[row.issuer_id]),
                    row.profile,
                    row.serial,
                    f"{row.not_before:%Y-%m-%dT%H:%M:%SZ}",
                    f"{row.not_after:%Y-%m-%dT%H:%M:%SZ}",
                    f"{row.issued_at:%Y-%m-%dT%H:%M:%SZ}",
                    row.key_label,
                    row.fingerprint_sha256,
                    row.fingerprint_sha1,
                ]
            )
            for row in rows
        )


@require_GET
@requires("ca.view")
def as_csv(request: HttpRequest) -> HttpResponseBase:
    """The whole list as it is filtered, however long; nothing of it is held in memory."""
    issuers = dict(Issuer.objects.values_list("pk", "name"))
    form = FilterForm(request.GET, issuers=issuers, profiles=preparation.profile_labels())
    asked = form.asked()
    if not form.is_valid():
        # Half of what was asked for would look like all of it.
        return redirect(f"{reverse('ca:certificates')}?{request.GET.urlencode()}")
    response = StreamingHttpResponse(
        _lines(asked, issuers), content_type="text/csv; charset=utf-8; header=present"
    )
    response["Content-Disposition"] = 'attachment; filename="certificates.csv"'
    return response


@require_POST
@requires("ca.issue")
def selected(request: HttpRequest) -> HttpResponse:
    """Revoke, hold or release what was ticked: asks first, with the names, then acts."""
    back, now = _back(request), timezone.now()
    verb = request.POST.get("verb", "")
    if verb not in selection.VERBS:
        return redirect(back)
    ids = [pk for pk in map(_number, request.POST.getlist("certificate")) if pk]
    rows = Certificate.objects.filter(pk__in=ids[: selection.MOST + 1]).defer("pem", "search")
    applies = list(selection.able(verb, rows, now).order_by("not_after", "pk"))
    form = RevokeForm(request.POST if request.POST.get("sure") else None)
    try:
        if len(set(ids)) > selection.MOST:
            raise selection.SelectionRefused(
                "too_many_selected", found=len(set(ids)), most=selection.MOST
            )
        if not ids:
            raise selection.SelectionRefused("none_selected")
        if request.POST.get("sure") and (verb != "revoke" or form.is_valid()):
            done = _act(verb, ids, form, request)
            messages.success(request, _told(verb, done.changed))
            return redirect(back)
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect(back)
    if not applies:
        messages.warning(request, wording.sentence("none_able"))
        return redirect(back)
    context = {
        "verb": verb,
        "applies": applies,
        "left_out": len(set(ids)) - len(applies),
        "form": form,
        "back": back,
    }
    return render(request, "ca/selected.html", context)


def _act(verb: str, ids: list[int], form: RevokeForm, request: HttpRequest) -> selection.Done:
    given: dict[str, Any] = {"certificates": ids, "by": request.user, "at": timezone.now()}
    if verb == "revoke":
        return selection.revoke(reason=form.cleaned_data["reason"], **given)
    return (selection.hold if verb == "hold" else selection.release)(**given)


def _told(verb: str, count: int) -> str:
    revoked = ngettext(
        "%(count)d certificate is revoked.", "%(count)d certificates are revoked.", count
    )
    held = ngettext(
        "%(count)d certificate is on hold.", "%(count)d certificates are on hold.", count
    )
    released = ngettext(
        "%(count)d certificate is valid again.", "%(count)d certificates are valid again.", count
    )
    return {"revoke": revoked, "hold": held, "release": released}[verb] % {"count": count}


def _back(request: HttpRequest) -> str:
    """The list as it was filtered, if the form says so and it is a page of ours."""
    url = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()})
    return url if ours else reverse("ca:certificates")


def _number(text: str) -> int | None:
    """A primary key out of a request; what is not one finds nothing."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
