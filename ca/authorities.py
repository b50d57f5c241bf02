"""The verbs that make authorities. Each is a ceremony: one use of a root's passphrase.

    ceremony = request_hierarchy(wish=wish, passphrase="…", by=me, at=now)
    ceremony.refresh_from_db(); ceremony.state    # "done": ceremony.root, ceremony.made
                                                  # "refused": ceremony.reason, then try_again(…)

The passphrase goes into the row sealed to the signer, is opened there, and is erased when the
ceremony ends, whichever way. Everything that was made is stored in one transaction at the end, so
that a signer killed in the middle leaves nothing behind and its successor begins anew.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from django.db import IntegrityError, transaction
from django.views.decorators.debug import sensitive_variables

from ca import crl, keystore, passphrases, profiles, states
from ca.models import Ceremony, Issuer, RevocationList
from ca.records import store
from ca.rehearsal import (
    NotMade,
    PassphraseRefused,
    checked,
    linted_issuing,
    linted_root,
    usable_root,
)
from ca.revocation import caught_up, list_fields, prepare_list
from ca.wishes import AuthorityWish, Wish
from core import audit, leases, seal
from core.models import Operator
from core.nudge import nudge

__all__ = [
    "NotMade",
    "NotRefused",
    "PassphraseRefused",
    "make",
    "request_hierarchy",
    "request_issuing",
    "request_list",
    "try_again",
]

MAKE_AUTHORITY = "ca.make_authority"
# A passphrase the signer did not come to is erased: the row must not keep it for ever.
PASSPHRASE_LIVES = timedelta(hours=1)
MOST_CLAIMS = 5
PUBLIC_ID_DIGITS = 16

Clock = Callable[[], datetime]

# What a ceremony does, in order: the page shows it as it happens.
STEPS: dict[str, tuple[str, ...]] = {
    Ceremony.HIERARCHY: ("root_key", "seal", "root", "issuing_key", "issuing", "lists"),
    Ceremony.ISSUING: ("open", "issuing_key", "issuing", "lists"),
    Ceremony.LIST: ("open", "lists"),
}


class NotRefused(NotMade):
    status = 409


@sensitive_variables("passphrase")
def request_hierarchy(
    *, wish: Wish, unconstrained: bool = False, passphrase: str, by: Operator | None, at: datetime
) -> Ceremony:
    """Ask for a root under `passphrase`, and an issuing authority under the root."""
    root, issuing = wish.root, wish.issuing
    if root is None or issuing is None:
        raise ValueError("a hierarchy has a root and an issuing authority")
    wish = checked(wish, unconstrained=unconstrained, under=None, at=at)
    known = (root.name, root.organisation, issuing.name, *wish.permitted)
    broken = passphrases.problems(passphrase, known=known)
    if broken:
        raise PassphraseRefused(broken)
    return _request(Ceremony.HIERARCHY, wish, root=None, passphrase=passphrase, by=by, at=at)


@sensitive_variables("passphrase")
def request_issuing(
    *,
    under: Issuer,
    wish: Wish,
    unconstrained: bool = False,
    passphrase: str,
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    """Ask for another issuing authority under a root; `passphrase` opens the root."""
    if wish.root is not None or wish.issuing is None:
        raise ValueError("only an issuing authority is wished for here")
    wish = checked(wish, unconstrained=unconstrained, under=under, at=at)
    return _request(Ceremony.ISSUING, wish, root=under, passphrase=passphrase, by=by, at=at)


@sensitive_variables("passphrase")
def request_list(*, root: Issuer, passphrase: str, by: Operator | None, at: datetime) -> Ceremony:
    """Ask for a root's next revocation list: only the passphrase can sign it."""
    usable_root(root, at)
    return _request(Ceremony.LIST, Wish(), root=root, passphrase=passphrase, by=by, at=at)


@sensitive_variables("passphrase")
def try_again(
    *, ceremony: Ceremony, passphrase: str, by: Operator | None, at: datetime
) -> Ceremony:
    """The same wish with the passphrase typed anew: refused → requested."""
    if not states.may_go(states.CEREMONY, ceremony.state, Ceremony.REQUESTED):
        raise NotRefused("not_refused")
    if ceremony.kind == Ceremony.HIERARCHY:
        wish = Wish.from_json(ceremony.wish)
        broken = passphrases.problems(passphrase, known=[wish.root.name] if wish.root else [])
        if broken:
            raise PassphraseRefused(broken)
    sealed = seal.seal_for_signer(passphrase.encode(), context=ceremony.context)
    with transaction.atomic():
        moved = Ceremony.objects.filter(pk=ceremony.pk, state=Ceremony.REFUSED).update(
            state=Ceremony.REQUESTED,
            passphrase_sealed=sealed,
            steps=[],
            reason_code="",
            reason_detail={},
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


@sensitive_variables("passphrase")
def _request(
    kind: str,
    wish: Wish,
    *,
    root: Issuer | None,
    passphrase: str,
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    ceremony = Ceremony(
        uuid=uuid.uuid4(),
        kind=kind,
        wish=wish.to_json(),
        root=root,
        requested_by=by,
        requested_at=at,
        changed_at=at,
    )
    ceremony.passphrase_sealed = seal.seal_for_signer(passphrase.encode(), context=ceremony.context)
    with transaction.atomic():
        ceremony.save(force_insert=True)
        _record_request(ceremony, by, at)
    return ceremony


def _record_request(ceremony: Ceremony, by: Operator | None, at: datetime) -> None:
    audit.record(
        by=by,
        at=at,
        action="ca.ceremony.requested",
        subject=ceremony.title,
        detail={"ceremony": ceremony.pk, "kind": ceremony.kind, "wish": ceremony.wish},
    )
    nudge(MAKE_AUTHORITY, ceremony.pk)


def new_issuer(
    key: keystore.SigningKey,
    wish: AuthorityWish,
    *,
    sealed: bytes,
    parent: Issuer | None,
    permitted: tuple[str, ...],
    origin: str,
    at: datetime,
) -> Issuer:
    """An issuer's row, not saved yet."""
    return Issuer(
        name=wish.name,
        parent=parent,
        algorithm=wish.algorithm,
        key_id=key.key_id,
        public_id=key.key_id[:PUBLIC_ID_DIGITS],
        key_kept=Issuer.UNDER_PASSPHRASE if parent is None else Issuer.UNDER_RING,
        key_sealed=sealed,
        permitted=list(permitted),
        origin=origin,
        created_at=at,
    )


def make(*, ceremony: Ceremony, at: datetime, clock: Clock) -> None:
    """Carry a claimed ceremony out, in the signer. `clock` renews the lease between the steps.

    Raises `core.leases.LeaseLost` when another signer has taken over; nothing is stored then.
    """
    try:
        if ceremony.fence - ceremony.first_fence > MOST_CLAIMS:
            raise NotMade("signer_failed")
        if at - ceremony.requested_at > PASSPHRASE_LIVES:
            raise NotMade("passphrase_expired")
        leases.save(ceremony, state=Ceremony.WORKING, steps=[], changed_at=at)
        _carry_out(ceremony, at, clock)
    except NotMade as refusal:
        _refuse(ceremony, refusal.code, refusal.detail, at)
    except seal.SealBroken:
        _refuse(ceremony, "passphrase_lost", {}, at)
    except IntegrityError:
        name = (ceremony.wish.get("issuing") or {}).get("name", "")
        _refuse(ceremony, "name_taken", {"value": name}, at)


@sensitive_variables("passphrase")
def _carry_out(ceremony: Ceremony, at: datetime, clock: Clock) -> None:
    passphrase = seal.open_as_signer(ceremony.passphrase_sealed, context=ceremony.context).decode()
    wish = Wish.from_json(ceremony.wish)
    root, key, above = _root(ceremony, wish, passphrase, at, clock)
    made, key_below, below = None, None, None
    if wish.issuing is not None:
        key_below = keystore.generate(wish.issuing.algorithm)
        _done(ceremony, "issuing_key", clock)
        linted = linted_issuing(wish, key_below, above, root.addresses, at)
        below = key.issue(linted)
        made = new_issuer(
            key_below,
            wish.issuing,
            sealed=keystore.seal_with_ring(key_below),
            parent=root,
            permitted=wish.permitted,
            origin=wish.origin,
            at=at,
        )
        _done(ceremony, "issuing", clock)
    lists = [_signed_list(root, above, key, crl.ROOT_DAYS, at)]
    if made is not None and key_below is not None and below is not None:
        lists.append(_signed_list(made, below, key_below, crl.DAYS, at))
    _done(ceremony, "lists", clock)
    with transaction.atomic():
        if root.pk is None:
            _insert(root, above, profiles.ROOT.id, ceremony, at)
        if made is not None and below is not None:
            _insert(made, below, profiles.SUBORDINATE.id, ceremony, at)
        for issuer, before, fields in lists:
            RevocationList.objects.update_or_create(issuer=issuer, defaults=fields)
            if before is not None:
                caught_up(before)
            detail = {"number": fields["number"], "entries": fields["entries"]}
            audit.record(
                by=ceremony.requested_by,
                at=at,
                action="ca.list.signed",
                subject=issuer.name,
                detail=detail,
            )
        leases.release(
            ceremony,
            state=Ceremony.DONE,
            root=root,
            made=made,
            passphrase_sealed=b"",
            changed_at=clock(),
        )


@sensitive_variables("passphrase")
def _root(
    ceremony: Ceremony, wish: Wish, passphrase: str, at: datetime, clock: Clock
) -> tuple[Issuer, keystore.SigningKey, x509.Certificate]:
    """The root's row, its opened key and its certificate: made now, or opened."""
    if ceremony.root is not None:
        root = ceremony.root
        usable_root(root, at)
        try:
            key = keystore.open_with_passphrase(root.key_sealed, passphrase, identity=root.identity)
        except keystore.WrongPassphrase:
            raise NotMade("wrong_passphrase", root=root.name) from None
        except keystore.KeyUnusable:
            raise NotMade("root_key_unusable", root=root.name) from None
        if key.key_id != root.key_id:
            raise NotMade("root_key_unusable", root=root.name)
        _done(ceremony, "open", clock)
        return root, key, root.parsed
    if wish.root is None:
        raise NotMade("root_unknown")
    key = keystore.generate(wish.root.algorithm)
    _done(ceremony, "root_key", clock)
    root = new_issuer(
        key, wish.root, sealed=b"", parent=None, permitted=(), origin=wish.origin, at=at
    )
    root.key_sealed = keystore.seal_with_passphrase(key, passphrase, identity=root.identity)
    _done(ceremony, "seal", clock)
    certificate = key.issue(linted_root(wish.root, key, at))
    _done(ceremony, "root", clock)
    return root, key, certificate


def _done(ceremony: Ceremony, step: str, clock: Clock) -> None:
    """Note a step for the page, and keep the lease."""
    leases.save(
        ceremony,
        steps=[*ceremony.steps, step],
        lease_until=clock() + timedelta(seconds=leases.SECONDS),
    )


def _signed_list(
    issuer: Issuer, certificate: x509.Certificate, key: keystore.SigningKey, days: int, at: datetime
) -> tuple[Issuer, RevocationList | None, dict[str, Any]]:
    before = RevocationList.objects.filter(issuer=issuer).first() if issuer.pk else None
    prepared = prepare_list(
        issuer=issuer,
        certificate=certificate,
        number=before.number + 1 if before else 1,
        at=at,
        days=days,
    )
    return issuer, before, list_fields(prepared, key.issue_list(prepared))


def _insert(
    issuer: Issuer, signed: x509.Certificate, profile: str, ceremony: Ceremony, at: datetime
) -> None:
    issuer.save(force_insert=True)
    certificate = store(issuer=issuer.parent or issuer, certificate=signed, profile=profile, at=at)
    issuer.certificate = certificate
    issuer.save(update_fields=["certificate"])
    audit.record(
        by=ceremony.requested_by,
        at=at,
        action="ca.authority.made",
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


def _refuse(ceremony: Ceremony, code: str, detail: dict[str, Any], at: datetime) -> None:
    with transaction.atomic():
        leases.release(
            ceremony,
            state=Ceremony.REFUSED,
            reason_code=code,
            reason_detail=detail,
            passphrase_sealed=b"",
            changed_at=at,
        )
        audit.record(
            by=ceremony.requested_by,
            at=at,
            action="ca.ceremony.refused",
            subject=ceremony.title,
            detail={"ceremony": ceremony.pk, "reason": code, **detail},
        )
