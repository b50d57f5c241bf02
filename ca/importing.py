"""The verbs that take over an authority which was made by hand.

    found = look(certificate=pem, issued=[("certs/a.crt", pem)], at=now)    # stores nothing
    ceremony = request_import(name="Old Root", certificate=pem, key=pem, passphrase="…", by=me,
                              at=now, issued=[…], serial=b"3941")
    again = try_again(ceremony=refused, key=pem, passphrase="…", by=me, at=now)

What is public is checked where it is uploaded: the root, and every certificate's signature by it.
The key and its passphrase go to the signer alone, sealed; it opens the key, compares it with the
certificate, and seals it under the passphrase like any root's. The issued certificates follow in
chunks, so that nobody else waits; a signer killed between two is followed by one that goes on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ca import ceremonies, keys, keystore, legacy, passphrases, wishes
from ca.ceremonies import Clock, NotRefused, carrier, done, finish
from ca.imported_rows import certificate_row, imported_row, store_chunk
from ca.legacy.archive import unpack
from ca.legacy.files import BadImport, Found
from ca.making import new_issuer, signed_list, store_list
from ca.models import Ceremony, Imported, Issuer
from ca.rehearsal import NotMade, PassphraseRefused
from core import audit, leases
from core.models import Operator

File = tuple[str, bytes]

MOST_FILES = 20_000
MOST_BYTES = 64 * 1024 * 1024
CHUNK = 500
LONGEST_NAME = 64


class ImportRefused(NotMade):
    """A file of the upload, or its passphrase, cannot be used. `field` says which."""


@dataclass(frozen=True)
class Looked:
    """What an upload would bring, before anything of it is stored."""

    root: legacy.Root
    floor: str
    found: list[Found]

    @property
    def counts(self) -> dict[str, int]:
        counted = Counter(each.verdict for each in self.found)
        return {verdict: counted[verdict] for verdict, _label in Imported.VERDICTS}


def look(
    *,
    certificate: bytes,
    serial: bytes | None = None,
    issued: Iterable[File] = (),
    at: datetime,
) -> Looked:
    """Read and check everything but the key. Raises `ImportRefused`."""
    try:
        root = legacy.read_root(certificate, at=at)
        floor = legacy.read_serial(serial) if serial else ""
        files = unpack(issued, most_files=MOST_FILES, most_bytes=MOST_BYTES)
        found = legacy.examine(files, root)
    except BadImport as error:
        raise ImportRefused(error.code, field=error.part, **error.detail) from error
    here = Issuer.objects.filter(key_id=keys.key_id(root.public_key)).first()
    if here is not None:
        raise ImportRefused("import_here", field="certificate", name=here.name)
    return Looked(root, floor, found)


@sensitive_variables("key", "passphrase", "new_passphrase", "secret")
def request_import(
    *,
    name: str,
    certificate: bytes,
    key: bytes,
    passphrase: str,
    new_passphrase: str | None = None,
    serial: bytes | None = None,
    issued: Iterable[File] = (),
    origin: str = "",
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    """Ask the signer to take the authority over. `passphrase` opens the key file ("" where it is
    not encrypted); the key is kept under `new_passphrase`, or under the same one where that is
    good enough."""
    try:
        name = _checked_name(name)
        secret = _kept_under(key, passphrase, new_passphrase, name)
        origin = _checked_origin(origin)
        looked = look(certificate=certificate, serial=serial, issued=issued, at=at)
    except ImportRefused as refusal:
        _record_refusal(name, refusal, by=by, at=at)
        raise
    upload = uuid.uuid4()
    wish = {
        "root": {"name": name},
        "upload": str(upload),
        "certificate": looked.root.certificate.public_bytes(Encoding.PEM).decode(),
        "serial_floor": looked.floor,
        "origin": origin,
        "notes": list(looked.root.notes),
        "counts": looked.counts,
    }
    for start in range(0, len(looked.found), CHUNK):
        part = enumerate(looked.found[start : start + CHUNK], start)
        Imported.objects.bulk_create([imported_row(upload, *each) for each in part])
    return _request(wish, None, key, passphrase, secret, by=by, at=at)


@sensitive_variables("key", "passphrase", "new_passphrase", "secret")
def try_again(
    *,
    ceremony: Ceremony,
    key: bytes,
    passphrase: str,
    new_passphrase: str | None = None,
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    """The same upload with the key handed in again: a new ceremony takes the report over."""
    if ceremony.kind != Ceremony.IMPORT:
        raise NotRefused("not_retriable")
    secret = _kept_under(key, passphrase, new_passphrase, ceremony.title)
    with transaction.atomic():
        tried = Ceremony.objects.filter(pk=ceremony.pk, state=Ceremony.REFUSED)
        if "again" in ceremony.wish or not tried.filter(changed_at=ceremony.changed_at).update(
            changed_at=at
        ):
            raise NotRefused("not_refused")
        wish = dict(ceremony.wish)
        again = _request(wish, ceremony.root, key, passphrase, secret, by=by, at=at)
        tried.update(wish={**wish, "again": again.pk})
    ceremony.refresh_from_db()
    return again


@sensitive_variables("key", "passphrase", "secret", "material")
def _request(
    wish: dict[str, Any],
    root: Issuer | None,
    key: bytes,
    passphrase: str,
    secret: str,
    *,
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    material = json.dumps({"key": base64.b64encode(key).decode(), "passphrase": passphrase})
    return ceremonies.request(
        Ceremony.IMPORT,
        wish=wish,
        root=root,
        passphrase=secret,
        material=material.encode(),
        by=by,
        at=at,
    )


def _record_refusal(
    name: str, refusal: ImportRefused, *, by: Operator | None, at: datetime
) -> None:
    """Who tried to bring in what, and why it was not: a forgeable root is worth knowing of."""
    with transaction.atomic():
        audit.record(
            by=by,
            at=at,
            action="ca.import.refused",
            subject=name,
            detail={"reason": refusal.code, "file": refusal.field, **refusal.detail},
        )


def _checked_origin(origin: str) -> str:
    try:
        return wishes.normal_origin(origin)
    except wishes.BadOrigin as error:
        raise ImportRefused(error.code, field="origin", value=error.value) from error


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or not name.isprintable():
        raise ImportRefused("import_name_missing", field="name")
    if len(name) > LONGEST_NAME:
        raise ImportRefused("import_name_long", field="name")
    if Issuer.objects.filter(name=name).exists():
        raise ImportRefused("name_taken", field="name", value=name)
    return name


@sensitive_variables("key", "passphrase", "new_passphrase")
def _kept_under(key: bytes, passphrase: str, new_passphrase: str | None, name: str) -> str:
    """The passphrase the root will be kept under. The key is not opened: its form tells whether
    it needs one."""
    try:
        legacy.check_passphrase(legacy.key_form(key), passphrase)
    except BadImport as error:
        raise ImportRefused(error.code, field=error.part) from error
    if new_passphrase:
        broken = passphrases.problems(new_passphrase, known=[name])
        if broken:
            refusal = PassphraseRefused(broken)
            refusal.field = "new_passphrase"
            raise refusal
        return new_passphrase
    if not passphrase:
        raise ImportRefused("import_passphrase_new", field="new_passphrase")
    broken = passphrases.problems(passphrase, known=[name])
    if broken:
        problem = PassphraseRefused(broken).sentence
        raise ImportRefused("import_passphrase_weak", field="new_passphrase", problem=problem)
    return passphrase


@carrier(
    Ceremony.IMPORT,
    steps=("import_open", "import_seal", "import_store", "import_issued", "lists"),
    retriable=False,
)
@sensitive_variables("passphrase", "key")
def _carry_out(ceremony: Ceremony, passphrase: str, at: datetime, clock: Clock) -> None:
    certificate = x509.load_pem_x509_certificate(ceremony.wish["certificate"].encode())
    key = _opened(ceremony, certificate)
    done(ceremony, "import_open", clock)
    # Set when another signer was killed among the chunks, or an import is tried again after that.
    root = ceremony.root
    if root is None:
        root = _sealed(ceremony, key, passphrase, at)
        done(ceremony, "import_seal", clock)
        _store_root(ceremony, root, certificate, at)
    done(ceremony, "import_store", clock)
    while store_chunk(ceremony, root, at=at, now=clock(), size=CHUNK):
        pass
    done(ceremony, "import_issued", clock)
    # An ended root can sign no list; the one that it gets when it is signed anew is its first.
    ended = certificate.not_valid_after_utc <= at
    listed = None if ended else signed_list(root, certificate, key, at)
    done(ceremony, "lists", clock)
    with transaction.atomic():
        if listed is not None:
            store_list(listed, by=ceremony.requested_by, at=at)
        _record_issued(ceremony, root, at)
        finish(ceremony, root=root, at=clock())


@sensitive_variables("material", "source", "private")
def _opened(ceremony: Ceremony, certificate: x509.Certificate) -> keystore.SigningKey:
    material = json.loads(ceremonies.material(ceremony))
    source = base64.b64decode(material["key"])
    try:
        private = legacy.read_key(source, material["passphrase"])
    except BadImport as error:
        raise NotMade(error.code, field=error.part, **error.detail) from None
    key = keystore.SigningKey(private)
    if key.key_id != keys.key_id(certificate.public_key()):
        raise NotMade("import_key_other", field="key")
    return key


@sensitive_variables("passphrase")
def _sealed(ceremony: Ceremony, key: keystore.SigningKey, passphrase: str, at: datetime) -> Issuer:
    labels = {label: algorithm for algorithm, label in keys.ALGORITHM_LABELS.items()}
    label = keys.label(key.public_key)
    root = new_issuer(
        name=ceremony.title,
        # A size nobody would choose today, such as RSA 2560, goes by its own name.
        algorithm=labels.get(label, label.replace(" ", "").lower()),
        key_id=key.key_id,
        kept=Issuer.UNDER_PASSPHRASE,
        parent=None,
        origin=ceremony.wish["origin"],
        at=at,
    )
    root.key_sealed = keystore.seal_with_passphrase(key, passphrase, identity=root.identity)
    root.imported_at = at
    root.serial_floor = ceremony.wish["serial_floor"]
    return root


def _store_root(
    ceremony: Ceremony, root: Issuer, certificate: x509.Certificate, at: datetime
) -> None:
    with transaction.atomic():
        root.save(force_insert=True)
        row = certificate_row(root, certificate, profile="root", at=at)
        row.save(force_insert=True)
        root.certificate = row
        root.save(update_fields=["certificate"])
        audit.record(
            by=ceremony.requested_by,
            at=at,
            action="ca.authority.imported",
            subject=root.name,
            detail={
                "subject": row.subject,
                "key": row.key_label,
                "serial": row.serial,
                "fingerprint_sha256": row.fingerprint_sha256,
                "not_after": row.not_after.isoformat(),
                "serial_floor": root.serial_floor,
            },
        )
        leases.save(ceremony, root=root)


def _record_issued(ceremony: Ceremony, root: Issuer, at: datetime) -> None:
    """One event for all of them, with the digest of their fingerprints in order."""
    stored = root.certificates.filter(imported_at__isnull=False).exclude(pk=root.certificate_id)
    prints = stored.order_by("pk").values_list("fingerprint_sha256", flat=True)
    digest, count = hashlib.sha256(), 0
    for fingerprint in prints.iterator(chunk_size=10_000):
        digest.update(f"{fingerprint}\n".encode())
        count += 1
    audit.record(
        by=ceremony.requested_by,
        at=at,
        action="ca.certificates.imported",
        subject=root.name,
        detail={"count": count, "list_sha256": digest.hexdigest()},
    )
