"""Revoking, holding and releasing certificates, and the lists that say so.

    revoke(certificate=found, reason="keyCompromise", by=me, at=now)
    hold(certificate=found, by=me, at=now)
    release(certificate=found, by=me, at=now)

Each marks the issuer's list as stale and nudges the signer, which signs the next delta and, while
it is small, the next full list; the list of a root waits for its passphrase, and has no delta.
Reasons: RFC 5280 section 5.3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from ca import columns, crl, keystore, profiles, states, wording
from ca.models import Certificate, Issuer, RevocationList
from core import audit, leases
from core.errors import Refusal
from core.models import Operator
from core.nudge import nudge

SIGN_LIST = "ca.sign_list"
HOLD = "certificateHold"
# A revocation may be stored this long after the time it bears: the delta reaches back so far.
UNSEEN = timedelta(minutes=10)
# Before any revocation.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
# A list of a million entries takes about ten seconds, on a busy machine much longer.
LEASE_SECONDS = 600
# What a certificate can be revoked for. A hold is its own verb; "removeFromCRL" is no reason.
REASONS = (
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
    "aACompromise",
)


class NotRevocable(Refusal):
    """The certificate's state does not allow it, or the reason is none."""

    status = 409

    def __init__(self, code: str, *, status: int | None = None, **detail: Any) -> None:
        super().__init__(wording.sentence(code, detail), status=status)
        self.code = code
        self.detail = detail


def permission(certificate: Certificate) -> str:
    """What an operator needs to do any of it: an authority's certificate is the owner's."""
    return "ca.manage" if certificate.profile in profiles.AUTHORITY_PROFILES else "ca.issue"


def possible(certificate: Certificate, at: datetime) -> tuple[str, ...]:
    """The states it may go to now by a verb of this module."""
    if certificate.is_own or certificate.is_expired(at):
        return ()
    verbs = (Certificate.REVOKED, Certificate.HELD, Certificate.VALID)
    return tuple(to for to in verbs if states.may_go(states.CERTIFICATE, certificate.state, to))


def revoke(*, certificate: Certificate, reason: str, by: Operator | None, at: datetime) -> None:
    """For good: valid, held or superseded → revoked. `reason` is one of `REASONS`."""
    if reason not in REASONS:
        raise NotRevocable("reason_unknown", status=422, value=reason, reasons=", ".join(REASONS))
    _move(
        certificate,
        to=Certificate.REVOKED,
        fields={"revoked_at": at, "revocation_reason": reason},
        action="ca.certificate.revoked",
        by=by,
        at=at,
    )


def hold(*, certificate: Certificate, by: Operator | None, at: datetime) -> None:
    """For a time: valid → held. Clients refuse it until it is released."""
    _move(
        certificate,
        to=Certificate.HELD,
        fields={"revoked_at": at, "revocation_reason": HOLD},
        action="ca.certificate.held",
        by=by,
        at=at,
    )


def release(*, certificate: Certificate, by: Operator | None, at: datetime) -> None:
    """Held → valid: it leaves the list."""
    _move(
        certificate,
        to=Certificate.VALID,
        fields={"revoked_at": None, "revocation_reason": "", "released_at": at},
        action="ca.certificate.released",
        by=by,
        at=at,
    )


def _move(
    certificate: Certificate,
    *,
    to: str,
    fields: dict[str, Any],
    action: str,
    by: Operator | None,
    at: datetime,
) -> None:
    if certificate.is_own:
        raise NotRevocable("root_not_revocable", name=certificate.title)
    if certificate.is_expired(at):
        raise NotRevocable("ended_already", name=certificate.title)
    able = [state for state in states.CERTIFICATE if states.may_go(states.CERTIFICATE, state, to)]
    with transaction.atomic():
        moved = Certificate.objects.filter(pk=certificate.pk, state__in=able).update(
            state=to, **fields
        )
        certificate.refresh_from_db()
        if not moved:
            raise NotRevocable(
                "not_in_state", name=certificate.title, state=certificate.get_state_display()
            )
        audit.record(
            by=by,
            at=at,
            action=action,
            subject=certificate.title,
            detail={
                "serial": certificate.serial,
                "issuer": certificate.issuer.name,
                "reason": certificate.revocation_reason,
            },
        )
        lists = RevocationList.objects.filter(issuer=certificate.issuer_id)
        lists.update(stale_at=at)
        for pk in lists.values_list("pk", flat=True):
            nudge(SIGN_LIST, pk)


def prepare_list(
    *, issuer: Issuer, certificate: x509.Certificate, number: int, at: datetime, days: int
) -> crl.ListToBeSigned:
    """The full list of what this issuer has revoked or put on hold.

    What has expired stays for one more life of a list: RFC 5280 section 3.3 wants it on at least
    one list that was signed after its end.
    """
    revoked = _on_lists(issuer, ended_after=at - timedelta(days=days)) if issuer.pk else []
    return crl.prepare(
        issuer=certificate,
        number=number,
        revoked=revoked,
        at=at,
        days=days,
        freshest=issuer.delta_address,
    )


def _on_lists(
    issuer: Issuer, *, ended_after: datetime, since: datetime = ALWAYS
) -> Iterator[crl.Revoked]:
    # With `since` SQLite reads the index made for this, and not every certificate of the issuer.
    found = issuer.certificates.filter(
        revoked_at__isnull=False, revoked_at__gte=since, not_after__gt=ended_after
    )
    reasons = {flag.value: flag for flag in x509.ReasonFlags}
    asked = found.values_list("serial", "revoked_at", "revocation_reason")
    for serial, when, reason in columns.rows(asked):
        yield crl.Revoked(int(serial, 16), columns.second(when), reasons.get(reason))


def _taken_off(issuer: Issuer, *, ended_after: datetime, since: datetime) -> Iterator[crl.Revoked]:
    found = issuer.certificates.filter(
        released_at__gte=since, revoked_at=None, not_after__gt=ended_after
    )
    for serial, when in columns.rows(found.values_list("serial", "released_at")):
        yield crl.Revoked(int(serial, 16), columns.second(when), x509.ReasonFlags.remove_from_crl)


def _changed(issuer: Issuer, *, since: datetime, at: datetime) -> Iterator[crl.Revoked]:
    """What was revoked, held or released since a list was signed; a little more does no harm."""
    since -= UNSEEN
    ended_after = at - timedelta(days=crl.DAYS)
    yield from _on_lists(issuer, ended_after=ended_after, since=since)
    yield from _taken_off(issuer, ended_after=ended_after, since=since)


def list_fields(
    prepared: crl.ListToBeSigned, signed: x509.CertificateRevocationList
) -> dict[str, Any]:
    """The columns of a `RevocationList` for a signed full list."""
    return {
        "number": prepared.number,
        "this_update": prepared.this_update,
        "next_update": prepared.next_update,
        "renew_at": crl.renew_at(prepared),
        "entries": len(prepared.revoked),
        "der": signed.public_bytes(Encoding.DER),
    }


def _delta_fields(
    prepared: crl.ListToBeSigned, signed: x509.CertificateRevocationList, base_at: datetime
) -> dict[str, Any]:
    return {
        "delta_base": prepared.base,
        "delta_base_at": base_at,
        "delta_number": prepared.number,
        "delta_this_update": prepared.this_update,
        "delta_next_update": prepared.next_update,
        "delta_entries": len(prepared.revoked),
        "delta_der": signed.public_bytes(Encoding.DER),
    }


def renew_list(*, listed: RevocationList, by: Operator | None, at: datetime) -> None:
    """Sign the issuer's next delta, and its next full list where that is due; the row is claimed.

    A small full list is signed every time, a large one at most every `crl.LARGE_EVERY`: what it
    does not say yet, its delta says.
    """
    issuer, certificate, number = listed.issuer, listed.issuer.parsed, listed.next_number
    if max(listed.entries, listed.delta_entries) > crl.SMALL:
        leases.renew(listed, at=at, seconds=LEASE_SECONDS)
    lags = any(True for _ in _changed(issuer, since=listed.this_update, at=at))
    full = None
    if listed.full_is_due(at, lags=lags):
        full = prepare_list(
            issuer=issuer, certificate=certificate, number=number, at=at, days=crl.DAYS
        )
    base, base_at = listed.base_for_delta(at)
    changed = _changed(issuer, since=base_at, at=at)
    delta = crl.prepare_delta(issuer=certificate, number=number, base=base, changed=changed, at=at)
    key = keystore.load(issuer.key_sealed, key_id=issuer.key_id, token=issuer.token)
    fields = _delta_fields(delta, key.issue_list(delta), base_at)
    due = [crl.renew_at(delta)]
    if full is not None:
        fields |= list_fields(full, key.issue_list(full))
        due.append(fields["renew_at"])
    else:
        due.append(listed.this_update + crl.LARGE_EVERY if lags else listed.half_life)
    fields["renew_at"] = min(due)
    with transaction.atomic():
        leases.release(listed, **fields)
        caught_up(listed)
        audit.record(
            by=by,
            at=at,
            action="ca.list.signed",
            subject=issuer.name,
            detail={
                "number": number,
                "full": full is not None,
                "entries": listed.entries,
                "delta_from": base,
                "delta_entries": listed.delta_entries,
            },
        )


def caught_up(read: RevocationList) -> None:
    """The list says all that `read` lacked. What changed since it was read still stands out."""
    RevocationList.objects.filter(pk=read.pk, stale_at=read.stale_at).update(stale_at=None)
