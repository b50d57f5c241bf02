"""Pages of the end of a mailbox's life: close, reopen, erase; and of a temporary one's end."""

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import addresses, catch_all, closing, expiry, protection
from accounts.forms import add_refusal
from accounts.forms_closing import CloseForm, EraseForm, ExpiryForm
from accounts.pages.mailboxes import active_again, kept_from, ours, show_mailbox
from core.access import requires
from core.errors import Refusal


@require_POST
@requires("accounts.manage")
def close(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(ours(request).select_related("domain"), pk=pk)
    form = CloseForm(request.POST)
    if not form.is_valid():
        return show_mailbox(request, pk, status=422, close_form=form)
    try:
        row = closing.close(mailbox=row, **form.cleaned_data, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request,
            _("%(address)s is closed. Its mail is kept until %(day)s.")
            % {"address": row.unicode_address, "day": f"{row.kept_until:%Y-%m-%d}"},
        )
    return redirect("accounts:mailbox", pk)


@require_POST
@requires("accounts.manage")
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    return active_again(request, pk, closing.reopen)


@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
@reauthentication_required
def erase(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(ours(request), pk=pk)
    if away := kept_from(request, row):
        return away
    if not row.may("erase"):
        messages.error(request, _("Only a closed account can be erased."))
        return redirect("accounts:mailbox", pk)
    form = EraseForm(request.POST or None)
    if not row.kept_until or row.kept_until <= timezone.now():
        del form.fields["early"]
    if request.method == "POST" and form.is_valid():
        try:
            closing.erase(mailbox=row, **form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(
                request, _("%(address)s was erased.") % {"address": row.unicode_address}
            )
            return redirect("accounts:mailbox", pk)
    leading = closing.aliases_to(row, request.user)
    context = {"form": form, "mailbox": row, "aliases": leading}
    context["caught"] = catch_all.is_there(row.domain)
    return render(request, "accounts/erase.html", context)


@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
def end(request: HttpRequest, pk: int) -> HttpResponse:
    """When a temporary account ends."""
    row = get_object_or_404(ours(request), pk=pk)
    if away := kept_from(request, row):
        return away
    initial = {"expires_at": row.expires_at, "name_reason": row.name_reason}
    form = ExpiryForm(request.POST or None, initial=initial)
    if not (addresses.test_token(row.local_part) and protection.may_touch(request.user)):
        del form.fields["name_reason"]
    if request.method == "POST" and form.is_valid():
        try:
            expiry.set_end(mailbox=row, **form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("accounts:mailbox", pk)
    return render(request, "accounts/end.html", {"form": form, "mailbox": row})
