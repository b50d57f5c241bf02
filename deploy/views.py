"""Pages of a host: the list, the host itself, its settings, own lines, certificate and accounts.

Adding a host is in `views_enrol`, rollouts in `views_rollout`, parts of other apps' pages in
`fragments`.
"""

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import Change, Domain
from core.access import requires
from core.errors import Refusal
from core.paging import SIZE, page_of
from deploy import (
    accounts_push,
    certificates,
    changes,
    configure,
    drift,
    leaving,
    placement,
    probing,
    renewal,
    rollout,
    sentences,
    snapshot,
)
from deploy import plan as planning
from deploy.forms import CertificateForm, SettingsForm, SnippetsForm, add_refusal
from deploy.models import Host, HostJob, HostRollout
from deploy.views_enrol import enrolment_context
from deploy.views_probing import parts_of, probing_context

SHOWN_GENERATIONS = 5


def found(pk: int) -> Host:
    hosts = Host.objects.select_related("account_push", snapshot.WITH_CHAIN)
    return get_object_or_404(hosts, pk=pk)


@require_GET
@requires("deploy.view")
def hosts(request: HttpRequest) -> HttpResponse:
    asked = request.GET.get("q", "").strip()[:253]
    found_rows = Host.objects.select_related(snapshot.WITH_CHAIN)
    if asked:
        found_rows = found_rows.filter(fqdn__icontains=asked)
    page = page_of(found_rows, request.GET, order="fqdn")
    rows = page.rows
    waiting = {each.host.pk: each for each in changes.pending(h for h in rows if h.is_ready)}
    live = rollout.live_numbers(rows)
    changed = drift.unsettled_on(rows)
    mtas = {row.pk: row.mta for row in rows}
    failed = {pk: parts_of(bad, mtas[pk]) for pk, bad in probing.failing_on(rows).items()}
    total = Host.objects.count()
    context = {
        "page": page,
        "page_size": SIZE,
        "asked": asked,
        "total": total,
        "any": total > 0,
        "any_waiting": any(not each.busy for each in waiting.values()) or total > len(rows),
        "rows": [
            (
                row,
                live.get(row.pk),
                waiting.get(row.pk),
                changed.get(row.pk),
                failed.get(row.pk),
            )
            for row in rows
        ],
        "unplaced": placement.unplaced(),
    }
    return render(request, "deploy/hosts.html", context)


@require_GET
@requires("deploy.view")
def host(request: HttpRequest, pk: int) -> HttpResponse:
    row = found(pk)
    if not row.is_ready and not row.practice:
        return render(request, "deploy/enrol.html", enrolment_context(row))
    return render(request, "deploy/host.html", host_context(row))


@require_GET
@requires("deploy.view")
def host_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of a host's page that moves."""
    row = found(pk)
    if not row.is_ready and not row.practice:
        return render(request, "deploy/_enrol.html", enrolment_context(row))
    response = render(request, "deploy/_host.html", host_context(row))
    response["HX-Trigger"] = "changes"
    return response


def host_context(row: Host) -> dict[str, Any]:
    now = timezone.now()
    live = rollout.live_generation(row)
    jobs = list(row.jobs.select_related("order__certificate")[:10])
    open_job = next((job for job in jobs if job.is_open), None)
    last = jobs[0] if jobs else None
    push = accounts_push.row_of(row)
    busy = HostRollout.objects.open().filter(host=row).first()
    return {
        "host": row,
        "now": now,
        "live": live,
        "facts": row.facts,
        "renews_at": renewal.begins(row.certificate) if row.certificate else None,
        "renewal_trouble": renewal.trouble(row, now),
        "drift": drift.unsettled(row),
        "reported": row.reported(),
        "mta": mta_context(row),
        "problem": sentences.problem(row.problem, row.problem_detail),
        "warnings": warnings_of(row),
        "open_job": open_job,
        "open_job_step": sentences.job_step(open_job.step) if open_job else "",
        "failed_job": last if last and last.state == HostJob.FAILED else None,
        "failed_why": sentences.problem(last.problem, last.problem_detail) if last else "",
        "push": push,
        "push_problem": sentences.problem(push.problem, push.problem_detail),
        "latest_change": Change.objects.latest_id(str(row.uuid)),
        "unplaced": placement.unplaced(),
        "held": leaving.held(row) if row.released_at else 0,
        "domains": Domain.objects.on(str(row.uuid)).count(),
        "issuers": certificates.issuers(now),
        "pending": changes.pending_of(row, live) if not busy else None,
        "busy": busy,
        "rollouts": row.rollouts.select_related("generation", "rollout__created_by")[
            :SHOWN_GENERATIONS
        ],
        **probing_context(row, now),
    }


def mta_context(row: Host) -> dict[str, object]:
    """The mail server's name, version and state; `other` is the one that is there instead."""
    reported = row.reported()
    other = reported.mta if reported.mta and reported.mta != row.mta else ""
    postfix = row.mta == Host.POSTFIX
    return {
        "name": row.get_mta_display(),
        "version": reported.postfix_version if postfix else reported.sendmail_version,
        "running": reported.postfix_running if postfix else reported.sendmail_running,
        "other": planning.NAMES.get(other, ""),
    }


def warnings_of(row: Host) -> list[str]:
    """What the last report says that would stand in the way."""
    reported = row.reported()
    found: list[str] = []
    if placement.is_a_mail_domain(row):
        found.append(sentences.problem("domain_is_host", row.fqdn))
    if not row.facts:
        return found
    if reported.fqdn_ok and row.facts.get("hostname") and row.facts["hostname"] != row.fqdn:
        found.append(
            _("The server calls itself %(own)s, here it is %(here)s.")
            % {"own": row.facts["hostname"], "here": row.fqdn}
        )
    for objection in planning.objections_to(reported, row.mta):
        found.append(sentences.problem(objection.code, objection.value))
    return found


@require_http_methods(["GET", "POST"])
@requires("deploy.manage")
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    row = found(pk)
    form = SettingsForm(request.POST or None, instance=Host.objects.get(pk=pk))
    if request.method == "POST" and form.is_valid():
        try:
            configure.change_settings(
                host=row, **form.cleaned_data, by=request.user, at=timezone.now()
            )
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(request, _("Saved. Put it live when you are ready."))
            return redirect("deploy:host", pk)
    return render(request, "deploy/settings.html", {"form": form, "host": row})


@require_http_methods(["GET", "POST"])
@requires("deploy.snippets")
@reauthentication_required
def snippets(request: HttpRequest, pk: int) -> HttpResponse:
    row = found(pk)
    form = SnippetsForm(request.POST or None, instance=Host.objects.get(pk=pk))
    if request.method == "POST" and form.is_valid():
        try:
            configure.change_snippets(
                host=row,
                texts=form.cleaned_data,
                by=request.user,
                at=timezone.now(),
            )
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(request, _("Saved. Put it live when you are ready."))
            return redirect("deploy:host", pk)
    return render(request, "deploy/snippets.html", {"form": form, "host": row})


@require_http_methods(["GET", "POST"])
@requires("ca.issue")
def certificate(request: HttpRequest, pk: int) -> HttpResponse:
    row = found(pk)
    issuers = certificates.issuers(timezone.now())
    form = CertificateForm(request.POST or None, issuers=issuers)
    if request.method == "POST" and form.is_valid():
        try:
            certificates.ask(
                host=row,
                issuer=form.cleaned_data["issuer"],
                names=form.cleaned_data["names"],
                by=request.user,
                at=timezone.now(),
            )
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            return redirect("deploy:host", pk)
    context = {"form": form, "host": row, "issuers": issuers}
    return render(request, "deploy/certificate.html", context)


@require_POST
@requires("deploy.manage")
def follow_mta(request: HttpRequest, pk: int) -> HttpResponse:
    """The host runs another mail server than it was set up for: go on with that one."""
    row = found(pk)
    try:
        configure.follow_mta(host=row, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, _("Saved. Put it live when you are ready."))
    return redirect("deploy:host", pk)


@require_POST
@requires("deploy.manage")
def place_domains(request: HttpRequest, pk: int) -> HttpResponse:
    """Put every domain that is on no host here."""
    row = found(pk)
    placement.place_rest(host=row, by=request.user, at=timezone.now())
    return redirect("deploy:host", pk)


@require_POST
@requires("deploy.manage")
def accounts_go_on(request: HttpRequest, pk: int) -> HttpResponse:
    row = found(pk)
    try:
        accounts_push.go_on(host=row, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, _("The accounts are sent as this console knows them."))
    return redirect("deploy:host", pk)
