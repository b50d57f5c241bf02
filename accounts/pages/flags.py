"""The page of flags: what speaks against accounts, worked as a list; the audit of passwords."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts import flag_words, flags, guessing, weakness
from accounts.forms import add_refusal
from accounts.forms_flags import ExemptForm
from accounts.models import Flag, FlagKind, WeaknessAudit
from accounts.pages.mailboxes import _number
from accounts.pages.selection import BULK, ask, where_from
from core import roles
from core.access import NotAllowed, requires
from core.errors import Refusal
from core.paging import SIZE, page_of

LOOKS = {WeaknessAudit.RUNNING: "busy", WeaknessAudit.DONE: "ok", WeaknessAudit.STOPPED: "idle"}
SET_ASIDE, ANNOUNCED = "set_aside", "announced"
# What may be done to ticked flags; to set aside and to count again is to judge.
VERBS = {verb: BULK[verb][2] for verb in ("suspend", "close")} | {
    "exempt": "accounts.manage",
    "count": "accounts.manage",
}
BY_RISK = ("-risk", "pk")


@require_GET
@requires("accounts.view")
def index(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    kind = request.GET.get("kind", "")
    set_aside = kind == SET_ASIDE
    ours = Flag.objects.listed_to(request.user)
    standing = flags.listed(at, among=ours)
    aside = flags.listed(at, set_aside=True, among=ours)
    rows = aside if set_aside else standing
    if kind in FlagKind.values:
        rows = rows.filter(kind=kind)
    if kind == ANNOUNCED:
        rows = standing.exclude(suspends_at=None)
    rows = rows.select_related("mailbox", "exempt_by")
    page = page_of(rows, request.GET, order=BY_RISK)
    by_kind = standing.order_by().values_list("kind")
    counted = list(by_kind.annotate(count=Count("pk"), announced=Count("suspends_at")))
    counts = {each: count for each, count, _announced in counted}
    context: dict[str, Any] = {
        "page": page,
        "rows": [flag_words.row_of(flag) for flag in page],
        "kind": kind,
        "set_aside": set_aside,
        "kinds": [
            {"value": value, "label": label, "count": counts.get(value, 0)}
            for value, label in FlagKind.choices
        ],
        "all": sum(counts.values()),
        "aside": aside.count(),
        "announced": sum(announced for _kind, _count, announced in counted),
        "shows_audit": request.user.scope is None,
        **_audit_context(),
    }
    return render(request, "accounts/flags.html", context)


@require_GET
@requires("accounts.view")
def audit(request: HttpRequest) -> HttpResponse:
    """The audit's card, which asks for itself while it runs. What it counts is of all domains."""
    if request.user.scope is not None:
        raise Http404
    return render(request, "accounts/_audit.html", _audit_context())


@require_POST
@requires("accounts.domains")
def audit_start(request: HttpRequest) -> HttpResponse:
    return _audited(request, weakness.start)


@require_POST
@requires("accounts.domains")
def audit_stop(request: HttpRequest) -> HttpResponse:
    return _audited(request, weakness.stop)


def _audited(request: HttpRequest, verb: Callable[..., object]) -> HttpResponse:
    """Start or stop the audit; back to the page, which shows it."""
    try:
        verb(by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    return redirect("accounts:flags")


@require_POST
@requires("accounts.help")
def selected(request: HttpRequest) -> HttpResponse:
    """Do to what was ticked: asks first, with the names."""
    back = where_from(request, "accounts:flags")
    verb = request.POST.get("verb", "")
    permission = VERBS.get(verb)
    if permission is None:
        return redirect(back)
    if not roles.may(request.user, permission):
        raise NotAllowed(permission)
    ids = [pk for pk in map(_number, request.POST.getlist("flag")) if pk]
    ticked = Flag.objects.visible_to(request.user).filter(pk__in=ids[:SIZE])
    ticked = ticked.select_related("mailbox")
    rows = list(ticked.order_by("mailbox__address", "kind"))
    if not rows:
        messages.warning(request, _("Nothing was changed: tick the accounts first."))
        return redirect(back)
    if verb == "exempt":
        return _exempt(request, rows, back)
    if verb == "count":
        try:
            for flag in rows:
                flags.unexempt(flag=flag, by=request.user, at=timezone.now())
        except Refusal as refusal:
            messages.warning(request, refusal.sentence)
        return redirect(back)
    boxes = list({flag.mailbox.pk: flag.mailbox for flag in rows}.values())
    return ask(request, verb, boxes, BULK[verb][1](), back)


def _exempt(request: HttpRequest, rows: list[Flag], back: str) -> HttpResponse:
    form = ExemptForm(request.POST if request.POST.get("sure") else None)
    if form.is_bound and form.is_valid():
        try:
            for flag in rows:
                flags.exempt(flag=flag, **form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            text = ngettext(
                "%(count)d flag is set aside.", "%(count)d flags are set aside.", len(rows)
            )
            messages.success(request, text % {"count": len(rows)})
            return redirect(back)
    context = {"rows": [flag_words.row_of(flag) for flag in rows], "form": form, "back": back}
    status = 422 if form.errors else 200
    return render(request, "accounts/flags_exempt.html", context, status=status)


def _audit_context() -> dict[str, Any]:
    found = weakness.latest()
    if found is None:
        return {"audit": None, "most": guessing.MOST}
    return {
        "audit": found,
        "look": LOOKS[found.state],
        "too_costly": weakness.too_costly(),
        "running": found.state == WeaknessAudit.RUNNING,
        "percent": min(100, found.looked_at * 100 // found.total) if found.total else 100,
        "most": guessing.MOST,
    }
