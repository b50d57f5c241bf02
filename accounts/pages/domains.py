"""Pages of domains: the list with the form to add one, one domain, its settings, removing."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import addresses, breached, domains, rules
from accounts.forms import NewDomainForm, add_refusal, new_domain
from accounts.forms_domains import DomainSettingsForm
from accounts.models import Domain
from core import roles
from core.access import NotAllowed, requires
from core.errors import Refusal
from core.paging import page_of


@require_http_methods(["GET", "POST"])
@requires("accounts.view")
def index(request: HttpRequest) -> HttpResponse:
    form = NewDomainForm(request.POST or None)
    if request.method == "POST":
        if not roles.may(request.user, "accounts.domains"):
            raise NotAllowed("accounts.domains")
        if form.is_valid():
            domain = new_domain(form, by=request.user, at=timezone.now())
            if domain:
                messages.success(
                    request,
                    _("%(name)s was added. Next: make an account in it.")
                    % {"name": domain.unicode_name},
                )
                return redirect("accounts:domains")
    text = request.GET.get("q", "").strip()[:200]
    rows = Domain.objects.visible_to(request.user).with_counts()
    if text:
        rows = rows.filter(name__contains=addresses.search_form(text))
    page = page_of(rows, request.GET, order="name")
    context = {"form": form, "page": page, "q": text, "roles": addresses.ROLE_LOCAL_PARTS}
    return render(request, "accounts/domains.html", context)


@require_GET
@requires("accounts.view")
def domain(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Domain.objects.visible_to(request.user).with_counts(), pk=pk)
    context = {
        "domain": row,
        "full": row.most_mailboxes is not None and row.mailboxes >= row.most_mailboxes,
        "policy": rules.policy_of(row),
        "breached": breached.usable(),
        "roles": addresses.ROLE_LOCAL_PARTS,
    }
    return render(request, "accounts/domain.html", context)


@require_http_methods(["GET", "POST"])
@requires("accounts.domains")
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Domain.objects.visible_to(request.user), pk=pk)
    said = {name: getattr(row, name) for name in DomainSettingsForm.base_fields}
    form = DomainSettingsForm(request.POST or None, initial=said)
    if request.method == "POST" and form.is_valid():
        try:
            domains.edit(domain=row, **form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("accounts:domain", pk)
    return render(request, "accounts/domain_edit.html", {"form": form, "domain": row})


@require_POST
@requires("accounts.domains")
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    domain = get_object_or_404(Domain.objects.visible_to(request.user), pk=pk)
    try:
        domains.remove(domain=domain, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("accounts:domain", pk)
    messages.success(request, _("%(name)s was removed.") % {"name": domain.unicode_name})
    return redirect("accounts:domains")
