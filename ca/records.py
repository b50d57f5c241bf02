"""Rows of what was signed.

certificate = store(issuer=issuer, certificate=signed, profile="host", at=now)
insert([fields(…), fields(…)])             # many in one statement, as `bulk_create` would
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.db import connection
from django.db.models import CharField, TextField

from ca import keys, names
from ca.models import Certificate, Issuer, search_text

# Rows in one statement: SQLite keeps what a statement with triggers changes until it ends, for
# each page once. The columns of so many rows stay below its 999 parameters of old.
_AT_ONCE = 36


def store(
    *,
    issuer: Issuer,
    certificate: x509.Certificate,
    profile: str,
    at: datetime,
    renews: Certificate | None = None,
) -> Certificate:
    """Insert a certificate's row. The caller's transaction also moves what it belongs to."""
    found = fields(issuer=issuer, certificate=certificate, profile=profile, at=at)
    return Certificate.objects.create(**found, renews=renews)


def fields(
    *,
    issuer: Issuer,
    certificate: x509.Certificate,
    profile: str,
    at: datetime,
    listed: Sequence[str] | None = None,
    key_id: str = "",
    key_label: str = "",
) -> dict[str, Any]:
    """A row's fields. What the caller knows of the certificate need not be read again: `listed`
    are its subject alternative names."""
    if listed is None:
        listed = _alternative_names(certificate)
    subject = certificate.subject
    der = certificate.public_bytes(Encoding.DER)
    return {
        "issuer": issuer,
        "profile": profile,
        "serial": f"{certificate.serial_number:x}",
        "subject": subject.rfc4514_string()[:400],
        "names": list(listed),
        "key_id": key_id or keys.key_id(certificate.public_key()),
        "key_label": key_label or keys.label(certificate.public_key()),
        "fingerprint_sha256": hashlib.sha256(der).hexdigest(),
        "fingerprint_sha1": hashlib.sha1(der, usedforsecurity=False).hexdigest(),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "issued_at": at,
        "pem": certificate.public_bytes(Encoding.PEM).decode(),
        "search": search_text([*listed, *_shown(listed), *_values(subject)]),
    }


def insert(rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows of `fields`, in order. All have the same fields; the others are at their
    defaults. A model instance and a compiled statement for each would cost more than signing."""
    if not rows:
        return
    given = rows[0].keys()
    template = Certificate()
    columns: list[str] = []
    prepared: list[list[Any]] = []
    for field in Certificate._meta.concrete_fields:
        if field.primary_key:
            continue
        columns.append(connection.ops.quote_name(field.column))
        if field.name not in given:
            value = field.get_db_prep_save(getattr(template, field.attname), connection)
            prepared.append([value] * len(rows))
        elif field.is_relation:
            prepared.append([row[field.name].pk for row in rows])
        elif isinstance(field, CharField | TextField):
            prepared.append([row[field.name] for row in rows])  # text goes in as it is
        else:
            # Dates, profiles and the like are the same in most rows.
            save, last, ready = field.get_db_prep_save, object(), None
            values = []
            for row in rows:
                value = row[field.name]
                if value is not last:
                    last, ready = value, save(value, connection)
                values.append(ready)
            prepared.append(values)
    table = connection.ops.quote_name(Certificate._meta.db_table)
    marks = f"({', '.join(['%s'] * len(columns))})"
    into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608
    ready_rows = list(zip(*prepared, strict=True))
    with connection.cursor() as cursor:
        for start in range(0, len(rows), _AT_ONCE):
            some = ready_rows[start : start + _AT_ONCE]
            cursor.execute(into + ", ".join([marks] * len(some)), list(chain(*some)))


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(general.value) for general in san]


def _shown(listed: Sequence[str]) -> list[str]:
    """International names as people read them."""
    return [names.Name("dns", text).shown() for text in listed if "xn--" in text]


def _values(subject: x509.Name) -> list[str]:
    """The subject's own texts, the common name first: "O=" is nothing to look for."""
    found = sorted(subject, key=lambda attribute: attribute.oid != NameOID.COMMON_NAME)
    return [str(attribute.value) for attribute in found]
