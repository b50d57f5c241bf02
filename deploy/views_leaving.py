"""Giving a host back to what was there before the console: what it would do, and doing it."""

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core.access import requires
from core.errors import Refusal
from deploy import changes, leaving, sentences
from deploy.forms import GiveBackForm, add_refusal
from deploy.models import Host, HostJob
from deploy.views import found


@require_http_methods(["GET", "POST"])
@requires("deploy.rollout")
@reauthentication_required
def give_back(request: HttpRequest, pk: int) -> HttpResponse:
    """The host is asked when somebody looks, unless it was a while ago at most."""
    row = found(pk)
    form = GiveBackForm(request.POST or None)
    try:
        if request.method == "POST":
            if form.is_valid():
                leaving.give_back(host=row, **form.cleaned_data, by=request.user, at=timezone.now())
                return redirect("deploy:host", pk)
        else:
            leaving.ask(host=row, by=request.user, at=timezone.now())
    except (leaving.NothingLive, leaving.NotReady) as refusal:
        messages.error(request, refusal.sentence)
        return redirect("deploy:host", pk)
    except Refusal as refusal:
        add_refusal(form, refusal)
    context = leaving_context(row, form if request.method == "POST" else None)
    return render(request, "deploy/give_back.html", context)


@require_GET
@requires("deploy.rollout")
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "deploy/_give_back.html", leaving_context(found(pk)))


@require_POST
@requires("deploy.rollout")
def look(request: HttpRequest, pk: int) -> HttpResponse:
    """Once more, although it was looked at a moment ago."""
    try:
        leaving.ask(host=found(pk), by=request.user, at=timezone.now(), anew=True)
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    return redirect("deploy:give_back", pk)


def leaving_context(row: Host, form: GiveBackForm | None = None) -> dict[str, Any]:
    last = leaving.last_look(row)
    report = leaving.seen(row)
    failed = last is not None and last.state == HostJob.FAILED
    mark = report.mark if report else ""
    return {
        "host": row,
        "looking": last is not None and last.is_open,
        "step": sentences.job_step(last.step) if last and last.step else "",
        "failed_why": sentences.problem(last.problem, last.problem_detail)
        if last is not None and failed
        else "",
        "report": report,
        "stops": [changes.SERVICES.get(name, name) for name in report.stops] if report else [],
        # The mark of what the page shows, also after a refusal.
        "form": _with_mark(form, mark) or GiveBackForm(initial={"mark": mark}),
    }


def _with_mark(form: GiveBackForm | None, mark: str) -> GiveBackForm | None:
    if form is not None:
        form.data = form.data.copy()
        form.data["mark"] = mark
    return form
