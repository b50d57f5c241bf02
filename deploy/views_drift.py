"""What was changed on a host itself: shown with the difference, left, or taken over. Overwriting is
a rollout, whose plan shows the same (`views_rollout`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core.access import requires
from core.errors import Refusal
from deploy import changes, comparing, drift, rollout, sentences
from deploy.comparing import Shown
from deploy.forms import SnippetsForm, add_refusal
from deploy.models import Host, HostJob, HostRollout
from deploy.views import found

FOLDED_FROM = 60
"""Longer differences are folded until somebody opens them."""


@dataclass(frozen=True)
class DiffLine:
    text: str
    kind: str


@dataclass(frozen=True)
class Part:
    """A file as the page shows it; `service` is what reads its own lines."""

    file: Shown
    lines: list[DiffLine]
    service: object

    @property
    def is_long(self) -> bool:
        return len(self.lines) > FOLDED_FROM


def diff_lines(text: str) -> list[DiffLine]:
    """Lines of a unified diff with the classes of the stylesheet."""
    kinds = {"+": "add", "-": "del", "@": "hunk"}
    return [
        DiffLine(line, "hunk" if line.startswith(("+++", "---")) else kinds.get(line[:1], ""))
        for line in text.splitlines()
    ]


def parts_of(files: Iterable[Shown]) -> list[Part]:
    return [
        Part(file, diff_lines(file.diff), changes.SERVICES.get(file.service, "")) for file in files
    ]


@require_GET
@requires("deploy.view")
def drifted(request: HttpRequest, pk: int) -> HttpResponse:
    """The host is asked when somebody looks, unless it was just now."""
    row = found(pk)
    drift.ask(host=row, by=request.user, at=timezone.now())
    return render(request, "deploy/drift.html", drift_context(row))


@require_GET
@requires("deploy.view")
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "deploy/_drift.html", drift_context(found(pk)))


def drift_context(row: Host) -> dict[str, Any]:
    files = comparing.shown(row, rollout.live_generation(row))
    last = row.jobs.filter(kind=HostJob.CHECK).first()
    failed = last is not None and last.state == HostJob.FAILED
    return {
        "host": row,
        "files": parts_of(files),
        "asking": last is not None and last.is_open,
        "failed_why": sentences.problem(last.problem, last.problem_detail)
        if last is not None and failed
        else "",
        "may_be_taken": any(each.adopted and each.adopted.text for each in files),
        "busy": HostRollout.objects.open().filter(host=row).first(),
    }


@require_POST
@requires("deploy.manage")
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    row = found(pk)
    try:
        drift.leave(
            host=row,
            path=request.POST.get("path", ""),
            mark=request.POST.get("mark", ""),
            by=request.user,
            at=timezone.now(),
        )
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, _("It stays as it is. You are told when it changes again."))
    return redirect("deploy:drift", pk)


@require_http_methods(["GET", "POST"])
@requires("deploy.snippets")
@reauthentication_required
def take_over(request: HttpRequest, pk: int) -> HttpResponse:
    """The own lines as they would be, to be looked through before they are kept."""
    row = found(pk)
    files = comparing.shown(row, rollout.live_generation(row))
    if not files:
        messages.info(request, drift.NothingDrifted(row).sentence)
        return redirect("deploy:drift", pk)
    proposed = comparing.proposed(files, row)
    form = SnippetsForm(request.POST or None, instance=Host.objects.get(pk=pk), initial=proposed)
    if request.method == "POST" and form.is_valid():
        try:
            drift.take_over(
                host=row,
                mark=request.POST.get("mark", ""),
                texts=form.cleaned_data,
                by=request.user,
                at=timezone.now(),
            )
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(request, _("Taken over. Put it live when you are ready."))
            return redirect("deploy:drift", pk)
    context = {
        "form": form,
        "host": row,
        "mark": row.reported().drift_mark,  # of what the page shows, also after a refusal
        "files": parts_of(files),
    }
    return render(request, "deploy/take_over.html", context)
