"""Telling people that the policy will suspend accounts, and writing down when.

    announce(at=now)        # after each refresh of the flags, 500 flags at a time

First the mails: to each operator who may do something about it and has an address, one with the
accounts that exist for him; to each owner whose contact is a mail address, one with his accounts.
Then, in one transaction, `Flag.suspends_at` and one AuditEvent with the number and the digest of
the list, as in `accounts.bulk`. Where the mail server cannot be reached nothing is announced, and
the next refresh tries again: nobody's days run before he was told. A server that refuses one
recipient holds nobody up. Without a mail server the pages and the log tell alone.

A mail names the kind of a flag and never its evidence: how a password was guessed is the password.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import bulk, policy, staleness
from accounts.models import Flag, FlagPolicy
from core import audit, outgoing, roles
from core.models import Operator
from core.nudge import nudge

MOST_AT_ONCE = 500
MOST_NAMED = 100
_BUSY, BUSY_SECONDS = "accounts.announcing.busy", 900
_PROBLEM, PROBLEM_SECONDS = "accounts.announcing.problem", 2 * 3600

# What an owner is told, and may do.
TO_OWNERS = {
    staleness.WEAK: gettext_lazy("its password is easy to guess. Have a new one set."),
    staleness.TEST_NAMED: gettext_lazy("its name looks like an account for a test."),
    staleness.NEVER_USED: gettext_lazy("no login was ever seen. Log in once to keep it."),
    staleness.DORMANT: gettext_lazy("it was not used for long. Log in once to keep it."),
}


def announce(*, at: datetime) -> int:
    """How many accounts were announced now."""
    if not cache.add(_BUSY, "1", BUSY_SECONDS):
        return 0
    try:
        return _announce(policy.current(), at=at)
    finally:
        cache.delete(_BUSY)


def problem() -> str:
    """Why the last announcement waits: what the mail server said, or nothing."""
    return str(cache.get(_PROBLEM) or "")


def _announce(asked: FlagPolicy, *, at: datetime) -> int:
    if not asked.on:
        return 0
    still = policy.concerned(asked.kinds, at=at, known=False)
    policy.announced().exclude(pk__in=still.values("pk")).update(suspends_at=None)
    rows = policy.concerned(asked.kinds, at=at).filter(suspends_at=None).order_by("pk")
    flags = list(rows.select_related("mailbox__domain")[:MOST_AT_ONCE])
    if not flags:
        return 0
    suspends_at = at + timedelta(days=asked.notice_days)
    mails: list[EmailMessage] = []
    refused: dict[str, str] = {}
    if outgoing.is_configured():
        mails = [*_to_operators(flags, suspends_at), *_to_owners(flags, suspends_at)]
        try:
            refused = outgoing.deliver(mails)
        except outgoing.FAILURES as error:
            cache.set(_PROBLEM, outgoing.said(error), PROBLEM_SECONDS)
            return 0
    cache.delete(_PROBLEM)
    return _write(asked, flags, suspends_at, mailed=len(mails) - len(refused), at=at)


def _write(
    asked: FlagPolicy, flags: Sequence[Flag], suspends_at: datetime, *, mailed: int, at: datetime
) -> int:
    with transaction.atomic():
        now = FlagPolicy.objects.select_for_update().filter(pk=asked.pk).first()
        if now is None or now.revision != asked.revision:
            return 0  # somebody changed it meanwhile, which asks for another round
        pks = [flag.pk for flag in flags]
        waiting = Flag.objects.standing(at).filter(pk__in=pks, suspends_at=None)
        names = sorted(set(waiting.values_list("mailbox__address", flat=True)))
        if not names:
            return 0
        Flag.objects.filter(pk__in=list(waiting.values_list("pk", flat=True))).update(
            suspends_at=suspends_at
        )
        listed = {"addresses": names} if len(names) <= bulk.NAMED_AT_MOST else {}
        audit.record(
            by=None,
            at=at,
            action="accounts.policy.announced",
            subject=names[0] if len(names) == 1 else f"{len(names)} mailboxes",
            detail={
                "suspends_at": suspends_at.isoformat(),
                "kinds": asked.kinds,
                "mails": mailed,
                "count": len(names),
                "sha256": bulk.digest(names),
                **listed,
            },
        )
        if len(flags) == MOST_AT_ONCE:
            nudge(policy.ANNOUNCE, asked.pk)
    return len(names)


def _to_operators(flags: Sequence[Flag], suspends_at: datetime) -> Iterable[EmailMessage]:
    for operator in Operator.objects.filter(is_active=True).exclude(email="").order_by("pk"):
        if not roles.may(operator, "accounts.manage"):
            continue
        scope = operator.scope
        his = [each for each in flags if scope is None or each.mailbox.domain.name in scope]
        if his:
            with translation.override(operator.language or settings.LANGUAGE_CODE):
                yield _to_operator(his, suspends_at, to=operator.email)


def _to_operator(flags: Sequence[Flag], suspends_at: datetime, *, to: str) -> EmailMessage:
    named = defaultdict(list)
    for flag in flags:
        named[flag.mailbox.unicode_address].append(str(flag.get_kind_display()))
    lines = [
        _("The policy of this console suspends these accounts on %(day)s:")
        % {"day": _day(suspends_at)},
        "",
        *(
            f"- {address}: {', '.join(kinds)}"
            for address, kinds in list(named.items())[:MOST_NAMED]
        ),
    ]
    if (left := len(named) - MOST_NAMED) > 0:
        lines.append(
            ngettext("and %(count)d account more", "and %(count)d accounts more", left)
            % {"count": left}
        )
    lines += [
        "",
        _(
            "Each is looked at again then, and left alone if the reason is gone. Set a flag aside "
            "to keep an account as it is:"
        ),
        f"{settings.CONSOLE_URL}/accounts/flags/?kind=announced",
    ]
    return outgoing.message(_subject(list(named), suspends_at), lines, to=to)


def _to_owners(flags: Sequence[Flag], suspends_at: datetime) -> Iterable[EmailMessage]:
    theirs: dict[str, list[Flag]] = defaultdict(list)
    for flag in flags:
        if contact := mail_address(flag.mailbox.owner_contact):
            theirs[contact].append(flag)
    with translation.override(settings.LANGUAGE_CODE):
        for contact, his in theirs.items():
            lines = [
                _("You are named as who looks after what is suspended on %(day)s:")
                % {"day": _day(suspends_at)},
                "",
                *(f"- {flag.mailbox.unicode_address}: {TO_OWNERS[flag.kind]}" for flag in his),
                "",
                _(
                    "A suspended account can neither log in nor send. Its mail is kept and goes on "
                    "arriving. If it is still needed, tell whoever runs the mail server."
                ),
            ]
            names = list(dict.fromkeys(flag.mailbox.unicode_address for flag in his))
            yield outgoing.message(_subject(names, suspends_at), lines, to=contact)


def mail_address(contact: str) -> str:
    """The contact when it is a mail address and nothing else, or empty."""
    try:
        validate_email(contact.strip())
    except ValidationError:
        return ""
    return contact.strip()


def _subject(names: Sequence[str], suspends_at: datetime) -> str:
    day = f"{timezone.localtime(suspends_at):%Y-%m-%d}"
    if len(names) == 1:
        return _("%(address)s will be suspended on %(day)s") % {"address": names[0], "day": day}
    return ngettext(
        "%(count)d account will be suspended on %(day)s",
        "%(count)d accounts will be suspended on %(day)s",
        len(names),
    ) % {"count": len(names), "day": day}


def _day(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
