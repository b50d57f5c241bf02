"""Pages of mailboxes. Domains and aliases have theirs beside it.

A view reads the form, makes one call of a verb, and shows the outcome or the refusal.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import (
    addresses,
    app_passwords,
    catch_all,
    checks,
    closing,
    exporting,
    flag_words,
    invitations,
    lifecycle,
    passwords,
    protection,
    rules,
    states,
    usage,
)
from accounts.forms import (
    EditMailboxForm,
    FilterForm,
    InviteForm,
    NewMailboxForm,
    ResetForm,
    SuspendForm,
    add_refusal,
)
from accounts.forms_closing import CloseForm
from accounts.models import Domain, Erasure, Mailbox
from accounts.models.domains import DomainQuerySet
from accounts.models.mailboxes import MailboxQuerySet
from accounts.pages import links
from accounts.refusals import AddressRefused
from accounts.sentences import say_all
from core.access import requires
from core.errors import Refusal
from core.models import Operator
from core.paging import page_of


@require_GET
@requires("accounts.view")
def mailboxes(request: HttpRequest) -> HttpResponse:
    form = FilterForm(request.GET, domains=_domains(request))
    form.is_valid()
    chosen = form.cleaned_data
    page = page_of(filtered_by(chosen, request.user), request.GET, order=form.order)
    _note_invitations([row for row in page if not row.has_password])
    filtered = any(chosen.get(name) for name in ("q", "domain", "state"))
    context = {
        "form": form,
        "page": page,
        "filtered": filtered,
        "total": None if filtered else ours(request).present().count(),
        "any_domain": bool(len(page) or filtered or _domains(request).exists()),
    }
    return render(request, "accounts/mailboxes.html", context)


def _note_invitations(rows: list[Any]) -> None:
    """`invited_until` for each: the end of its open invitation, or None."""
    until = invitations.open_until(rows, at=timezone.now()) if rows else {}
    for row in rows:
        row.invited_until = until.get(row.pk)


def ours(request: HttpRequest) -> MailboxQuerySet:
    """The mailboxes that exist for who asks."""
    rows: MailboxQuerySet = Mailbox.objects.visible_to(request.user)
    return rows


def _domains(request: HttpRequest) -> DomainQuerySet:
    rows: DomainQuerySet = Domain.objects.visible_to(request.user)
    return rows


def filtered_by(chosen: dict[str, Any], by: Operator | None) -> MailboxQuerySet:
    """What the list shows, in no order yet."""
    rows: MailboxQuerySet = Mailbox.objects.listed_to(by)
    if chosen.get("q"):
        rows = rows.search(chosen["q"])
    if chosen.get("domain"):
        rows = rows.filter(domain=chosen["domain"])
    return rows.in_state(chosen["state"]) if chosen.get("state") else rows.present()


@require_GET
@requires("accounts.view")
def as_csv(request: HttpRequest) -> HttpResponseBase:
    """The list as it is filtered, all of it."""
    form = FilterForm(request.GET, domains=_domains(request))
    if not form.is_valid():
        # Half of what was asked for would look like all of it.
        return redirect(f"{reverse('accounts:mailboxes')}?{request.GET.urlencode()}")
    rows = filtered_by(form.cleaned_data, request.user)
    response = StreamingHttpResponse(
        exporting.lines(rows), content_type="text/csv; charset=utf-8; header=present"
    )
    response["Content-Disposition"] = 'attachment; filename="accounts.csv"'
    return response


@sensitive_variables("given")
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
def new(request: HttpRequest) -> HttpResponse:
    domains = _domains(request)
    domain = domains.filter(name=asked_domain(request)).first()
    form = NewMailboxForm(request.POST or None, initial={"domain": domain}, domains=domains)
    if request.method == "POST" and form.is_valid():
        try:
            given = {**form.cleaned_data, "by": request.user, "at": timezone.now()}
            if given.pop("invite"):
                del given["password"]
                return links.show(request, *invitations.create(**given))
            mailbox = lifecycle.create(**given)
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(
                request, _("%(address)s was made.") % {"address": mailbox.unicode_address}
            )
            return redirect("accounts:mailbox", mailbox.pk)
    asks_reason = bool(
        addresses.test_token(form["local_part"].value() or "") if form.is_bound else None
    )
    chosen = _domain_of(request) if form.is_bound else domain or domains.first()
    context = {
        "form": form,
        "asks_reason": asks_reason,
        "asks_reuse": form.is_bound and protection.may_touch(request.user) and _is_tombstone(form),
        "policy": rules.policy_of(chosen),
        "any_domain": domains.exists(),
    }
    return render(request, "accounts/new.html", context)


@never_cache
@require_POST
@requires("accounts.manage")
def name_check(request: HttpRequest) -> HttpResponse:
    """The fragment below the name while it is typed: the address, or what is wrong with it."""
    text = request.POST.get("local_part", "")[:320]
    domain = _domain_of(request)
    context: dict[str, Any] = {"problems": []}
    if text.strip() and domain:
        try:
            local = checks.check_local_part(text, domain)
            context["address"] = f"{local}@{domain.unicode_name}"
            checks.check_free(domain, local, at=timezone.now())
            protection.check_address(f"{local}@{domain.name}", request.user)
        except AddressRefused as refused:
            context["problems"] = refused.sentences
        except Refusal as refusal:
            context["problems"] = [refusal.sentence]
        else:
            context["test_token"] = addresses.test_token(local)
            form = NewMailboxForm(request.POST, domains=_domains(request))
            context["reason_field"] = form["name_reason"]
            context["reason"] = request.POST.get("name_reason", "")[:500]
    return render(request, "accounts/_name_verdict.html", context)


@sensitive_post_parameters("password")
@never_cache
@require_POST
@requires("accounts.help")
def password_check(request: HttpRequest) -> HttpResponse:
    """The fragment below the password while it is typed: its score and every reason against it."""
    password = request.POST.get("password", "")[: 4 * passwords.MAX_LENGTH]
    found = ours(request).filter(pk=_number(request.POST.get("mailbox")))
    mailbox = found.select_related("domain").first()
    domain = mailbox.domain if mailbox else _domain_of(request)
    context: dict[str, Any] = {"policy": rules.policy_of(domain)}
    if password:
        if mailbox:
            local, display_name = mailbox.local_part, mailbox.display_name
        else:
            local = request.POST.get("local_part", "").strip().lower()[:64]
            display_name = request.POST.get("display_name", "")[:200]
        verdict = rules.judge_password(
            password, local=local, domain=domain, display_name=display_name
        )
        context |= {"verdict": verdict, "sentences": say_all(verdict.reasons)}
    return render(request, "accounts/_password_verdict.html", context)


@require_GET
@requires("accounts.view")
def mailbox(request: HttpRequest, pk: int) -> HttpResponse:
    return show_mailbox(request, pk)


def show_mailbox(request: HttpRequest, pk: int, *, status: int = 200, **more: Any) -> HttpResponse:
    """A mailbox's page; `more` has a form that goes back with what is wrong in it."""
    rows = invitations.with_end(ours(request).select_related("domain"), at=timezone.now())
    row = get_object_or_404(rows, pk=pk)
    uses = usage.shown(row)
    kept_back = row.address in protection.protected()
    closes = row.may("close") and request.user.may("accounts.manage")
    leading = closing.aliases_to(row, request.user) if closes else []
    context = {
        "mailbox": row,
        "uses": uses,
        "invite_form": InviteForm() if row.has_password else None,
        "any_evidence": any(use.since or use.at for use in uses),
        "suspend_form": SuspendForm(),
        "close_form": CloseForm(),
        "leads_here": closing.said_of_aliases(leading),
        "app_passwords": row.app_passwords.filter(revoked_at=None),
        "erasure": Erasure.objects.filter(address=row.address).last()
        if row.state == states.ERASED
        else None,
        "caught": row.state == states.ERASED and catch_all.is_there(row.domain),
        "flags": flag_words.of_mailbox(row, at=timezone.now()),
        "test_token": addresses.test_token(row.local_part),
        "protected": kept_back,
        "kept_from": kept_back and not protection.may_touch(request.user),
        **more,
    }
    return render(request, "accounts/mailbox.html", context, status=status)


def kept_from(request: HttpRequest, row: Mailbox) -> HttpResponse | None:
    """Back to the mailbox's page, with the reason, before a form is filled in vain."""
    try:
        protection.check_not_protected(row, request.user)
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
        return redirect("accounts:mailbox", row.pk)
    return None


@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(ours(request), pk=pk)
    said = {name: getattr(row, name) for name in EditMailboxForm.base_fields}
    form = EditMailboxForm(request.POST or None, initial=said)
    if not protection.may_touch(request.user):
        form.fields["quota_mb"].disabled = row.address in protection.protected()
    if request.method == "POST" and form.is_valid():
        try:
            lifecycle.edit(mailbox=row, **form.cleaned_data, by=request.user, at=timezone.now())
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("accounts:mailbox", pk)
    return render(request, "accounts/edit.html", {"form": form, "mailbox": row})


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
@requires("accounts.help")
def password(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(ours(request), pk=pk)
    if away := kept_from(request, row):
        return away
    has_app_passwords = row.app_passwords.filter(revoked_at=None).exists()
    form = ResetForm(request.POST or None, has_app_passwords=has_app_passwords)
    if request.method == "POST" and form.is_valid():
        try:
            lifecycle.set_password(
                mailbox=row,
                password=form.cleaned_data["password"],
                by=request.user,
                at=timezone.now(),
            )
        except Refusal as refusal:
            add_refusal(form, refusal)
        else:
            if form.cleaned_data.get("revoke_app_passwords"):
                app_passwords.revoke_all(mailbox=row, by=request.user, at=timezone.now())
            messages.success(request, _("The password was set, and open sessions end."))
            return redirect("accounts:mailbox", pk)
    context = {"form": form, "mailbox": row, "policy": rules.policy_of(row.domain)}
    return render(request, "accounts/password.html", context)


@require_POST
@requires("accounts.help")
def suspend(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(ours(request), pk=pk)
    form = SuspendForm(request.POST)
    if not form.is_valid():
        return show_mailbox(request, pk, status=422, suspend_form=form)
    try:
        lifecycle.suspend(mailbox=row, **form.cleaned_data, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request,
            _("%(address)s is suspended: no login, no sending, and open sessions end.")
            % {"address": row.unicode_address},
        )
    return redirect("accounts:mailbox", pk)


@require_POST
@requires("accounts.manage")
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    return active_again(request, pk, lifecycle.resume)


def active_again(request: HttpRequest, pk: int, verb: Callable[..., object]) -> HttpResponse:
    """Resume or open a mailbox again, and say so."""
    row = get_object_or_404(ours(request), pk=pk)
    try:
        verb(mailbox=row, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request, _("%(address)s is active again.") % {"address": row.unicode_address}
        )
    return redirect("accounts:mailbox", pk)


def _is_tombstone(form: NewMailboxForm) -> bool:
    """Whether the address asked for is an erased account's."""
    local = (form["local_part"].value() or "").strip().lower()[:64]
    if "\0" in local:
        return False
    rows = Mailbox.objects.in_state(states.ERASED).filter(local_part=local)
    return rows.filter(domain=_number(form["domain"].value())).exists()


def asked_domain(request: HttpRequest) -> str:
    """The domain that a link to a form names; PostgreSQL cannot look for a null character."""
    return request.GET.get("domain", "").replace("\0", "")


def _domain_of(request: HttpRequest) -> Domain | None:
    return _domains(request).filter(pk=_number(request.POST.get("domain"))).first()


def _number(text: str | None) -> int | None:
    """A primary key out of a request; what is not one finds nothing."""
    if text and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return None
