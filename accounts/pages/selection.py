"""What was ticked in a list of mailboxes: asks first, with the names, then acts."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts import bulk, protection
from accounts.forms import SuspendForm, add_refusal
from accounts.forms_closing import CloseForm
from accounts.models import Mailbox
from accounts.pages.mailboxes import _number, ours
from core import roles
from core.access import NotAllowed, requires
from core.errors import Refusal

BULK_AT_MOST = 500
# verb → what does it, what it asks, and the permission it takes
BULK: dict[str, tuple[Any, type[forms.Form], str]] = {
    "suspend": (bulk.suspend, SuspendForm, "accounts.help"),
    "resume": (bulk.resume, forms.Form, "accounts.manage"),
    "close": (bulk.close, CloseForm, "accounts.manage"),
}
NONE_APPLIES = {
    "suspend": _lazy("None of the ticked accounts is active."),
    "resume": _lazy("None of the ticked accounts is suspended."),
    "close": _lazy("All of the ticked accounts are closed already."),
}


@require_POST
@requires("accounts.help")
def selected(request: HttpRequest) -> HttpResponse:
    back = where_from(request, "accounts:mailboxes")
    verb = request.POST.get("verb", "")
    if verb not in BULK:
        return redirect(back)
    act, asks, permission = BULK[verb]
    if not roles.may(request.user, permission):
        raise NotAllowed(permission)
    ids = [pk for pk in map(_number, request.POST.getlist("mailbox")) if pk][:BULK_AT_MOST]
    rows = list(ours(request).filter(pk__in=ids).order_by("address"))
    form = asks(request.POST if request.POST.get("sure") else None)
    if request.POST.get("sure") and form.is_valid() and any(row.may(verb) for row in rows):
        chosen = [row.pk for row in rows]
        try:
            done = act(mailboxes=chosen, **form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
            return ask(request, verb, rows, form, back)
        if done.changed:
            messages.success(request, _told(verb, done))
        if done.left_out:
            messages.warning(request, _left_out(done))
        return redirect(back)
    return ask(request, verb, rows, form, back)


def ask(
    request: HttpRequest, verb: str, rows: list[Mailbox], form: forms.Form, back: str
) -> HttpResponse:
    """The page that asks; back to the list when the verb applies to none of `rows`."""
    able = [row for row in rows if row.may(verb)]
    applies = able if verb == "resume" else protection.without_protected(able, request.user)
    if not applies:
        messages.warning(request, _("Nothing was changed: tick the accounts first."))
        for row in able[:1]:
            messages.warning(request, protection.MailboxProtected(row.address).sentence)
        if rows and not able:
            messages.warning(request, NONE_APPLIES[verb])
        return redirect(back)
    context = {
        "verb": verb,
        "applies": applies,
        "left_out": len(rows) - len(able),
        "protected": [row for row in able if row not in applies],
        "form": form,
        "back": back,
    }
    return render(request, "accounts/selected.html", context)


def _told(verb: str, done: bulk.Done) -> str:
    if verb == "suspend":
        text = ngettext(
            "%(count)d account is suspended.", "%(count)d accounts are suspended.", done.changed
        )
    elif verb == "close":
        text = ngettext(
            "%(count)d account is closed.", "%(count)d accounts are closed.", done.changed
        )
    else:
        text = ngettext(
            "%(count)d account is active again.",
            "%(count)d accounts are active again.",
            done.changed,
        )
    return text % {"count": done.changed}


def _left_out(done: bulk.Done) -> str:
    return ngettext(
        "%(count)d account stays as it is: it is protected, or was changed meanwhile.",
        "%(count)d accounts stay as they are: they are protected, or were changed meanwhile.",
        done.left_out,
    ) % {"count": done.left_out}


def where_from(request: HttpRequest, otherwise: str) -> str:
    """The list as it was filtered, if the form says so and it is a page of ours."""
    url = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()})
    return url if ours else reverse(otherwise)
