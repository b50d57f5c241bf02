"""OCSP responders: a short-lived key for each issuer, which the signer makes and the web process
answers with (RFC 6960 section 4.2.2.2, a delegated responder).

    renew(responder=claimed, by=None, at=now)        # in the signer: a new key and certificate
    found, statuses = look_up(public_id, asked, at=now)    # in the web process; or NotReady

The key is sealed under the ring `responder`, the only one the web process holds: who takes that
process over can say wrong things of certificates for as long as the key lives, and sign none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from django.db import connection, transaction
from django.db.models import FilteredRelation, Q

from ca import columns, keystore, lints, ocsp, profiles, template
from ca.models import Certificate, Issuer, Responder
from ca.records import store
from core import audit, leases, seal
from core.models import Operator

RENEW_RESPONDER = "ca.renew_responder"
# RFC 6960 section 4.2.2.2.1: clients do not ask whether a responder's certificate was revoked, so
# it lives shortly; the signer may be away for half of it.
DAYS = profiles.OCSP.days


# --- In the signer ----------------------------------------------------------------------------


def row_of(issuer: Issuer, *, at: datetime) -> Responder:
    """The issuer's row, made the first time: it is due at once."""
    row, _made = Responder.objects.get_or_create(issuer=issuer, defaults={"renew_at": at})
    return row


def renew(*, responder: Responder, by: Operator | None, at: datetime) -> Certificate:
    """Make a new key and sign its certificate; the row is claimed. The old key is forgotten."""
    issuer = responder.issuer
    above = issuer.parsed
    private = ec.generate_private_key(ec.SECP256R1())
    tbs = template.prepare(
        profile=profiles.OCSP,
        names=[],
        public_key=private.public_key(),
        issuer=above,
        days=min(DAYS, template.most_days_under(above, at=at)),
        at=at,
        serial=template.random_serial(above=int(issuer.serial_floor or "0", 16)),
        subject={"CN": _common_name(issuer)},
    )
    linted = lints.require(tbs, issuer=above)
    signed = keystore.load(issuer.key_sealed, key_id=issuer.key_id, token=issuer.token).issue(
        linted
    )
    signed.verify_directly_issued_by(above)
    pkcs8 = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    before = responder.certificate
    with transaction.atomic():
        certificate = store(issuer=issuer, certificate=signed, profile=profiles.OCSP.id, at=at)
        leases.release(
            responder,
            certificate=certificate,
            key_sealed=seal.seal(seal.RESPONDER, pkcs8, context=_context(certificate.key_id)),
            renew_at=certificate.not_before + (certificate.not_after - certificate.not_before) / 2,
        )
        if before is not None:
            Certificate.objects.filter(pk=before.pk, state=Certificate.VALID).update(
                state=Certificate.SUPERSEDED, superseded_by=certificate
            )
        audit.record(
            by=by,
            at=at,
            action="ca.responder.renewed",
            subject=issuer.name,
            detail={
                "serial": certificate.serial,
                "fingerprint_sha256": certificate.fingerprint_sha256,
                "not_after": certificate.not_after.isoformat(),
            },
        )
    return certificate


def _common_name(issuer: Issuer) -> str:
    """ "Example Issuing OCSP", cut to what a CN can hold."""
    end = " OCSP"
    most = template.LONGEST_COMMON_NAME - len(end)
    return issuer.name.encode()[:most].decode(errors="ignore").strip() + end


def _context(key_id: str) -> str:
    return f"responder {key_id}"


# --- In the web process -----------------------------------------------------------------------


class NotReady(Exception):
    """Nobody can answer for this issuer now; `known` says whether somebody soon will."""

    def __init__(self, *, known: bool) -> None:
        super().__init__("no responder" if known else "no such issuer")
        self.known = known


@dataclass(frozen=True)
class Ready:
    """A responder whose key is loaded. `version` changes with the key."""

    version: int
    speaker: ocsp.Responder


# One for each issuer: (the certificate's row, the responder).
_loaded: dict[str, Ready] = {}


def forget() -> None:
    """Drop every loaded key (a test)."""
    _loaded.clear()


def look_up(
    public_id: str, asked: Sequence[ocsp.CertID], *, at: datetime
) -> tuple[Ready, list[ocsp.Status]]:
    """The responder of an issuer, and what is known of each certificate: one query.

    The responder's key is loaded the first time, and again when its row changed. A certificate of
    another issuer, or one that was never issued, is unknown (RFC 6960 section 2.2); one that has
    expired says what was last known of it.
    """
    serials = [f"{each.serial_number:x}" for each in asked]
    with connection.cursor() as cursor:
        cursor.execute(_query(len(serials)), [*serials, public_id])
        rows = cursor.fetchall()
    found = _ready(public_id, rows[0][:2] if rows else (None, ""), at)
    known = {
        serial: ocsp.GOOD
        if revoked_at is None
        else ocsp.Status(revoked_at=columns.moment(revoked_at), reason=_REASONS.get(reason))
        for _version, _state, serial, revoked_at, reason in rows
    }
    return found, [
        known.get(serial, ocsp.UNKNOWN) if found.speaker.answers_for(each) else ocsp.UNKNOWN
        for each, serial in zip(asked, serials, strict=True)
    ]


def _ready(public_id: str, row: tuple[int | None, str], at: datetime) -> Ready:
    version, state = row
    if version is None:
        at_hand = Issuer.objects.by_public_id(public_id).filter(key_kept__in=Issuer.AT_HAND)
        raise NotReady(known=at_hand.exists())
    if state != Certificate.VALID:
        raise NotReady(known=True)
    kept = _loaded.get(public_id)
    if kept is None or kept.version != version:
        kept = _loaded[public_id] = _load(public_id)
    if kept.speaker.certificate.not_valid_after_utc <= at:
        raise NotReady(known=True)
    return kept


def _load(public_id: str) -> Ready:
    row = Responder.objects.select_related("issuer__certificate", "certificate").get(
        issuer__public_id=public_id
    )
    certificate = row.certificate
    if certificate is None:
        raise NotReady(known=True)
    try:
        der = seal.unseal(seal.RESPONDER, row.key_sealed, context=_context(certificate.key_id))
    except (seal.KeyNotHeld, seal.SealBroken) as error:
        raise NotReady(known=True) from error
    key = load_der_private_key(der, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise NotReady(known=True)
    speaker = ocsp.Responder(row.issuer.parsed, certificate.parsed, key)
    return Ready(certificate.pk, speaker)


_REASONS = {flag.value: flag for flag in x509.ReasonFlags}


@cache
def _query(how_many: int) -> str:
    """The statement of `look_up`: its parameters are the serial numbers and the public id.

    Django would put it together anew for each answer, which takes four times as long as all the
    rest of it: it does so once, with values that stand for those to come.
    """
    marks = [f"?{number}" for number in range(how_many)]
    asked = Q(issuer__certificates__serial__in=marks)
    rows = (
        Responder.objects.filter(issuer__public_id="?")
        .annotate(asked=FilteredRelation("issuer__certificates", condition=asked))
        .values_list(
            "certificate_id",
            "certificate__state",
            "asked__serial",
            "asked__revoked_at",
            "asked__revocation_reason",
        )
    )
    statement, parameters = rows.query.sql_with_params()
    if list(parameters) != [*marks, "?"]:
        raise RuntimeError(f"unexpected parameters: {parameters}")
    return str(statement)
