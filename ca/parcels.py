"""A key that the signer makes: asked for, made, packed under the asker's passphrase, handed over.

    check_wish(key_algorithm="p256", parcel_form="p12", passphrase="…", known=["anna@…"])
    order.passphrase_sealed = seal_passphrase("…", order.context)
    made = make_key(order=order, at=at)              # in the signer
    content = pack(order=order, made=made, certificate=signed)
    store(order=order, content=content, by=by, at=at)     # with the certificate, in one transaction
    take(order=order, by=me, at=now)                 # the bytes, once; then they are erased

The key is nowhere but in the signer's memory and in the parcel, and nothing here opens a parcel:
the passphrase is wiped when its order ends. What nobody fetches in seven days is erased.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ca import export, keys, packing, passphrases, wording
from ca.models import Order, Parcel
from ca.preparation import IssuanceRefused
from core import audit, roles, seal
from core.errors import Refusal
from core.models import Operator

ERASE_PARCEL = "ca.erase_parcel"
KEPT = timedelta(days=7)
PASSPHRASE_LIVES = timedelta(hours=1)


class KeyRefused(IssuanceRefused):
    """The key that is wished for, its form or its passphrase; `field` is the argument's name."""

    def __init__(self, code: str, *, field: str, **detail: Any) -> None:
        super().__init__(code, **detail)
        self.field = field


class NotTaken(Refusal):
    """There is nothing to hand over (any more)."""

    status = 410

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(wording.sentence(code, detail))
        self.code = code


@dataclass(frozen=True, repr=False)
class Made:
    """A new key, and the passphrase it goes under. It never leaves the process in this shape."""

    key: packing.PrivateKey
    passphrase: bytes


@sensitive_variables("passphrase")
def check_wish(
    *, key_algorithm: str, parcel_form: str, passphrase: str, known: Iterable[str]
) -> None:
    """Raise KeyRefused unless the signer could make such a key and hand it over so."""
    if key_algorithm not in keys.LEAF_ALGORITHMS:
        raise KeyRefused(
            "algorithm_unknown",
            field="key_algorithm",
            value=key_algorithm,
            known=", ".join(keys.LEAF_ALGORITHMS),
        )
    if parcel_form not in packing.FORMS:
        raise KeyRefused(
            "parcel_form_unknown",
            field="parcel_form",
            value=parcel_form,
            known=", ".join(packing.FORMS),
        )
    if not passphrase:
        raise KeyRefused("parcel_passphrase_missing", field="passphrase")
    for code in packing.problems(passphrase, known=known):
        raise KeyRefused(code, field="passphrase")


@sensitive_variables("passphrase")
def seal_passphrase(passphrase: str, context: str) -> bytes:
    return seal.seal_for_signer(passphrases.normal(passphrase).encode(), context=context)


@sensitive_variables()
def make_key(*, order: Order, at: datetime) -> Made:
    """The key of a claimed order, in the signer. Refuses a passphrase that waited too long."""
    if at - order.requested_at > PASSPHRASE_LIVES:
        raise IssuanceRefused("passphrase_expired")
    try:
        passphrase = seal.open_as_signer(order.passphrase_sealed, context=order.context)
    except seal.SealBroken:
        raise IssuanceRefused("passphrase_lost") from None
    key = keys.ALGORITHMS[order.key_algorithm]()
    if not isinstance(key, packing.PrivateKey):
        raise IssuanceRefused("algorithm_unknown", value=order.key_algorithm, known="")
    return Made(key, passphrase)


@sensitive_variables("made")
def pack(*, order: Order, made: Made, certificate: x509.Certificate) -> bytes:
    above = [each for each in order.issuer.path() if each.certificate is not None]
    return packing.pack(
        order.parcel_form,
        key=made.key,
        leaf=certificate,
        chain=[each.parsed for each in above if not each.is_root],
        root=next((each.parsed for each in above if each.is_root), None),
        name=export.common_name(certificate),
        passphrase=made.passphrase,
    )


def store(*, order: Order, content: bytes, by: Operator | None, at: datetime) -> Parcel:
    """Insert the parcel, in the transaction that stores its certificate."""
    parcel = Parcel.objects.create(
        order=order, form=order.parcel_form, content=content, made_at=at, keep_until=at + KEPT
    )
    audit.record(
        by=by,
        at=at,
        action="ca.parcel.made",
        subject=str(order),
        detail={
            "order": order.pk,
            "form": parcel.form,
            "keep_until": parcel.keep_until.isoformat(),
        },
    )
    return parcel


def may_take(order: Order, operator: Operator) -> bool:
    """Who asked for it, and those who may issue another."""
    return order.requested_by_id == operator.pk or roles.may(operator, "ca.issue")


def file_name(order: Order) -> str:
    """`anna-example.test.p12`: letters that every file system and header takes."""
    stem = order.names[0] if order.names else order.subject.get("CN", "")
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem.replace("*", "wildcard")).strip("-.")
    return f"{stem or f'order-{order.pk}'}.{packing.FORMS[order.parcel_form].ending}"


def take(*, order: Order, by: Operator | None, at: datetime) -> bytes:
    """The parcel's bytes, for the one who is first: they are erased in the same transaction.

    Raises NotTaken where there is none, or none any more.
    """
    parcel = Parcel.objects.filter(order=order).first()
    if parcel is None:
        raise NotTaken("parcel_missing")
    # Read before it is emptied: of two at once the update below lets only one pass.
    content = bytes(parcel.content)
    with transaction.atomic():
        won = (
            Parcel.objects.waiting()
            .filter(pk=parcel.pk, keep_until__gt=at)
            .update(content=b"", downloaded_at=at, erased_at=at)
        )
        if won:
            audit.record(
                by=by,
                at=at,
                action="ca.parcel.taken",
                subject=str(order),
                detail={"order": order.pk, "form": parcel.form},
            )
    if not won:
        parcel.refresh_from_db()
        raise NotTaken("parcel_taken" if parcel.downloaded_at else "parcel_overdue")
    return content


def erase(*, parcel: Parcel, by: Operator | None, at: datetime) -> bool:
    """Erase what nobody fetched in time. False: somebody did, or it was erased already."""
    with transaction.atomic():
        erased = (
            Parcel.objects.overdue(at).filter(pk=parcel.pk).update(content=b"", erased_at=at) == 1
        )
        if erased:
            audit.record(
                by=by,
                at=at,
                action="ca.parcel.erased",
                subject=str(parcel.order),
                detail={"order": parcel.order_id, "form": parcel.form},
            )
    return erased
