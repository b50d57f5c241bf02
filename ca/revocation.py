"""Revocation lists: what an issuer's next one says, and the signer's verb that renews it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from ca import crl, keystore
from ca.models import Certificate, Issuer, RevocationList
from core import audit, leases
from core.models import Operator

SIGN_LIST = "ca.sign_list"


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
        audit.record(
            by=by,
            at=at,
            action="ca.list.signed",
            subject=issuer.name,
            detail={"number": prepared.number, "entries": len(prepared.revoked)},
        )
