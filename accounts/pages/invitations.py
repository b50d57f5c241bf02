"""The invitation: an operator makes the link, the mailbox's owner sets the password with it.

The owner's page needs no sign-in: the link is what he has. It says the same to every link that does
not work, and its password is looked at by the same rules, with each reason said.
"""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts import invitations, passwords, rules
from accounts.forms import InviteForm, PasswordForm, add_refusal
from accounts.pages import links
from accounts.pages.mailboxes import ours
from accounts.sentences import say_all
from core.access import address_of, requires
from core.errors import Refusal


@sensitive_variables("secret")
@never_cache
@require_POST
@requires("accounts.help")
def invite(request: HttpRequest, pk: int) -> HttpResponse:
    """Makes the link and shows it, this once."""
    mailbox = get_object_or_404(ours(request).select_related("domain"), pk=pk)
    form = InviteForm(request.POST)
    form.is_valid()
    try:
        made, secret = invitations.invite(
            mailbox=mailbox, **form.cleaned_data, by=request.user, at=timezone.now()
        )
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("accounts:mailbox", pk)
    return links.show(request, mailbox, made, secret)


@require_POST
@requires("accounts.help")
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    mailbox = get_object_or_404(ours(request), pk=pk)
    invitations.withdraw(mailbox=mailbox, by=request.user, at=timezone.now())
    messages.success(request, _("The link does not work any more."))
    return redirect("accounts:mailbox", pk)


@sensitive_variables("secret")
@sensitive_post_parameters("password")
@login_not_required
@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """The owner's page."""
    try:
        found = invitations.look_up(secret, at=timezone.now())
        form = _form(secret, request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                invitations.accept(
                    secret,
                    password=form.cleaned_data["password"],
                    at=timezone.now(),
                    address=address_of(request),
                )
            except invitations.InvitationRefused:
                raise
            except Refusal as refusal:
                add_refusal(form, refusal)
            else:
                return render(request, "accounts/invitation_done.html", {"mailbox": found.mailbox})
    except invitations.InvitationRefused as refusal:
        refused = {"sentence": refusal.sentence}
        return render(request, "accounts/invitation_refused.html", refused, status=refusal.status)
    policy = rules.policy_of(found.mailbox.domain)
    context = {"form": form, "policy": policy, "mailbox": found.mailbox}
    status = 422 if form.is_bound else 200
    return render(request, "accounts/invitation.html", context, status=status)


@sensitive_variables("secret")
@sensitive_post_parameters("password")
@login_not_required
@never_cache
@require_POST
def check(request: HttpRequest, secret: str) -> HttpResponse:
    """The fragment below the owner's password while it is typed."""
    try:
        found = invitations.look_up(secret, at=timezone.now())
    except invitations.InvitationRefused as refusal:
        return HttpResponse(status=refusal.status)
    password = request.POST.get("password", "")[: 4 * passwords.MAX_LENGTH]
    context: dict[str, object] = {"policy": rules.policy_of(found.mailbox.domain)}
    if password:
        mailbox = found.mailbox
        verdict = rules.judge_password(
            password,
            local=mailbox.local_part,
            domain=mailbox.domain,
            display_name=mailbox.display_name,
        )
        context |= {"verdict": verdict, "sentences": say_all(verdict.reasons)}
    return render(request, "accounts/_password_verdict.html", context)


def _form(secret: str, data: object) -> forms.Form:
    form = PasswordForm(data)
    watched = form.fields["password"].widget.attrs
    watched["hx-post"] = reverse("accounts:invitation_check", args=[secret])
    return form
