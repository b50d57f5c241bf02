"""Pages of many hosts in one rollout: the plan, putting it live, calling it off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from core.access import requires
from core.errors import Refusal
from deploy import changes, drift, fleet, grouping, snapshot
from deploy import rollout as rollouts
from deploy.forms import add_refusal
from deploy.forms_fleet import FleetForm
from deploy.models import Host, HostRollout, Rollout
from deploy.views_drift import diff_lines
from deploy.views_rollout import probes_of, services_of

PAGE = 100


@dataclass(frozen=True)
class LeftOut:
    """A host that is not put live with the others: why, and where to see to it."""

    host: Host
    why: str
    rollout: int | None = None
    drift: bool = False


# The plan


def chosen(given: QueryDict) -> list[Host]:
    """`?host=1&host=2`, `?all=changes`, or `?rest=7`: those that rollout 7 did not begin."""
    rows = Host.objects.select_related(snapshot.WITH_CHAIN).order_by("fqdn")
    if given.get("all"):
        return [each.host for each in changes.pending(rows.ready()) if not each.busy]
    if rest := _keys(given.getlist("rest")):
        left = fleet.not_begun(get_object_or_404(Rollout, pk=rest[0]))
        return list(rows.filter(pk__in=[host.pk for host in left]))
    return list(rows.filter(pk__in=_keys(given.getlist("host"))))


def _keys(texts: Sequence[str]) -> list[int]:
    """Those that a database can have given."""
    return [int(text) for text in texts if text.isdecimal() and len(text) < 19]


@require_GET
@requires("deploy.view")
def plan_many(request: HttpRequest) -> HttpResponse:
    hosts = chosen(request.GET)
    if len(hosts) == 1:
        return redirect("deploy:plan", hosts[0].pk)
    return render(request, "deploy/fleet_plan.html", plan_context(hosts))


@require_POST
@requires("deploy.rollout")
def put_many_live(request: HttpRequest) -> HttpResponse:
    """Of the hosts that the plan showed (`shown`), those that are still ticked (`host`)."""
    ticked = chosen(request.POST)
    form = FleetForm(request.POST, hosts=ticked)
    if form.is_valid() and ticked:
        try:
            made = rollouts.request(
                hosts=ticked,
                first=form.first_host,
                starts_at=form.begins,
                reason=form.cleaned_data["reason"],
                overwrite=request.POST.getlist("overwrite"),
                by=request.user,
                at=timezone.now(),
            )
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            return redirect("deploy:rollout", made.pk)
    elif not ticked:
        form.add_error(None, _("Tick at least one host."))
    keys = _keys(request.POST.getlist("shown"))
    shown = Host.objects.select_related(snapshot.WITH_CHAIN).filter(pk__in=keys).order_by("fqdn")
    context = plan_context(list(shown), form) | {"ticked": {host.pk for host in ticked}}
    return render(request, "deploy/fleet_plan.html", context, status=422)


def plan_context(hosts: Sequence[Host], form: FleetForm | None = None) -> dict[str, Any]:
    going, left = sorted_out(hosts)
    able = [preview.host for preview in going]
    return {
        "groups": [group_part(group) for group in grouping.grouped(going)],
        "count": len(going),
        "left_out": left,
        "drifted": [host for host in able if host.reported().drift],
        "ticked": {host.pk for host in able},
        "form": form if form is not None else FleetForm(hosts=able),
        "probes": probes_of(going[0].plan) if going and going[0].plan else [],
    }


def sorted_out(hosts: Sequence[Host]) -> tuple[list[rollouts.Preview], list[LeftOut]]:
    rows = HostRollout.objects.open().filter(host__in=hosts)
    busy = dict(rows.values_list("host_id", "rollout_id"))
    left: list[LeftOut] = []
    ready = []
    for host in hosts:
        if host.pk in busy:
            left.append(LeftOut(host, _("being put live, or planned"), rollout=busy[host.pk]))
        elif not host.is_ready:
            left.append(LeftOut(host, rollouts.NotReady(host).sentence))
        else:
            ready.append(host)
    going = []
    unread = drift.unread_on(ready)
    for preview in rollouts.previews(ready):
        if preview.objections:
            left.append(LeftOut(preview.host, " ".join(preview.objections)))
        elif not preview.may_go:
            left.append(LeftOut(preview.host, _("Nothing differs")))
        elif preview.host.pk in unread:
            why = _("Files were changed there, and nobody has read yet what is in them.")
            left.append(LeftOut(preview.host, why, drift=True))
        else:
            going.append(preview)
    return going, left


def group_part(group: grouping.Group) -> dict[str, Any]:
    sample = group.sample
    assert sample.plan is not None
    return {
        "hosts": [preview.host for preview in group.previews],
        "sample": sample.host,
        "changes": [changes.sentence(change) for change in sample.changes],
        "services": services_of(sample.plan),
        "files": [(change, diff_lines(change.unified_diff)) for change in sample.plan.changes],
    }
