"""Pages of putting a host live: the plan with its diff, and generations. What a rollout does is in
`views_progress`, many hosts at once in `views_fleet`."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from core.access import requires
from core.errors import Refusal
from core.paging import page_of
from deploy import changes, comparing, drift, going_back, sentences
from deploy import plan as planning
from deploy import rollout as rollouts
from deploy.forms import InsistForm
from deploy.forms_fleet import BeginningForm
from deploy.models import Generation, Host, HostRollout
from deploy.render.values import from_record
from deploy.views import found
from deploy.views_drift import diff_lines, parts_of

MOST_NUMBERS = 200
"""Generations to choose from; older ones by their address."""


@require_GET
@requires("deploy.view")
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    host = found(pk)
    busy = HostRollout.objects.open().filter(host=host).first()
    if busy:
        return redirect("deploy:rollout", busy.rollout_id)
    return render(request, "deploy/plan.html", plan_context(host, rollouts.preview(host)))


def plan_context(host: Host, preview: rollouts.Preview) -> dict[str, Any]:
    made = preview.plan
    return {
        "host": host,
        "form": BeginningForm(),
        "preview": preview,
        "plan": made,
        "changes": [changes.sentence(change) for change in preview.changes],
        "files": [(change, diff_lines(change.unified_diff)) for change in made.changes]
        if made
        else [],
        "services": services_of(made) if made else [],
        "probes": probes_of(made) if made else [],
        **overwritten(host, preview),
    }


def overwritten(host: Host, preview: rollouts.Preview) -> dict[str, Any]:
    """The changed files with what is in them, and the mark that says that somebody saw them:
    none while the page cannot show one as it is."""
    unread = drift.unread(host)
    return {
        "drifted": parts_of(comparing.shown(host, preview.live)),
        "unseen": unread,
        "overwrite": "" if unread else host.reported().drift_mark,
    }


def probes_of(made: planning.Plan) -> list[tuple[object, list[object]]]:
    """What will be proved on each port."""
    return [
        (port, [sentences.KINDS[each.kind] for each in asked])
        for port, asked in sentences.by_port(made.probes)
    ]


def services_of(made: planning.Plan) -> list[tuple[object, object, float]]:
    return [
        (changes.SERVICES[service], sentences.ACTIONS[action], made.port_refused.get(service, 0.0))
        for service, action in made.services.items()
    ]


@require_POST
@requires("deploy.rollout")
def put_live(request: HttpRequest, pk: int) -> HttpResponse:
    host = found(pk)
    form = BeginningForm(request.POST)
    if not form.is_valid():
        context = plan_context(host, rollouts.preview(host)) | {"form": form}
        return render(request, "deploy/plan.html", context, status=422)
    try:
        made = rollouts.request(
            hosts=[host],
            by=request.user,
            at=timezone.now(),
            reason=form.cleaned_data["reason"],
            starts_at=form.begins,
            even_if_same=request.POST.get("even_if_same") == "yes",
            overwrite=request.POST.getlist("overwrite"),
        )
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("deploy:plan", pk)
    return redirect("deploy:rollout", made.pk)


@require_GET
@requires("deploy.view")
def generations(request: HttpRequest, pk: int) -> HttpResponse:
    host = found(pk)
    rows = (
        Generation.objects.filter(host=host)
        .select_related("created_by", "certificate", "came_from")
        .defer("files")
    )
    page = page_of(rows, request.GET, order="-number")
    first = Generation.objects.filter(host=host).order_by("number").values_list("number", flat=True)
    context = {"host": host, "page": page, "oldest": first.first()}
    return render(request, "deploy/generations.html", context)


@require_GET
@requires("deploy.view")
def difference(request: HttpRequest, pk: int) -> HttpResponse:
    """Between any two generations; `from` is the one before `to` when nothing is said."""
    host = found(pk)
    rows = Generation.objects.filter(host=host).select_related("created_by").order_by("-number")
    new = _numbered(rows, request.GET.get("to")) or rows.first()
    old = None
    if new is not None:
        old = _numbered(rows, request.GET.get("from")) or rows.filter(number__lt=new.number).first()
    context: dict[str, Any] = {
        "host": host,
        "old": old,
        "new": new,
        "both": [old, new],
        "numbers": rows.values_list("number", flat=True)[:MOST_NUMBERS],
    }
    if old is not None and new is not None:
        before, after = from_record(old.snapshot), from_record(new.snapshot)
        between = planning.plan(host.reported(), old.bundle(), new.bundle())
        context["changes"] = [changes.sentence(each) for each in planning.describe(before, after)]
        context["files"] = [(each, diff_lines(each.unified_diff)) for each in between.changes]
    return render(request, "deploy/difference.html", context)


def _numbered(rows: "QuerySet[Generation]", text: str | None) -> Generation | None:
    number = int(text) if text and text.isdecimal() and len(text) < 10 else None
    return rows.filter(number=number).first() if number is not None else None


@require_GET
@requires("deploy.view")
def generation(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """One generation, and what going back to it would change."""
    host = found(pk)
    row = get_object_or_404(Generation, host=host, number=number)
    preview = rollouts.preview(host, to=row)
    context = plan_context(host, preview) | {"generation": row}
    problem = going_back.objection(row, timezone.now()) if row.state == Generation.KEPT else None
    context["certificate_problem"] = problem.sentence if problem else ""
    context["insist"] = InsistForm() if problem else None
    context["may_go_back"] = (
        row.state == Generation.KEPT
        and not preview.objections
        and not context["unseen"]
        and (problem is None or problem.may_insist)
    )
    return render(request, "deploy/generation.html", context)


@require_POST
@requires("deploy.rollout")
def go_back(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    host = found(pk)
    row = get_object_or_404(Generation, host=host, number=number)
    try:
        made = rollouts.request(
            hosts=[host],
            to=row,
            by=request.user,
            at=timezone.now(),
            overwrite=request.POST.getlist("overwrite"),
            despite_certificate=request.POST.get("insist") == "on",
        )
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect(reverse("deploy:generation", args=[pk, number]))
    return redirect("deploy:rollout", made.pk)
