"""Pages of mailboxes. Domains and aliases have theirs beside it.

A view reads the form, makes one call of a verb, and shows the outcome or the refusal.
"""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import (
    addresses,
    bulk,
    exporting,
    flag_words,
    lifecycle,
    passwords,
    rules,
    states,
    usage,
)
from accounts.forms import (
    EditMailboxForm,
    FilterForm,
    NewMailboxForm,
    PasswordForm,
    SuspendForm,
    add_refusal,
)
from accounts.forms_closing import CloseForm
from accounts.models import Domain, Erasure, Mailbox
from accounts.models.mailboxes import MailboxQuerySet
from accounts.refusals import AddressRefused, AddressTaken
from accounts.sentences import say_all
from core.access import requires
from core.errors import Refusal
from core.paging import page_of


@require_GET
@requires("accounts.view")
def mailboxes(request: HttpRequest) -> HttpResponse:
    form = FilterForm(request.GET)
    form.is_valid()
    chosen = form.cleaned_data
    page = page_of(filtered_by(chosen), request.GET, order=form.order)
    filtered = any(chosen.get(name) for name in ("q", "domain", "state"))
    context = {
        "form": form,
        "page": page,
        "filtered": filtered,
        "total": None if filtered else Mailbox.objects.present().count(),
        "any_domain": bool(len(page) or filtered or Domain.objects.exists()),
    }
    return render(request, "accounts/mailboxes.html", context)


def filtered_by(chosen: dict[str, Any]) -> MailboxQuerySet:
    """What the list shows, in no order yet."""
    rows = Mailbox.objects.all()
    if chosen.get("q"):
        rows = rows.search(chosen["q"])
    if chosen.get("domain"):
        rows = rows.filter(domain=chosen["domain"])
    return rows.in_state(chosen["state"]) if chosen.get("state") else rows.present()


@require_GET
@requires("accounts.view")
def as_csv(request: HttpRequest) -> HttpResponseBase:
    """The list as it is filtered, all of it."""
    form = FilterForm(request.GET)
    if not form.is_valid():
        # Half of what was asked for would look like all of it.
        return redirect(f"{reverse('accounts:mailboxes')}?{request.GET.urlencode()}")
    rows = filtered_by(form.cleaned_data)
    response = StreamingHttpResponse(
        exporting.lines(rows), content_type="text/csv; charset=utf-8; header=present"
    )
    response["Content-Disposition"] = 'attachment; filename="accounts.csv"'
    return response


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
def new(request: HttpRequest) -> HttpResponse:
    domain = Domain.objects.filter(name=request.GET.get("domain", "")).first()
    form = NewMailboxForm(request.POST or None, initial={"domain": domain})
    if request.method == "POST" and form.is_valid():
        try:
            mailbox = lifecycle.create(**form.cleaned_data, by=request.user, at=timezone.now())
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
    chosen = _domain_of(request) if form.is_bound else domain or Domain.objects.first()
    context = {
        "form": form,
        "asks_reason": asks_reason,
        "asks_reuse": form.is_bound and _is_tombstone(form),
        "policy": rules.policy_of(chosen),
        "any_domain": Domain.objects.exists(),
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
            local = lifecycle.check_local_part(text, domain)
            context["address"] = f"{local}@{domain.unicode_name}"
            lifecycle.check_free(domain, local, at=timezone.now())
        except AddressRefused as refused:
            context["problems"] = refused.sentences
        except AddressTaken as taken:
            context["problems"] = [taken.sentence]
        else:
            context["test_token"] = addresses.test_token(local)
            form = NewMailboxForm(request.POST)
            context["reason_field"] = form["name_reason"]
            context["reason"] = request.POST.get("name_reason", "")[:500]
    return render(request, "accounts/_name_verdict.html", context)


@sensitive_post_parameters("password")
@never_cache
@require_POST
@requires("accounts.manage")
def password_check(request: HttpRequest) -> HttpResponse:
    """The fragment below the password while it is typed: its score and every reason against it."""
    password = request.POST.get("password", "")[: 4 * passwords.MAX_LENGTH]
    found = Mailbox.objects.filter(pk=_number(request.POST.get("mailbox")))
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
    row = get_object_or_404(Mailbox.objects.select_related("domain"), pk=pk)
    return show_mailbox(request, row)


def show_mailbox(
    request: HttpRequest, row: Mailbox, *, status: int = 200, **more: Any
) -> HttpResponse:
    """A mailbox's page; `more` has a form that goes back with what is wrong in it."""
    uses = usage.shown(row)
    context = {
        "mailbox": row,
        "uses": uses,
        "any_evidence": any(use.since or use.at for use in uses),
        "suspend_form": SuspendForm(),
        "close_form": CloseForm(),
        "erasure": Erasure.objects.filter(address=row.address).last()
        if row.state == states.ERASED
        else None,
        "flags": flag_words.of_mailbox(row, at=timezone.now()),
        "test_token": addresses.test_token(row.local_part),
        **more,
    }
    return render(request, "accounts/mailbox.html", context, status=status)


@require_http_methods(["GET", "POST"])
@requires("accounts.manage")
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Mailbox, pk=pk)
    said = {name: getattr(row, name) for name in EditMailboxForm.base_fields}
    form = EditMailboxForm(request.POST or None, initial=said)
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
@requires("accounts.manage")
def password(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Mailbox, pk=pk)
    form = PasswordForm(request.POST or None)
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
            messages.success(request, _("The password was set, and open sessions end."))
            return redirect("accounts:mailbox", pk)
    context = {"form": form, "mailbox": row, "policy": rules.policy_of(row.domain)}
    return render(request, "accounts/password.html", context)


@require_POST
@requires("accounts.manage")
def suspend(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(Mailbox, pk=pk)
    form = SuspendForm(request.POST)
    if not form.is_valid():
        return show_mailbox(request, row, status=422, suspend_form=form)
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
    row = get_object_or_404(Mailbox, pk=pk)
    try:
        lifecycle.resume(mailbox=row, by=request.user, at=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(
            request, _("%(address)s is active again.") % {"address": row.unicode_address}
        )
    return redirect("accounts:mailbox", pk)


BULK_AT_MOST = 500
BULK: dict[str, tuple[Any, type[forms.Form]]] = {
    "suspend": (bulk.suspend, SuspendForm),
    "resume": (bulk.resume, forms.Form),
    "close": (bulk.close, CloseForm),
}
NONE_APPLIES = {
    "suspend": _lazy("None of the ticked accounts is active."),
    "resume": _lazy("None of the ticked accounts is suspended."),
    "close": _lazy("All of the ticked accounts are closed already."),
}


@require_POST
@requires("accounts.manage")
def selected(request: HttpRequest) -> HttpResponse:
    """Do to what was ticked in the list: asks first, with the names, then acts."""
    back = _back(request)
    verb = request.POST.get("verb", "")
    if verb not in BULK:
        return redirect(back)
    ids = [pk for pk in map(_number, request.POST.getlist("mailbox")) if pk][:BULK_AT_MOST]
    rows = list(Mailbox.objects.filter(pk__in=ids).order_by("address"))
    applies = [row for row in rows if row.may(verb)]
    if not applies:
        messages.warning(request, _("Nothing was changed: tick the accounts first."))
        if rows:
            messages.warning(request, NONE_APPLIES[verb])
        return redirect(back)
    act, asks = BULK[verb]
    form = asks(request.POST if request.POST.get("sure") else None)
    if request.POST.get("sure") and form.is_valid():
        done = act(mailboxes=ids, **form.cleaned_data, by=request.user, at=timezone.now())
        messages.success(request, _told(verb, done))
        return redirect(back)
    context = {
        "verb": verb,
        "applies": applies,
        "left_out": len(rows) - len(applies),
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


def _back(request: HttpRequest) -> str:
    """The list as it was filtered, if the form says so and it is a page of ours."""
    url = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()})
    return url if ours else reverse("accounts:mailboxes")


def _is_tombstone(form: NewMailboxForm) -> bool:
    """Whether the address asked for is an erased account's."""
    local = (form["local_part"].value() or "").strip().lower()[:64]
    rows = Mailbox.objects.in_state(states.ERASED).filter(local_part=local)
    return rows.filter(domain=_number(form["domain"].value())).exists()


def _domain_of(request: HttpRequest) -> Domain | None:
    return Domain.objects.filter(pk=_number(request.POST.get("domain"))).first()


def _number(text: str | None) -> int | None:
    """A primary key out of a request; what is not one finds nothing."""
    if text and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return None
