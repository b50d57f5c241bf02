"""Pages of putting something live: the plan with its diff, a rollout as it happens, generations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from core.access import requires
from core.errors import Refusal
from core.paging import page_of
from deploy import changes, comparing, drift, going_back, sentences, states
from deploy import plan as planning
from deploy import rollout as rollouts
from deploy.forms import InsistForm
from deploy.models import Generation, Host, HostRollout, Rollout, RolloutStep
from deploy.views import found
from deploy.views_drift import diff_lines, parts_of

PHASES = (states.STAGING, states.VALIDATING, states.SWITCHING, states.PROBING)


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
        "preview": preview,
        "plan": made,
        "changes": [changes.sentence(change) for change in preview.changes],
        "files": [(change, diff_lines(change.unified_diff)) for change in made.changes]
        if made
        else [],
        "services": services_of(made) if made else [],
        "probes": [
            (port, [sentences.KINDS[each.kind] for each in asked])
            for port, asked in sentences.by_port(made.probes if made else ())
        ],
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


def services_of(made: planning.Plan) -> list[tuple[object, object, float]]:
    return [
        (changes.SERVICES[service], sentences.ACTIONS[action], made.port_refused.get(service, 0.0))
        for service, action in made.services.items()
    ]


@require_POST
@requires("deploy.rollout")
def put_live(request: HttpRequest, pk: int) -> HttpResponse:
    host = found(pk)
    try:
        made = rollouts.request(
            hosts=[host],
            by=request.user,
            at=timezone.now(),
            reason=request.POST.get("reason", "")[:200],
            even_if_same=request.POST.get("even_if_same") == "yes",
            overwrite=request.POST.getlist("overwrite"),
        )
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("deploy:plan", pk)
    return redirect("deploy:rollout", made.pk)


@require_GET
@requires("deploy.view")
def rollout(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Rollout.objects.select_related("created_by"), pk=pk)
    return render(request, "deploy/rollout.html", rollout_context(row))


@require_GET
@requires("deploy.view")
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Rollout.objects.select_related("created_by"), pk=pk)
    context = rollout_context(row)
    response = render(request, "deploy/_rollout.html", context)
    if not context["is_open"]:
        response["HX-Trigger"] = "changes"
    return response


@dataclass(frozen=True)
class Line:
    """A step as the page shows it; `inner` are the finer ones below it."""

    row: RolloutStep
    title: str
    inner: list["Line"]

    @property
    def css(self) -> str:
        if self.row.ok is None:
            return "busy"
        return "done" if self.row.ok else "failed"


def lines_of(row: HostRollout) -> list[Line]:
    """The log, each finer step (`validate.m4`) below its own (`validate`)."""
    outer: list[Line] = []
    by_name: dict[str, Line] = {}
    for step in row.steps.all():
        line = Line(step, sentences.step(step.name), [])
        head = step.name.partition(".")[0]
        if "." in step.name and head in by_name:
            by_name[head].inner.append(line)
        else:
            outer.append(line)
            by_name[step.name] = line
    return outer


def rollout_context(row: Rollout) -> dict[str, Any]:
    rows = list(
        row.hosts.select_related("host", "generation__certificate", "generation__came_from")
        .prefetch_related("steps")
        .order_by("pk")
    )
    return {
        "rollout": row,
        "is_open": any(each.is_open for each in rows),
        "hosts": [host_part(each) for each in rows],
    }


@dataclass(frozen=True)
class Proof:
    """A probe of a receipt as the page shows it."""

    port: int
    protocol: str
    what: sentences.Text
    evidence: str

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        evidence = kept["evidence"]
        if kept["fingerprint"]:
            # The whole fingerprint is in the log below.
            evidence = evidence.replace(kept["fingerprint"], f"{kept['fingerprint'][:16]}…")
        return cls(kept["port"], kept["protocol"], sentences.KINDS[kept["kind"]], evidence)


def host_part(row: HostRollout) -> dict[str, Any]:
    proofs = row.receipt.get("proofs", [])
    back = Generation.objects.filter(host=row.host, state=Generation.KEPT).first()
    return {
        "row": row,
        "kind": sentences.STATE_KINDS[row.state],
        "lines": lines_of(row),
        "problem": sentences.problem(row.problem, row.problem_detail),
        "overwritten": sorted(row.overwrites),
        "next": sentences.WHAT_NEXT.get(row.state, ""),
        "proved": sentences.by_port([Proof.of(each) for each in proofs]),
        "services": [
            (changes.SERVICES.get(name, name), sentences.DONE.get(act, act))
            for name, act in row.receipt.get("services", {}).items()
        ],
        "back": back
        if row.state == HostRollout.CONFIRMED and row.generation.state == "live"
        else None,
        "is_open": row.is_open,
    }


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
    return render(request, "deploy/generations.html", {"host": host, "page": page})


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
