"""Settings → Operators: who signs in, with which role, in which domains. For owners.

What gives power (adding, changing, switching on, a link) asks for a fresh proof; switching off does
not: it may be urgent.
"""

from dataclasses import dataclass
from datetime import datetime

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.addresses import unicode_domain
from accounts.forms import add_refusal
from core import operators
from core.access import requires
from core.errors import Refusal
from core.models import Operator
from core.paging import page_of
from mailadmin.forms_operators import NewOperatorForm, OperatorForm

NAMED_AT_MOST = 3


@dataclass(frozen=True)
class Line:
    """An operator as the list shows him; `domains` is None for a role that sees all."""

    operator: Operator
    state: str
    domains: list[str] | None

    @property
    def named(self) -> str:
        return ", ".join((self.domains or [])[:NAMED_AT_MOST])

    @property
    def more(self) -> int:
        return len(self.domains or []) - NAMED_AT_MOST

    @classmethod
    def of(cls, row: Operator, at: datetime) -> "Line":
        names = None if row.scope is None else [unicode_domain(name) for name in row.domains]
        return cls(row, operators.state_of(row, at), names)


@require_GET
@requires("settings.manage")
def index(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    page = page_of(operators.listed(), request.GET, order="username")
    context = {"page": page, "lines": [Line.of(row, now) for row in page]}
    return render(request, "mailadmin/operators.html", context)


@require_http_methods(["GET", "POST"])
@requires("settings.manage")
@never_cache
@reauthentication_required
def add(request: HttpRequest) -> HttpResponse:
    """The answer to a form that fits is the link, and it is on no other."""
    form = NewOperatorForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row, link = operators.add(**form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            return show_link(request, row, link)
    status = 422 if form.errors else 200
    return render(request, "mailadmin/operator_add.html", {"form": form}, status=status)


@require_http_methods(["GET", "POST"])
@requires("settings.manage")
@never_cache
@reauthentication_required
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(operators.listed(), pk=pk)
    form = OperatorForm(request.POST or None, operator=row)
    is_own = row.pk == request.user.pk
    if is_own:  # as if they had been sent as they are
        for name in ("role", "domains"):
            form.fields[name].disabled = True
    if request.method == "POST" and form.is_valid():
        try:
            operators.change(operator=row, **form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("operators")
    context = {
        "form": form,
        "line": Line.of(row, timezone.now()),
        "operator": row,
        "is_own": is_own,
    }
    status = 422 if form.errors else 200
    return render(request, "mailadmin/operator.html", context, status=status)


@require_POST
@requires("settings.manage")
def switch_off(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Operator, pk=pk)
    try:
        operators.switch_off(operator=row, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request,
            _("“%(name)s” is switched off. Sessions have ended, and tokens do not work any more.")
            % {"name": row.username},
        )
    return redirect("operators")


@require_POST
@requires("settings.manage")
@reauthentication_required
def switch_on(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Operator, pk=pk)
    operators.switch_on(operator=row, by=request.user, at=timezone.now())
    messages.success(request, _("“%(name)s” can sign in again.") % {"name": row.username})
    return redirect("operators")


@require_POST
@requires("settings.manage")
@never_cache
@reauthentication_required
def new_link(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Operator, pk=pk)
    try:
        link = operators.let_in(operator=row, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("operators")
    return show_link(request, row, link)


def show_link(request: HttpRequest, row: Operator, link: operators.Link) -> HttpResponse:
    context = {
        "operator": row,
        "link": request.build_absolute_uri(link.path),
        "expires_at": link.expires_at,
    }
    return render(request, "mailadmin/operator_link.html", context)
