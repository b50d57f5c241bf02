"""The audit log as a page: who did what, when, from where."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from core.access import requires
from core.models import AuditEvent
from core.paging import page_of
from mailadmin.actions import described
from mailadmin.forms import ActivityFilter


@requires("audit.view")
def activity(request: HttpRequest) -> HttpResponse:
    form = ActivityFilter(request.GET)
    events = AuditEvent.objects.all()
    if form.is_valid():
        if form.cleaned_data["area"]:
            events = events.filter(action__startswith=form.cleaned_data["area"] + ".")
        if form.cleaned_data["q"]:
            events = events.filter(subject__icontains=form.cleaned_data["q"])
        if form.cleaned_data["who"]:
            events = events.filter(actor_name=form.cleaned_data["who"])
    page = page_of(events, request.GET)
    filtered = any(request.GET.get(name) for name in ("q", "area", "who"))
    context = {
        "form": form,
        "page": page,
        "filtered": filtered,
        "events": [described(event) for event in page],
    }
    return render(request, "mailadmin/activity.html", context)
