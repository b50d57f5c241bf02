"""The page of the policy: what it says, whom it would reach, and the way to change it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import announcing, policy
from accounts.forms import add_refusal
from accounts.forms_flags import PolicyForm
from accounts.models import FlagKind, FlagPolicy
from core import outgoing, roles
from core.access import NotAllowed, requires
from core.errors import Refusal


@require_http_methods(["GET", "POST"])
@requires("accounts.view")
def edit(request: HttpRequest) -> HttpResponse:
    """What reaches accounts that were safe before is shown first, with their number."""
    now = policy.current()
    at = timezone.now()
    said = {name: getattr(now, name) for name in ("revision", "on", "kinds", "notice_days")}
    numbers = policy.numbers(by=request.user, at=at)
    if request.method == "POST" and not roles.may(request.user, "accounts.domains"):
        raise NotAllowed("accounts.domains")
    form = PolicyForm(request.POST or None, initial=said, numbers=numbers)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        try:
            kinds = policy.check(
                on=wanted["on"], kinds=wanted["kinds"], notice_days=wanted["notice_days"]
            )
            if _reaches_more(now, wanted["on"], kinds) and not request.POST.get("sure"):
                return _ask(request, form, kinds)
            policy.set_policy(**wanted, by=request.user, at=at)
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(request, _("The policy was saved."))
            return redirect("accounts:policy")
    announced = policy.announced().visible_to(request.user)
    context = {
        "form": form,
        "policy": now,
        "kinds": [FlagKind(kind).label for kind in now.kinds],
        "announced": announced.values("mailbox").distinct().count(),
        "tells_by_mail": outgoing.is_configured(),
        "problem": announcing.problem() if now.on else "",
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/policy.html", context, status=status)


def _reaches_more(now: FlagPolicy, on: bool, kinds: list[str]) -> bool:
    return on and (not now.on or bool(set(kinds) - set(now.kinds)))


def _ask(request: HttpRequest, form: PolicyForm, kinds: list[str]) -> HttpResponse:
    wanted: dict[str, Any] = form.cleaned_data
    found = policy.preview(kinds, by=request.user, at=timezone.now())
    context = {
        "wanted": wanted,
        "kinds": kinds,
        "labels": [FlagKind(kind).label for kind in kinds],
        "found": found,
        "more": found.count - len(found.names),
        "tells_by_mail": outgoing.is_configured(),
    }
    return render(request, "accounts/policy_ask.html", context)
