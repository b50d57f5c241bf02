"""Pages of what a rollout does: one host step by step, many a line each; and calling it off."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from django.contrib import messages
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from core.access import requires
from core.errors import Refusal
from core.paging import page_of
from deploy import changes, fleet, sentences, states
from deploy.models import Generation, HostRollout, Rollout, RolloutStep

PAGE = 100
"""Lines of a rollout for many hosts."""


@require_GET
@requires("deploy.view")
def rollouts(request: HttpRequest) -> HttpResponse:
    """All of them, the newest first: what is planned stands where it was asked for."""
    page = page_of(fleet.listed(), request.GET)
    return render(request, "deploy/rollouts.html", {"page": page})


@require_GET
@requires("deploy.view")
def rollout(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Rollout.objects.select_related("created_by"), pk=pk)
    return render(request, "deploy/rollout.html", rollout_context(row, request.GET))


@require_GET
@requires("deploy.view")
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Rollout.objects.select_related("created_by"), pk=pk)
    context = rollout_context(row, request.GET)
    response = render(request, "deploy/_rollout.html", context)
    if not context["is_open"]:
        response["HX-Trigger"] = "changes"
    return response


@require_GET
@requires("deploy.view")
def host_of_many(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """One host of a rollout, the first one being number 1, with its steps and its receipt."""
    row = get_object_or_404(Rollout.objects.select_related("created_by"), pk=pk)
    return render(request, "deploy/rollout_host.html", _one_of(row, number))


@require_GET
@requires("deploy.view")
def host_of_many_progress(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    row = get_object_or_404(Rollout, pk=pk)
    return render(request, "deploy/_rollout_host.html", _one_of(row, number))


def _one_of(row: Rollout, number: int) -> dict[str, Any]:
    if not 0 < number <= row.hosts.count():
        raise Http404
    found = with_all(row.hosts).order_by("turn", "pk")[number - 1 : number]
    part = host_part(found[0])
    return {"rollout": row, "number": number, "hosts": [part], "is_open": part["is_open"]}


def with_all(rows: "QuerySet[HostRollout]") -> "QuerySet[HostRollout]":
    shown = rows.select_related("host", "generation__certificate", "generation__came_from")
    return shown.prefetch_related("steps")


def rollout_context(row: Rollout, given: Mapping[str, str]) -> dict[str, Any]:
    found = row.hosts.values_list("state", "problem")
    context: dict[str, Any] = {
        "rollout": row,
        "is_open": any(state in states.OPEN for state, _problem in found),
        "may_cancel": any(state == states.PLANNED for state, _problem in found),
        "is_planned": row.starts_at is not None
        and all(state == states.PLANNED for state, _problem in found),
    }
    if len(found) > 1:
        return {**context, "body": "deploy/_fleet_body.html", **fleet_context(row, found, given)}
    hosts = [host_part(each) for each in with_all(row.hosts)]
    return {**context, "body": "deploy/_rollout_body.html", "hosts": hosts}


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


@dataclass(frozen=True)
class Proof:
    """A probe of a receipt as the page shows it."""

    port: int
    protocol: str
    what: sentences.Text
    evidence: str

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        # The whole fingerprint is in the log below.
        evidence = sentences.shortened(kept["evidence"], kept["fingerprint"])
        return cls(kept["port"], kept["protocol"], sentences.KINDS[kept["kind"]], evidence)


def host_part(row: HostRollout) -> dict[str, Any]:
    proofs = row.receipt.get("proofs", [])
    back = Generation.objects.filter(host=row.host, state=Generation.KEPT).first()
    return {
        "row": row,
        **state_of(row),
        "lines": lines_of(row),
        "problem": sentences.problem(row.problem, row.problem_detail),
        "overwritten": sorted(row.overwrites),
        "next": sentences.what_next(row.state, row.problem),
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


# A rollout of many hosts


def fleet_context(
    row: Rollout, found: Sequence[tuple[str, str]], given: Mapping[str, str]
) -> dict[str, Any]:
    """How far all of them are, and each on a line."""
    newest = RolloutStep.objects.filter(host_rollout=OuterRef("pk")).order_by("-pk")
    rows = (
        row.hosts.select_related("host", "generation")
        .defer("generation__files", "generation__snapshot", "receipt", "host__facts")
        .annotate(step=Subquery(newest.values("name")[:1]))
    )
    page = page_of(rows, given, order=("turn", "pk"), size=PAGE)
    bad = rows.filter(state__in=FAILED).exclude(problem__in=states.NOT_BEGUN)
    return {
        "page": page,
        "lines": list(enumerate(map(line_part, page), _before(row, page.rows) + 1)),
        "failed": [line_part(each) for each in bad.order_by("turn", "pk")],
        "counts": counts_of(found),
        "done": sum(state not in states.OPEN for state, _problem in found),
        "total": len(found),
        "percent": round(100 * sum(s not in states.OPEN for s, _problem in found) / len(found)),
        "missed": sentences.problem(states.MISSED)
        if any(problem == states.MISSED for _state, problem in found)
        else "",
        "not_begun": sum(problem in states.NOT_BEGUN for _state, problem in found),
    }


def _before(row: Rollout, shown: Sequence[HostRollout]) -> int:
    """How many hosts come before those on the page."""
    if not shown:
        return 0
    first = shown[0]
    return row.hosts.filter(Q(turn__lt=first.turn) | Q(turn=first.turn, pk__lt=first.pk)).count()


FAILED = (states.REFUSED, states.ROLLED_BACK, states.ROLLBACK_FAILED)


def counts_of(found: Sequence[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """(kind, words, how many) of each there are."""

    def group(state: str, problem: str) -> int:
        if state == states.CONFIRMED:
            return 0
        if state in states.OPEN:
            return 2 if state == states.PLANNED else 1
        return 4 if problem in states.NOT_BEGUN else 3

    numbers = Counter(group(state, problem) for state, problem in found)
    words = (
        ("ok", _("live and proved")),
        ("busy", _("on their way")),
        ("idle", _("waiting")),
        ("danger", _("failed")),
        ("warning", _("not begun")),
    )
    return [(kind, text, numbers[n]) for n, (kind, text) in enumerate(words) if numbers[n]]


def line_part(row: HostRollout) -> dict[str, Any]:
    what = sentences.problem(row.problem, row.problem_detail)
    step = getattr(row, "step", None)
    if row.is_open and step:
        what = sentences.step(step)
    return {"row": row, **state_of(row), "what": what}


def state_of(row: HostRollout) -> dict[str, str]:
    """In words, and of which kind (`_status.html`)."""
    if row.problem in states.NOT_BEGUN:
        return {"kind": "idle", "state": _("Not begun")}
    return {"kind": sentences.STATE_KINDS[row.state], "state": row.get_state_display()}


@require_POST
@requires("deploy.rollout")
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Rollout, pk=pk)
    try:
        fleet.cancel(rollout=row, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, _("Called off. Hosts that were on their way finish."))
    return redirect("deploy:rollout", pk)
