"""Pages on which a host is added: a server of one's own, or the practice host."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core.access import requires
from core.errors import Refusal
from deploy import enrolment, practising, sentences
from deploy import transport as ssh
from deploy.forms import AddHostForm, PracticeForm, add_refusal
from deploy.hostctl import build
from deploy.models import Host, HostJob


def enrolment_context(host: Host) -> dict[str, Any]:
    """The steps of adding a server, as far as they are."""
    job = host.jobs.first()
    failed = job if job is not None and job.state == HostJob.FAILED else None
    offered = host.offered_host_key if not host.host_key else ""
    return {
        "host": host,
        "job": job,
        "is_busy": job is not None and job.is_open,
        "job_step": sentences.job_step(job.step) if job and job.step else "",
        "failed": failed,
        "failed_why": sentences.problem(failed.problem, failed.problem_detail) if failed else "",
        "offered": ssh.fingerprint(offered) if offered else "",
        "pinned": ssh.fingerprint(host.host_key) if host.host_key else "",
        "command": command_of(host) if host.host_key else "",
    }


def command_of(host: Host) -> str:
    return enrolment.to_paste(build.installer(host.ssh_public_key))


@require_http_methods(["GET", "POST"])
@requires("deploy.manage")
def add(request: HttpRequest) -> HttpResponse:
    form = AddHostForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            host = enrolment.add(**form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            return redirect("deploy:host", host.pk)
    return render(request, "deploy/add.html", {"form": form})


@require_POST
@requires("deploy.manage")
def read_key(request: HttpRequest, pk: int) -> HttpResponse:
    host = get_object_or_404(Host, pk=pk)
    enrolment.try_again(host=host, by=request.user, at=timezone.now())
    return redirect("deploy:host", pk)


@require_POST
@requires("deploy.manage")
def confirm_key(request: HttpRequest, pk: int) -> HttpResponse:
    host = get_object_or_404(Host, pk=pk)
    offered = request.POST.get("offered", "")
    try:
        enrolment.confirm_key(host=host, offered=offered, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    return redirect("deploy:host", pk)


@require_POST
@requires("deploy.manage")
def check(request: HttpRequest, pk: int) -> HttpResponse:
    host = get_object_or_404(Host, pk=pk)
    try:
        if host.practice:
            practising.begin(by=request.user, at=timezone.now())
        else:
            enrolment.ask_check(host=host, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    return redirect("deploy:host", pk)


@require_http_methods(["GET", "POST"])
@requires("deploy.manage")
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    host = get_object_or_404(Host, pk=pk)
    if request.method == "POST":
        try:
            enrolment.remove(host=host, by=request.user, at=timezone.now())
        except Refusal as refusal:
            messages.error(request, refusal.sentence)
            return redirect("deploy:host", pk)
        messages.success(request, _("%(host)s was removed from the console.") % {"host": host.fqdn})
        return redirect("deploy:hosts")
    command = "" if host.practice else enrolment.to_paste(build.uninstaller())
    return render(request, "deploy/remove.html", {"host": host, "command": command})


@require_http_methods(["GET", "POST"])
@requires("deploy.manage")
def practice(request: HttpRequest) -> HttpResponse:
    """First run's second door: what it is, why it cannot be, or how far it is."""
    form = PracticeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            practising.begin(**form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            return redirect("deploy:practice")
    context = practice_context()
    if context["is_done"]:
        return redirect("deploy:host", context["host"].pk)
    obstacle = "" if context["is_busy"] else practising.obstacle()
    return render(request, "deploy/practice.html", {**context, "form": form, "obstacle": obstacle})


def practice_context() -> dict[str, Any]:
    job, host = practising.last_job(), practising.host()
    failed = job if job is not None and job.state == HostJob.FAILED else None
    return {
        "job": job,
        "host": host,
        "is_busy": job is not None and job.is_open,
        "is_done": host is not None and host.is_ready and not (job and job.is_open),
        "job_step": sentences.job_step(job.step) if job and job.step else "",
        "failed": failed,
        "failed_why": sentences.problem(failed.problem, failed.problem_detail) if failed else "",
    }


@require_GET
@requires("deploy.manage")
def practice_progress(request: HttpRequest) -> HttpResponse:
    response = render(request, "deploy/_practice.html", practice_context())
    response["HX-Trigger"] = "changes"
    return response
