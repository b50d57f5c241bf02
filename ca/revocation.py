"""Revoking, holding and releasing certificates, and the lists that say so.

    revoke(certificate=found, reason="keyCompromise", by=me, at=now)
    hold(certificate=found, by=me, at=now)
    release(certificate=found, by=me, at=now)

Each marks the issuer's list as stale and nudges the signer, which signs the next one; the list of a
root waits for its passphrase. Reasons: RFC 5280 section 5.3.1.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from ca import crl, keystore, profiles, states, wording
from ca.models import Certificate, Issuer, RevocationList
from core import audit, leases
from core.errors import Refusal
from core.models import Operator
from core.nudge import nudge

SIGN_LIST = "ca.sign_list"
HOLD = "certificateHold"
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
    """The full list of what this issuer has revoked or put on hold and has not yet expired."""
    revoked = (
        issuer.certificates.filter(
            state__in=[Certificate.REVOKED, Certificate.HELD], not_after__gt=at
        ).values_list("serial", "revoked_at", "revocation_reason")
        if issuer.pk
        else []
    )
    entries = [
        crl.Revoked(int(serial, 16), when, x509.ReasonFlags(reason) if reason else None)
        for serial, when, reason in revoked
    ]
    return crl.prepare(issuer=certificate, number=number, revoked=entries, at=at, days=days)


def list_fields(
    prepared: crl.ListToBeSigned, signed: x509.CertificateRevocationList
) -> dict[str, Any]:
    """The columns of a `RevocationList` for a signed list."""
    return {
        "number": prepared.number,
        "this_update": prepared.this_update,
        "next_update": prepared.next_update,
        "renew_at": crl.renew_at(prepared),
        "entries": len(prepared.revoked),
        "der": signed.public_bytes(Encoding.DER),
    }


def renew_list(*, listed: RevocationList, by: Operator | None, at: datetime) -> None:
    """Sign the issuer's next full list; the row is claimed."""
    issuer = listed.issuer
    prepared = prepare_list(
        issuer=issuer, certificate=issuer.parsed, number=listed.number + 1, at=at, days=crl.DAYS
    )
    key = keystore.load(issuer.key_sealed, key_id=issuer.key_id)
    signed = key.issue_list(prepared)
    with transaction.atomic():
        leases.release(listed, **list_fields(prepared, signed))
        caught_up(listed)
        audit.record(
            by=by,
            at=at,
            action="ca.list.signed",
            subject=issuer.name,
            detail={"number": prepared.number, "entries": len(prepared.revoked)},
        )


def caught_up(read: RevocationList) -> None:
    """The list says all that `read` lacked. What changed since it was read still stands out."""
    RevocationList.objects.filter(pk=read.pk, stale_at=read.stale_at).update(stale_at=None)
