"""Pages of aliases: the list, a new one, deleting."""

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import addresses, aliases
from accounts.forms import NewAliasForm, new_alias
from accounts.models import Alias, Domain
from core.access import requires
from core.paging import page_of


@require_GET
@requires("accounts.view")
def index(request: HttpRequest) -> HttpResponse:
    text = request.GET.get("q", "").strip()[:200]
    rows = Alias.objects.all()
    if text:
        word = addresses.search_form(text)
        rows = rows.filter(Q(address__contains=word) | Q(targets__icontains=word))
    context = {
        "page": page_of(rows, request.GET, order="address"),
        "q": text,
        "any_domain": Domain.objects.exists(),
    }
    return render(request, "accounts/aliases.html", context)


@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
def new(request: HttpRequest) -> HttpResponse:
    domain = Domain.objects.filter(name=request.GET.get("domain", "")).first()
    initial = {"domain": domain, "local_part": request.GET.get("name", "")[:64]}
    form = NewAliasForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        alias = new_alias(form, by=request.user, at=timezone.now())
        if alias:
            messages.success(
                request, _("%(address)s was made.") % {"address": alias.unicode_address}
            )
            return redirect("accounts:aliases")
    context = {"form": form, "any_domain": Domain.objects.exists()}
    return render(request, "accounts/alias_new.html", context)


@require_POST
@requires("accounts.manage")
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    alias = get_object_or_404(Alias, pk=pk)
    aliases.delete(alias=alias, by=request.user, at=timezone.now())
    messages.success(request, _("%(address)s was deleted.") % {"address": alias.unicode_address})
    return redirect("accounts:aliases")
