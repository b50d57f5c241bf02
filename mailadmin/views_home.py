"""Overview, first run, and the look at this server."""

import socket

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from core.access import requires
from core.models import AuditEvent
from deploy.models import Host, HostJob
from mailadmin import first_run, look, overview, own_domains
from mailadmin.actions import described


@requires("settings.view")
def home(request: HttpRequest) -> HttpResponse:
    """The overview; where nothing has begun, the three doors. Who has some domains sees those."""
    if request.user.scope is not None:
        own = own_domains.look(operator=request.user, at=timezone.now())
        return render(request, "mailadmin/own_domains.html", {"overview": own})
    if not Host.objects.exists() and not HostJob.objects.exists():
        return redirect("welcome")
    now = timezone.now()
    steps = first_run.steps(operator=request.user, at=now)
    context = {
        "overview": overview.look(at=now),
        "steps": steps,
        "shows_steps": first_run.is_for(request.user) and not first_run.is_complete(steps),
        "position": first_run.position(steps),
        "events": [described(event) for event in AuditEvent.objects.order_by("-pk")[:8]],
    }
    return render(request, "mailadmin/overview.html", context)


@requires("settings.view")
def welcome(request: HttpRequest) -> HttpResponse:
    """First run: three doors and the checklist. It stays reachable, so it can be resumed. Nobody
    is shown steps who can do none of them."""
    if request.user.scope is not None:
        return redirect("overview")
    steps = first_run.steps(operator=request.user, at=timezone.now())
    context = {
        "steps": steps,
        "complete": first_run.is_complete(steps),
        "position": first_run.position(steps),
        "shows_steps": first_run.is_for(request.user),
    }
    return render(request, "mailadmin/welcome.html", context)


@requires("deploy.view")
def look_here(request: HttpRequest) -> HttpResponse:
    """What runs on this machine, read only."""
    now = timezone.now()
    found = look.look()
    context = {
        "machine": socket.gethostname(),
        "found": found,
        "certificates": [(item, item.expired(now)) for item in found.certificates],
    }
    return render(request, "mailadmin/look.html", context)
