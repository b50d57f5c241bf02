"""The audit of passwords: a few guesses at every hash, politely, and nothing guessed twice.

    audit = start(by=me, at=now)
    work(audit=claimed, clock=timezone.now)      # a worker, some seconds of it at a time
    audit.refresh_from_db(); audit.found

At most 25 guesses an account (`accounts.guessing`): those named like a test first, then those that
nobody uses. One hash at a time, in a thread of the lowest priority; one that would take too long is
left alone and counted. What was tried is remembered as a verdict with the digests of the hash and
of the list of guesses, and progress is stored with each account, conditional on the lease's number:
a worker that is killed is followed by another at the same account. Of a password that was guessed
only the kind is stored ("equals_name"), and the account is flagged at once. The end of an import
starts an audit by itself.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from accounts import addresses, flags, guessing, staleness
from accounts.models import AccountImport, Flag, Mailbox, WeaknessAudit, WeaknessVerdict
from core import audit as events
from core import leases
from core.errors import Refusal
from core.models import Operator
from core.nudge import nudge

AUDIT = "accounts.audit_passwords"
CHUNK = 200
# Then the worker looks for what else there is to do.
SLICE = timedelta(seconds=5)
RENEW = timedelta(seconds=leases.SECONDS // 4)
LOWEST = 19
NAMED_LIKE_TESTS, UNUSED, ALL_OTHERS = 0, 1, 2
_OF_USE = (staleness.NEVER_USED, staleness.DORMANT)


class AuditRuns(Refusal):
    status = 409

    def __init__(self) -> None:
        super().__init__(_("An audit runs already. Wait for its end, or stop it first."))


class NoAuditRuns(Refusal):
    status = 409

    def __init__(self) -> None:
        super().__init__(_("No audit runs."))


def latest() -> WeaknessAudit | None:
    return WeaknessAudit.objects.select_related("asked_by").first()


def start(
    *, by: Operator | None, at: datetime, because: AccountImport | None = None
) -> WeaknessAudit:
    """AuditRuns. `because` is the import after which it starts by itself."""
    with transaction.atomic():
        if WeaknessAudit.objects.filter(state=WeaknessAudit.RUNNING).exists():
            raise AuditRuns
        audit = WeaknessAudit.objects.create(
            asked_by=by, asked_at=at, changed_at=at, total=Mailbox.objects.present().count()
        )
        events.record(
            by=by,
            at=at,
            action="accounts.audit.started",
            subject=str(audit.pk),
            detail={
                "accounts": audit.total,
                "guesses": guessing.MOST,
                **({"import": because.pk} if because else {}),
            },
        )
        nudge(AUDIT, audit.pk)
    return audit


def too_costly() -> int:
    """How many passwords were not tried, because it would take too long."""
    return WeaknessVerdict.objects.too_costly().count()


def after_import(batch: AccountImport, *, at: datetime) -> None:
    """Hashes that come in from elsewhere were judged by nobody: an audit looks at them. One that
    runs already is followed by another (`_finish`)."""
    with suppress(AuditRuns):
        start(by=batch.asked_by, at=at, because=batch)


def stop(*, by: Operator | None, at: datetime) -> WeaknessAudit:
    """The worker that is at it ends at its next account; what was found stays. NoAuditRuns."""
    with transaction.atomic():
        rows = WeaknessAudit.objects.select_for_update().filter(state=WeaknessAudit.RUNNING)
        audit = rows.first()
        if audit is None:
            raise NoAuditRuns
        audit.state, audit.changed_at = WeaknessAudit.STOPPED, at
        audit.fence += 1  # whoever holds the lease has lost it
        audit.claimed_by, audit.lease_until = "", None
        audit.save()
        _record_end(audit, "accounts.audit.stopped", by=by, at=at)
    return audit


def work(*, audit: WeaknessAudit, clock: Callable[[], datetime]) -> None:
    """Work on a claimed audit for `SLICE`, or to its end. Raises `core.leases.LeaseLost` when it
    was stopped or another took over."""
    begin = clock()
    with ThreadPoolExecutor(1, initializer=_be_polite) as guesser:

        def guess(stored: str, guesses: list[tuple[str, str]]) -> str:
            for password, reason in guesses:
                if guesser.submit(guessing.fits, stored, password).result():
                    return reason
                at = clock()
                if audit.lease_until is None or audit.lease_until - at < 2 * RENEW:
                    leases.renew(audit, at=at)
            return ""

        while True:
            chunk = _next(audit)
            if not chunk:
                if audit.round == ALL_OTHERS:
                    break
                leases.save(audit, round=audit.round + 1, after=0, changed_at=clock())
                continue
            _work_chunk(audit, chunk, guess, clock=clock, until=begin + SLICE)
            at = clock()
            if at - begin >= SLICE:
                leases.release(audit, changed_at=at)
                nudge(AUDIT, audit.pk)
                return
    _finish(audit, at=clock())


def _work_chunk(
    audit: WeaknessAudit,
    chunk: "list[_Account]",
    guess: Callable[[str, list[tuple[str, str]]], str],
    *,
    clock: Callable[[], datetime],
    until: datetime,
) -> None:
    known = {
        verdict.mailbox_id: verdict
        for verdict in WeaknessVerdict.objects.filter(mailbox__in=[pk for pk, *_rest in chunk])
    }
    looked_at, after = audit.looked_at, audit.after
    for pk, local, address, stored, unused in chunk:
        if _round_of(local, unused) == audit.round:
            looked_at += 1
            guesses = guessing.candidates(address, year=audit.asked_at.year)
            tried = _digest(stored, guesses)
            verdict = known.get(pk)
            if stored and (verdict is None or verdict.digest != tried):
                costly = guessing.too_costly(stored)
                reason = WeaknessVerdict.TOO_COSTLY if costly else guess(stored, guesses)
                at = clock()
                _store(audit, pk, tried, reason, verdict, looked_at=looked_at, after=pk, at=at)
            elif stored and verdict is not None and _is_weak(verdict.reason):
                leases.save(audit, found=audit.found + 1, looked_at=looked_at, after=pk)
        after = pk
        if clock() >= until:
            break
    leases.save(audit, looked_at=looked_at, after=after, changed_at=clock())


def _store(
    audit: WeaknessAudit,
    pk: int,
    tried: str,
    reason: str,
    before: WeaknessVerdict | None,
    *,
    looked_at: int,
    after: int,
    at: datetime,
) -> None:
    found = audit.found + _is_weak(reason)
    with transaction.atomic():
        leases.save(
            audit, found=found, looked_at=looked_at, after=after, changed_at=at,
            lease_until=at + timedelta(seconds=leases.SECONDS),
        )  # fmt: skip
        if not Mailbox.objects.filter(pk=pk).exists():
            return
        WeaknessVerdict.objects.update_or_create(
            mailbox_id=pk, defaults={"digest": tried, "reason": reason, "at": at}
        )
        if _is_weak(reason) or (before is not None and _is_weak(before.reason)):
            flags.refresh(at=at, mailboxes=[pk])


def _finish(audit: WeaknessAudit, *, at: datetime) -> None:
    with transaction.atomic():
        leases.release(audit, state=WeaknessAudit.DONE, changed_at=at)
        _record_end(audit, "accounts.audit.done", by=audit.asked_by, at=at)
        nudge(flags.REFRESH, audit.pk)
        ended = AccountImport.objects.filter(dry_run=False, changed_at__gt=audit.asked_at)
        ended = ended.exclude(state=AccountImport.RUNNING)
        # Its accounts may have come behind the place where this audit was.
        missed = ended.exclude(created=0, updated=0).first()
        if missed is not None:
            after_import(missed, at=at)


def _record_end(audit: WeaknessAudit, action: str, *, by: Operator | None, at: datetime) -> None:
    detail = {"accounts": audit.looked_at, "found": audit.found}
    events.record(by=by, at=at, action=action, subject=str(audit.pk), detail=detail)


_Account = tuple[int, str, str, str, bool]


def _next(audit: WeaknessAudit) -> list[_Account]:
    """(id, name, address, hash, whether nobody used it when the audit began): a flag that comes
    while it runs moves no account from the rounds to come into one that is over."""
    unused = Flag.objects.filter(
        mailbox=OuterRef("pk"), kind__in=_OF_USE, found_at__lte=audit.asked_at
    )
    rows = Mailbox.objects.present().filter(pk__gt=audit.after).order_by("pk")
    rows = rows.annotate(unused=Exists(unused))
    if audit.round == UNUSED:
        rows = rows.filter(unused=True)
    return list(rows.values_list("pk", "local_part", "address", "password", "unused")[:CHUNK])


def _round_of(local: str, unused: bool) -> int:
    if addresses.test_token(local) is not None:
        return NAMED_LIKE_TESTS
    return UNUSED if unused else ALL_OTHERS


def _is_weak(reason: str) -> bool:
    return reason not in ("", WeaknessVerdict.TOO_COSTLY)


def _digest(stored: str, guesses: list[tuple[str, str]]) -> str:
    listed = "\0".join(password for password, _reason in guesses)
    return flags.hash_digest(stored) + hashlib.sha256(listed.encode()).hexdigest()[:32]


def _be_polite() -> None:
    """The lowest priority for this thread alone: on Linux a thread has its own."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
