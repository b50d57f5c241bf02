"""Settings: profile and API tokens. Security and sessions are allauth's pages."""

from dataclasses import replace
from datetime import datetime, timedelta

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.addresses import unicode_domain
from ca import notices
from core import operator_refusals, outgoing, roles
from core.access import address_of, requires
from core.api_auth import create_token, revoke_token
from core.models import ApiToken
from core.signin import keep_language
from deploy import notices as host_notices
from mailadmin.forms import ProfileForm, TokenForm
from mailadmin.profile import change_profile


@requires("settings.view")
def profile(request: HttpRequest) -> HttpResponse:
    current = translation.get_language()
    initial = {"language": request.user.language or current}
    form = ProfileForm(request.POST or None, instance=request.user, initial=initial)
    if request.method == "POST" and form.is_valid():
        request.user.refresh_from_db()
        request.user.address = address_of(request)
        try:
            change_profile(
                operator=request.user, by=request.user, at=timezone.now(), **form.cleaned_data
            )
        except operator_refusals.EmailTaken as taken:
            form.add_error("email", taken.sentence)
        else:
            chosen = form.cleaned_data["language"]
            with translation.override(chosen):
                messages.success(request, _("Saved."))
            response = redirect("settings")
            keep_language(response, chosen)
            return response
    status = 422 if form.is_bound and not form.is_valid() else 200
    context = {"form": form, "domains": [unicode_domain(name) for name in request.user.domains]}
    return render(request, "mailadmin/settings_profile.html", context, status=status)


@requires("settings.manage")
@never_cache
def mail(request: HttpRequest) -> HttpResponse:
    """Whether the console can send mail, and a mail to oneself."""
    now = timezone.now()
    if request.method == "POST":
        try:
            notices.request_test(by=request.user, at=now)
        except notices.NotSent as refusal:
            messages.error(request, refusal.sentence)
        else:
            messages.success(
                request,
                _("A test mail to %(address)s is on its way.") % {"address": request.user.email},
            )
        return redirect("mail_settings")
    context = {"mail": mail_standing(now), "server": outgoing.server()}
    return render(request, "mailadmin/settings_mail.html", context)


def mail_standing(at: datetime) -> notices.Standing:
    """Of both kinds of notices: of certificates and of hosts."""
    of_ends = notices.standing(at)
    waiting = host_notices.waiting()
    troubled = next((each for each in waiting if each.problem), None)
    sent = [each for each in (of_ends.last_sent_at, host_notices.last_sent_at()) if each]
    found = replace(
        of_ends,
        waiting=of_ends.waiting + len(waiting),
        last_sent_at=max(sent, default=None),
    )
    if found.problem or troubled is None:
        return found
    return replace(found, problem=troubled.problem, next_try_at=troubled.next_try_at)


def visible_tokens(request: HttpRequest) -> "QuerySet[ApiToken]":
    """One's own; an owner sees everybody's."""
    tokens = ApiToken.objects.select_related("operator").order_by("-pk")
    if not roles.may(request.user, "settings.manage"):
        tokens = tokens.filter(operator=request.user)
    return tokens


@requires("settings.view")
@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """List, and make: the secret is on this one answer and never again."""
    now = timezone.now()
    form = TokenForm(request.POST or None, operator=request.user)
    secret = None
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        _token, secret = create_token(
            name=form.cleaned_data["name"],
            scopes=form.cleaned_data["scopes"],
            expires_at=now + timedelta(days=days) if days else None,
            by=request.user,
            at=now,
        )
        form = TokenForm(operator=request.user)
    rows = [(token, state_of(token, now)) for token in visible_tokens(request)[:200]]
    context = {"form": form, "secret": secret, "tokens": rows}
    status = 422 if form.is_bound and not form.is_valid() else 200
    return render(request, "mailadmin/settings_tokens.html", context, status=status)


def state_of(token: ApiToken, at: datetime) -> str:
    """revoked, ended, off (its operator is) or usable"""
    if token.revoked_at:
        return "revoked"
    if token.expires_at is not None and token.expires_at <= at:
        return "ended"
    return "usable" if token.operator.is_active else "off"


@requires("settings.view")
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(visible_tokens(request), pk=pk)
    revoke_token(token=token, by=request.user, at=timezone.now())
    messages.success(request, _("The token “%(name)s” no longer works.") % {"name": token.name})
    return redirect("tokens")
