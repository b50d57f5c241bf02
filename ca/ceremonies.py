"""Ceremonies: what the signer does with an authority's key, from the request to its end.

    ceremony = request(Ceremony.LIST, root=root, passphrase="…", by=me, at=now)
    make(ceremony=claimed, at=now, clock=timezone.now)       # in the signer
    ceremony.state                                           # "done", or "refused": try_again(…)

Each kind has its carrier, registered by the module that knows it:

    @carrier(Ceremony.LIST, steps=("open", "lists"))
    def carry_out(ceremony: Ceremony, passphrase: str, at: datetime, clock: Clock) -> None: …

A carrier works outside a transaction, calls `done` after each step, and ends with one transaction
that stores everything and calls `finish`; a signer killed before that leaves nothing behind, and
its successor begins anew. What it raises as `NotMade` ends the ceremony as refused.

The passphrase (and the material of an import) goes into the row sealed to the signer, is opened
there, and is erased when the ceremony ends, whichever way.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.views.decorators.debug import sensitive_variables

from ca import keystore, passphrases, slowdown, states
from ca.models import Ceremony, Issuer
from ca.rehearsal import NotMade, PassphraseRefused
from core import audit, leases, seal
from core.models import Operator
from core.nudge import nudge

MAKE_AUTHORITY = "ca.make_authority"
# A passphrase the signer did not come to is erased: the row must not keep it for ever.
PASSPHRASE_LIVES = timedelta(hours=1)
MOST_CLAIMS = 5
# How many of a root's ceremonies are looked at for wrong passphrases.
LOOKED_AT = 100

Clock = Callable[[], datetime]
CarryOut = Callable[[Ceremony, str, datetime, Clock], None]


class NotRefused(NotMade):
    status = 409


@dataclass(frozen=True)
class Carrier:
    """`steps` are the codes the page shows in order. `retriable`: a refused one can be tried
    again with nothing but the passphrase; `chosen`: that passphrase is a new one, under which a
    key will be sealed, and has to meet the rules."""

    carry_out: CarryOut
    steps: tuple[str, ...]
    retriable: bool = True
    chosen: bool = False


CARRIERS: dict[str, Carrier] = {}


def carrier(
    kind: str, *, steps: tuple[str, ...], retriable: bool = True, chosen: bool = False
) -> Callable[[CarryOut], CarryOut]:
    def register(carry_out: CarryOut) -> CarryOut:
        CARRIERS[kind] = Carrier(carry_out, steps, retriable, chosen)
        return carry_out

    return register


def needs_passphrase(ceremony: Ceremony) -> bool:
    if CARRIERS[ceremony.kind].chosen:
        return True
    return ceremony.root is not None and ceremony.root.key_kept == Issuer.UNDER_PASSPHRASE


def steps_of(ceremony: Ceremony) -> tuple[str, ...]:
    """The steps this one takes: a key that is at hand is not opened."""
    steps = CARRIERS[ceremony.kind].steps
    if ceremony.root is not None and ceremony.root.key_kept in Issuer.AT_HAND:
        steps = tuple(step for step in steps if step != "open")
    return steps


@sensitive_variables("passphrase", "material")
def request(
    kind: str,
    *,
    wish: Mapping[str, Any] | None = None,
    root: Issuer | None = None,
    passphrase: str = "",
    material: bytes = b"",
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    """Ask for a ceremony. `root` is the issuer whose key signs; `wish` is kept as JSON."""
    ceremony = Ceremony(
        uuid=uuid.uuid4(),
        kind=kind,
        wish=dict(wish or {}),
        root=root,
        requested_by=by,
        requested_at=at,
        changed_at=at,
    )
    if passphrase and root is not None:
        not_too_often(root, at)
    if passphrase:
        ceremony.passphrase_sealed = _sealed(passphrase.encode(), ceremony.context)
    if material:
        ceremony.material_sealed = _sealed(material, _material_context(ceremony))
    with transaction.atomic():
        ceremony.save(force_insert=True)
        _record_request(ceremony, by, at)
    return ceremony


@sensitive_variables("passphrase")
def try_again(
    *, ceremony: Ceremony, passphrase: str = "", by: Operator | None, at: datetime
) -> Ceremony:
    """The same wish with the passphrase typed anew: refused → requested."""
    kind = CARRIERS[ceremony.kind]
    if not states.may_go(states.CEREMONY, ceremony.state, Ceremony.REQUESTED):
        raise NotRefused("not_refused")
    if not kind.retriable:
        raise NotRefused("not_retriable")
    needed = needs_passphrase(ceremony)
    if needed and not passphrase:
        raise NotMade("passphrase_missing", field="passphrase")
    if kind.chosen:
        broken = passphrases.problems(passphrase, known=[ceremony.title])
        if broken:
            raise PassphraseRefused(broken)
    elif needed and ceremony.root is not None:
        not_too_often(ceremony.root, at)
    sealed = _sealed(passphrase.encode(), ceremony.context) if needed else b""
    with transaction.atomic():
        moved = Ceremony.objects.filter(pk=ceremony.pk, state=Ceremony.REFUSED).update(
            state=Ceremony.REQUESTED,
            passphrase_sealed=sealed,
            steps=[],
            reason_code="",
            reason_detail=_kept(ceremony),
            requested_by=by,
            requested_at=at,
            changed_at=at,
            first_fence=ceremony.fence,
        )
        ceremony.refresh_from_db()
        if not moved:
            raise NotRefused("not_refused")
        _record_request(ceremony, by, at)
    return ceremony


def make(*, ceremony: Ceremony, at: datetime, clock: Clock) -> None:
    """Carry a claimed ceremony out, in the signer. `clock` renews the lease between the steps.

    Raises `core.leases.LeaseLost` when another signer has taken over; nothing is stored then.
    """
    secret = bool(ceremony.passphrase_sealed or ceremony.material_sealed)
    try:
        if ceremony.fence - ceremony.first_fence > MOST_CLAIMS:
            raise NotMade("signer_failed")
        if secret and at - ceremony.requested_at > PASSPHRASE_LIVES:
            raise NotMade("passphrase_expired")
        leases.save(ceremony, state=Ceremony.WORKING, steps=[], changed_at=at)
        CARRIERS[ceremony.kind].carry_out(ceremony, _passphrase(ceremony), at, clock)
    except NotMade as refusal:
        _refuse(ceremony, refusal.code, refusal.detail, at)
    except keystore.KeyUnusable as error:
        detail = {"issuer": ceremony.root.name if ceremony.root else ceremony.title}
        _refuse(ceremony, error.code, {**detail, **error.detail}, at)
    except seal.SealBroken:
        _refuse(ceremony, "passphrase_lost", {}, at)
    except IntegrityError:
        part = ceremony.wish.get("issuing") or ceremony.wish.get("root") or {}
        _refuse(ceremony, "name_taken", {"value": part.get("name", "")}, at)


def done(ceremony: Ceremony, step: str, clock: Clock) -> None:
    """Note a step for the page, and keep the lease."""
    leases.save(
        ceremony,
        steps=[*ceremony.steps, step],
        lease_until=clock() + timedelta(seconds=leases.SECONDS),
    )


def finish(
    ceremony: Ceremony, *, root: Issuer | None = None, made: Issuer | None = None, at: datetime
) -> None:
    """The end, in the transaction that stores what was made."""
    leases.release(
        ceremony,
        state=Ceremony.DONE,
        root=root,
        made=made,
        passphrase_sealed=b"",
        material_sealed=b"",
        changed_at=at,
    )


def material(ceremony: Ceremony) -> bytes:
    """What was sealed with the request beside the passphrase; only the signer can open it."""
    if not ceremony.material_sealed:
        return b""
    return seal.open_as_signer(ceremony.material_sealed, context=_material_context(ceremony))


@sensitive_variables("passphrase")
def needed_passphrase(issuer: Issuer, passphrase: str) -> str:
    """The passphrase where the issuer's key needs one, "" where it does not."""
    if issuer.key_kept != Issuer.UNDER_PASSPHRASE:
        return ""
    if not passphrase:
        raise NotMade("passphrase_missing", field="passphrase")
    return passphrase


def not_too_often(root: Issuer, at: datetime) -> None:
    """Refuse when the wrong passphrase was given for this root too often of late."""
    used = (
        Ceremony.objects.filter(root=root, state=Ceremony.DONE)
        .order_by("-changed_at")
        .values_list("changed_at", flat=True)
        .first()
    )
    details = (
        Ceremony.objects.filter(root=root)
        .order_by("-changed_at")
        .values_list("reason_detail", flat=True)[:LOOKED_AT]
    )
    wrong = [datetime.fromisoformat(text) for each in details for text in each.get("wrong_at", ())]
    until = slowdown.blocked_until([each for each in wrong if used is None or each > used])
    if until is not None and at < until:
        minutes = -(-int((until - at).total_seconds()) // 60)
        raise NotMade(
            "slowed_down",
            field="passphrase",
            root=root.name,
            until=f"{until:%H:%M} UTC",
            minutes=max(1, minutes),
        )


@sensitive_variables("content")
def _sealed(content: bytes, context: str) -> bytes:
    return seal.seal_for_signer(content, context=context)


def _material_context(ceremony: Ceremony) -> str:
    return f"{ceremony.context} material"


def _passphrase(ceremony: Ceremony) -> str:
    if not ceremony.passphrase_sealed:
        return ""
    return seal.open_as_signer(ceremony.passphrase_sealed, context=ceremony.context).decode()


def _kept(ceremony: Ceremony) -> dict[str, Any]:
    """The times of wrong passphrases stay with the row when it is tried again."""
    wrong = ceremony.reason_detail.get("wrong_at")
    return {"wrong_at": wrong} if wrong else {}


def _record_request(ceremony: Ceremony, by: Operator | None, at: datetime) -> None:
    audit.record(
        by=by,
        at=at,
        action="ca.ceremony.requested",
        subject=ceremony.title,
        detail={
            "ceremony": ceremony.pk,
            "kind": ceremony.kind,
            # a request of up to 64 KiB says nothing that its certificate does not
            "wish": {key: value for key, value in ceremony.wish.items() if key != "csr"},
        },
    )
    nudge(MAKE_AUTHORITY, ceremony.pk)


def _refuse(ceremony: Ceremony, code: str, detail: dict[str, Any], at: datetime) -> None:
    kept = _kept(ceremony)
    if code == "wrong_passphrase":
        kept = {"wrong_at": [*kept.get("wrong_at", ()), at.isoformat()]}
    with transaction.atomic():
        leases.release(
            ceremony,
            state=Ceremony.REFUSED,
            reason_code=code,
            reason_detail={**detail, **kept},
            passphrase_sealed=b"",
            material_sealed=b"",
            changed_at=at,
        )
        audit.record(
            by=ceremony.requested_by,
            at=at,
            action="ca.ceremony.refused",
            subject=ceremony.title,
            detail={"ceremony": ceremony.pk, "reason": code, **detail},
        )
