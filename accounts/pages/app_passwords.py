"""Pages of a mailbox's app passwords: make one, which is shown once, and revoke it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts import app_passwords
from accounts.forms import add_refusal
from accounts.forms_app_passwords import AppPasswordForm
from accounts.models import AppPassword
from accounts.pages.mailboxes import kept_from, ours
from core.access import requires
from core.errors import Refusal

GROUP = 4


@sensitive_variables("secret", "groups", "shown")
@never_cache
@require_http_methods(["GET", "POST"])
@requires("accounts.help")
def new(request: HttpRequest, pk: int) -> HttpResponse:
    """The answer to the form shows the password, this once."""
    row = get_object_or_404(ours(request).select_related("domain"), pk=pk)
    if away := kept_from(request, row):
        return away
    form = AppPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made, secret = app_passwords.create(
                mailbox=row, **form.cleaned_data, by=request.user, at=timezone.now()
            )
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            groups = [secret[at : at + GROUP] for at in range(0, len(secret), GROUP)]
            shown = {"mailbox": row, "made": made, "secret": secret, "groups": groups}
            return render(request, "accounts/app_password_made.html", shown)
    context = {"mailbox": row, "form": form}
    return render(request, "accounts/app_password_new.html", context)


@require_POST
@requires("accounts.help")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    rows = AppPassword.objects.filter(mailbox__in=ours(request)).select_related("mailbox")
    found = get_object_or_404(rows, pk=pk)
    try:
        app_passwords.revoke(app_password=found, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request,
            _("“%(name)s” can no longer sign in, and open sessions end.") % {"name": found.name},
        )
    return redirect("accounts:mailbox", found.mailbox_id)
