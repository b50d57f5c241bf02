"""Pages of aliases: the list, a new one, editing, deleting."""

from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import addresses, aliases, protection
from accounts.forms import EditAliasForm, NewAliasForm, edit_alias, new_alias
from accounts.models import Alias, Domain
from accounts.pages.mailboxes import asked_domain
from core.access import requires
from core.errors import Refusal
from core.models import Operator
from core.paging import page_of


@require_GET
@requires("accounts.view")
def index(request: HttpRequest) -> HttpResponse:
    text = request.GET.get("q", "").strip()[:200]
    rows = Alias.objects.visible_to(request.user)
    if text:
        word = addresses.search_form(text)
        rows = rows.filter(Q(address__contains=word) | Q(targets__icontains=word))
    page = page_of(rows, request.GET, order="address")
    context = {
        "page": page,
        "shown": _shown(page.rows, request.user),
        "kept_from": frozenset() if protection.may_touch(request.user) else protection.protected(),
        "q": text,
        "any_domain": Domain.objects.visible_to(request.user).exists(),
    }
    return render(request, "accounts/aliases.html", context)


def _shown(rows: list[Alias], by: Operator) -> list[tuple[Alias, list[tuple[str, bool]]]]:
    """Each with its targets, and whether mail to a target leaves the domains that `by` sees."""
    named = {target.rpartition("@")[2] for alias in rows for target in alias.targets}
    known = Domain.objects.visible_to(by)
    ours = set(known.filter(name__in=named).values_list("name", flat=True))
    return [
        (
            alias,
            [
                (addresses.unicode_address(target), target.rpartition("@")[2] not in ours)
                for target in alias.targets
            ],
        )
        for alias in rows
    ]


@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
def new(request: HttpRequest) -> HttpResponse:
    ours = Domain.objects.visible_to(request.user)
    domain = ours.filter(name=asked_domain(request)).first()
    initial = {"domain": domain, "local_part": request.GET.get("name", "")[:64]}
    form = NewAliasForm(request.POST or None, initial=initial, domains=ours)
    if request.method == "POST" and form.is_valid():
        alias = new_alias(form, by=request.user, at=timezone.now())
        if alias:
            messages.success(request, _("%(address)s was made.") % {"address": alias.label})
            _warn(request, alias)
            return redirect("accounts:aliases")
    context = {"form": form, "any_domain": ours.exists()}
    return render(request, "accounts/alias_new.html", context)


@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    alias = get_object_or_404(Alias.objects.visible_to(request.user), pk=pk)
    try:
        protection.check_address(alias.address, request.user)
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("accounts:aliases")
    initial = {
        "targets": "\n".join(alias.unicode_targets),
        "expires_at": alias.expires_at,
        "note": alias.note,
        "revision": alias.revision,
    }
    form = EditAliasForm(request.POST or None, initial=initial)
    given: dict[str, Any] = {"alias": alias, "by": request.user, "at": timezone.now()}
    if request.method == "POST" and form.is_valid() and edit_alias(form, **given):
        messages.success(request, _("Saved."))
        _warn(request, Alias.objects.get(pk=pk))
        return redirect("accounts:aliases")
    return render(request, "accounts/alias_edit.html", {"form": form, "alias": alias})


def _warn(request: HttpRequest, alias: Alias) -> None:
    """A catch-all that leaves the house makes this server a sender of spam."""
    [(_alias, targets)] = _shown([alias], request.user)
    away = [target for target, leaves in targets if leaves]
    if alias.is_catch_all and away:
        messages.warning(
            request,
            _(
                "All spam for made-up names is now forwarded to %(targets)s as well, and this "
                "server may be taken for its source. A mailbox here is safer."
            )
            % {"targets": ", ".join(away)},
        )


@require_POST
@requires("accounts.manage")
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    alias = get_object_or_404(Alias.objects.visible_to(request.user), pk=pk)
    try:
        aliases.delete(alias=alias, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("accounts:aliases")
    messages.success(request, _("%(address)s was deleted.") % {"address": alias.label})
    return redirect("accounts:aliases")
