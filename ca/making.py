"""What ceremonies have in common once they run: opened keys, rows of authorities, their lists.

key = open_key(ceremony, root, passphrase, at, clock)      # or NotMade("wrong_passphrase")
made = new_issuer(key, wish, parent=root, …)               # not saved yet
lists = [signed_list(root, certificate, key, at)]
with transaction.atomic():
    insert(made, signed, profile=…, ceremony=ceremony, at=at)
    for listed in lists:
        store_list(listed, by=…, at=at)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from django.views.decorators.debug import sensitive_variables

from ca import crl, keystore
from ca.ceremonies import Clock, done, not_too_often
from ca.models import Ceremony, Certificate, Issuer, RevocationList
from ca.records import store
from ca.rehearsal import NotMade
from ca.revocation import caught_up, list_fields, prepare_list
from ca.wishes import Wish
from core import audit
from core.models import Operator

PUBLIC_ID_DIGITS = 16


@sensitive_variables("passphrase")
def open_key(
    ceremony: Ceremony, issuer: Issuer, passphrase: str, at: datetime, clock: Clock
) -> keystore.SigningKey:
    """The issuer's key: opened with the passphrase, or the one the signer has at hand."""
    if issuer.key_kept == Issuer.ELSEWHERE:
        raise NotMade("key_elsewhere", root=issuer.name)
    try:
        if issuer.key_kept in Issuer.AT_HAND:
            return keystore.load(issuer.key_sealed, key_id=issuer.key_id, token=issuer.token)
        # Several may have been asked for at once: each is looked at again when its turn comes.
        not_too_often(issuer, at)
        key = keystore.open_with_passphrase(issuer.key_sealed, passphrase, identity=issuer.identity)
    except keystore.WrongPassphrase:
        raise NotMade("wrong_passphrase", root=issuer.name) from None
    except keystore.KeyUnusable as error:
        code = "root_key_unusable" if error.code == "key_unusable" else error.code
        raise NotMade(code, root=issuer.name, **error.detail) from None
    if key.key_id != issuer.key_id:
        raise NotMade("root_key_unusable", root=issuer.name)
    done(ceremony, "open", clock)
    return key


def new_issuer(
    *,
    name: str,
    algorithm: str,
    key_id: str,
    kept: str,
    sealed: bytes = b"",
    parent: Issuer | None,
    permitted: Sequence[str] = (),
    origin: str = "",
    at: datetime,
) -> Issuer:
    """An issuer's row, not saved yet."""
    return Issuer(
        name=name,
        parent=parent,
        algorithm=algorithm,
        key_id=key_id,
        public_id=key_id[:PUBLIC_ID_DIGITS],
        key_kept=kept,
        key_sealed=sealed,
        permitted=list(permitted),
        origin=origin,
        created_at=at,
    )


@contextmanager
def new_key(wish: Wish) -> Iterator[keystore.AtHand]:
    """A new key for the wished authority; when the block fails, nothing stays on a token."""
    if wish.issuing is None:
        raise ValueError("no issuing authority is wished for")
    try:
        made = keystore.generate_at_hand(
            wish.issuing.algorithm, label=wish.issuing.name, on_token=wish.on_token
        )
    except keystore.KeyUnusable as error:
        raise NotMade(error.code, issuer=wish.issuing.name, **error.detail) from None
    try:
        yield made
    except BaseException:
        made.discard()
        raise


def issuer_at_hand(
    made: keystore.AtHand, wish: Wish, *, parent: Issuer | None, at: datetime
) -> Issuer:
    """The row of the authority whose key was made, not saved yet."""
    if wish.issuing is None:
        raise ValueError("no issuing authority is wished for")
    issuer = new_issuer(
        name=wish.issuing.name,
        algorithm=wish.issuing.algorithm,
        key_id=made.key.key_id,
        kept=Issuer.ON_TOKEN if made.token else Issuer.UNDER_RING,
        sealed=made.sealed,
        parent=parent,
        permitted=wish.permitted,
        origin=wish.origin,
        at=at,
    )
    issuer.token = dict(made.token)
    return issuer


def insert(
    issuer: Issuer,
    signed: x509.Certificate,
    *,
    profile: str,
    by: Operator | None,
    at: datetime,
    action: str = "ca.authority.made",
) -> Certificate:
    """Save the issuer and what was signed about it; `issuer.certificate` is the new row."""
    if issuer.pk is None:
        issuer.save(force_insert=True)
    certificate = store(issuer=issuer.parent or issuer, certificate=signed, profile=profile, at=at)
    issuer.certificate = certificate
    issuer.save(update_fields=["certificate"])
    audit.record(
        by=by,
        at=at,
        action=action,
        subject=issuer.name,
        detail={
            "under": issuer.parent.name if issuer.parent else None,
            "key": certificate.key_label,
            "serial": certificate.serial,
            "fingerprint_sha256": certificate.fingerprint_sha256,
            "not_after": certificate.not_after.isoformat(),
            "permitted": issuer.permitted,
        },
    )
    return certificate


@dataclass(frozen=True)
class SignedList:
    issuer: Issuer
    before: RevocationList | None
    fields: dict[str, Any]


def signed_list(
    issuer: Issuer, certificate: x509.Certificate, key: keystore.SigningKey, at: datetime
) -> SignedList:
    """The issuer's next full list. One that needs a passphrase lives long."""
    before = RevocationList.objects.filter(issuer=issuer).first() if issuer.pk else None
    prepared = prepare_list(
        issuer=issuer,
        certificate=certificate,
        number=before.number + 1 if before else 1,
        at=at,
        days=crl.ROOT_DAYS if issuer.key_kept == Issuer.UNDER_PASSPHRASE else crl.DAYS,
    )
    return SignedList(issuer, before, list_fields(prepared, key.issue_list(prepared)))


def store_list(listed: SignedList, *, by: Operator | None, at: datetime) -> None:
    RevocationList.objects.update_or_create(issuer=listed.issuer, defaults=listed.fields)
    if listed.before is not None:
        caught_up(listed.before)
    audit.record(
        by=by,
        at=at,
        action="ca.list.signed",
        subject=listed.issuer.name,
        detail={"number": listed.fields["number"], "entries": listed.fields["entries"]},
    )
