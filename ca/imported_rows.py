"""Rows of what was signed elsewhere: old certificates hold what new ones must not.

Their subjects may be in an alphabet that cannot be parsed, their extensions broken, or they have
none at all; each still becomes a row that is listed, found and revoked like the others.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.db import transaction

from ca import keys, legacy, names, profiles
from ca.legacy import rawnames
from ca.legacy.files import Found
from ca.models import Ceremony, Certificate, Imported, Issuer, search_text
from core import leases


def imported_row(upload: uuid.UUID, place: int, found: Found) -> Imported:
    """A line of the report, not saved yet; what is left out keeps nothing of its file."""
    row = Imported(
        upload=upload,
        position=place,
        source=_plain(found.source, 200),
        verdict=found.verdict,
        code=found.code,
        detail={**found.detail, "also": list(found.also)},
        serial=found.serial,
        subject=found.subject,
    )
    if found.certificate is not None:
        row.not_after = found.certificate.not_valid_after_utc
        if found.verdict in Imported.ACCEPTED:
            row.der = found.certificate.public_bytes(Encoding.DER)
    if found.entry is not None:
        row.revoked_at = found.entry.revoked_at
        row.revocation_reason = found.entry.reason
    return row


def certificate_row(
    issuer: Issuer, certificate: x509.Certificate, *, profile: str, at: datetime
) -> Certificate:
    """A certificate's row, not saved yet."""
    subject = rawnames.readable(certificate)
    common = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    listed = legacy.alternative_names(certificate) or _host_names(common)
    shown = [names.Name("dns", text).shown() for text in listed if "xn--" in text]
    text = rawnames.text(subject)
    public_key = certificate.public_key()
    return Certificate(
        issuer=issuer,
        profile=profile,
        serial=f"{certificate.serial_number:x}",
        subject=text,
        names=listed,
        key_id=keys.key_id(public_key),
        key_label=keys.label(public_key)[:20],
        fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        fingerprint_sha1=certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=certificate.not_valid_before_utc,
        imported_at=at,
        pem=certificate.public_bytes(Encoding.PEM).decode(),
        search=search_text([_plain(each, 400) for each in (*listed, *shown, *common, text)]),
    )


def _host_names(common: list[str]) -> list[str]:
    """Of old, the common name alone said which host it is for: the next one has to name it."""
    for text in common:
        try:
            return [names.parse(text).value]
        except names.BadName:
            continue
    return []


def store_chunk(ceremony: Ceremony, root: Issuer, *, at: datetime, now: datetime, size: int) -> int:
    """Make certificates of the next `size` lines, and keep the lease; how many lines there were.

    Raises `core.leases.LeaseLost` when another signer has taken over; nothing is stored then.
    """
    lines = list(Imported.objects.of(ceremony).to_store()[:size])
    if not lines:
        return 0
    rows = [_row(line, root, at) for line in lines]
    here = Certificate.objects.filter(
        fingerprint_sha256__in=[row.fingerprint_sha256 for row in rows]
    )
    known = set(here.values_list("fingerprint_sha256", flat=True))
    new = [row for row in rows if row.fingerprint_sha256 not in known]
    stored = Imported.objects.filter(pk__in=[line.pk for line in lines])
    again = [
        line.pk for line, row in zip(lines, rows, strict=True) if row.fingerprint_sha256 in known
    ]
    with transaction.atomic():
        leases.save(ceremony, lease_until=now + timedelta(seconds=leases.SECONDS))
        Certificate.objects.bulk_create(new)
        stored.update(der=b"")
        if again:
            left = {"verdict": Imported.LEFT, "code": "left_stored", "detail": {}}
            stored.filter(pk__in=again).update(**left)
    return len(lines)


def certificate_ids(ceremony: Ceremony, lines: Iterable[Imported]) -> dict[str, int]:
    """Which certificates the lines of a report became, by serial number."""
    if ceremony.root_id is None:
        return {}
    rows = Certificate.objects.filter(
        issuer_id=ceremony.root_id, serial__in=[line.serial for line in lines if line.serial]
    )
    return dict(rows.values_list("serial", "pk"))


def _row(line: Imported, root: Issuer, at: datetime) -> Certificate:
    certificate = x509.load_der_x509_certificate(bytes(line.der))
    row = certificate_row(root, certificate, profile=_profile(certificate, root), at=at)
    for field, value in _revocation(line).items():
        setattr(row, field, value)
    return row


def _profile(certificate: x509.Certificate, root: Issuer) -> str:
    if keys.key_id(certificate.public_key()) == root.key_id:
        return profiles.ROOT.id
    nearest = legacy.profile_of(certificate)
    known = {*profiles.PROFILES, *profiles.AUTHORITY_PROFILES}
    return nearest if nearest in known else profiles.HOST.id


def _revocation(line: Imported) -> dict[str, Any]:
    if line.revoked_at is None:
        return {}
    held = line.revocation_reason == "certificateHold"
    return {
        "state": Certificate.HELD if held else Certificate.REVOKED,
        "revoked_at": line.revoked_at,
        "revocation_reason": line.revocation_reason,
    }


def _plain(text: str, most: int) -> str:
    """What a database can hold and a page can show: no control characters."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)[
        :most
    ]
