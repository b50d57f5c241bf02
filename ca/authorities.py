"""The verbs that make authorities. Each is a ceremony (`ca.ceremonies`): one use of a key.

    ceremony = request_hierarchy(wish=wish, passphrase="…", by=me, at=now)
    ceremony.refresh_from_db(); ceremony.state    # "done": ceremony.root, ceremony.made
                                                  # "refused": ceremony.reason, then try_again(…)

A root's key is opened by its passphrase; an authority between the root and those that issue has its
key with the signer, and no passphrase is asked for there.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ca import keystore, passphrases, profiles
from ca.ceremonies import (
    MAKE_AUTHORITY,
    Clock,
    NotRefused,
    carrier,
    done,
    finish,
    make,
    needed_passphrase,
    request,
    try_again,
)
from ca.making import (
    SignedList,
    insert,
    issuer_at_hand,
    new_issuer,
    new_key,
    open_key,
    signed_list,
    store_list,
)
from ca.models import Ceremony, Issuer
from ca.offline import accept, request_key, request_subordinate
from ca.rehearsal import (
    NotMade,
    PassphraseRefused,
    checked,
    issuing_to_be_signed,
    root_to_be_signed,
    usable_parent,
)
from ca.reissue import request_reissue
from ca.wishes import Wish
from core.models import Operator

__all__ = [
    "MAKE_AUTHORITY",
    "NotMade",
    "NotRefused",
    "PassphraseRefused",
    "accept",
    "make",
    "request_hierarchy",
    "request_issuing",
    "request_key",
    "request_list",
    "request_reissue",
    "request_root",
    "request_subordinate",
    "try_again",
]


@sensitive_variables("passphrase")
def request_hierarchy(
    *, wish: Wish, unconstrained: bool = False, passphrase: str, by: Operator | None, at: datetime
) -> Ceremony:
    """Ask for a root under `passphrase`, and an issuing authority under the root."""
    if wish.root is None or wish.issuing is None:
        raise ValueError("a hierarchy has a root and an issuing authority")
    wish = checked(wish, unconstrained=unconstrained, under=None, at=at)
    _good_passphrase(wish, passphrase)
    return request(Ceremony.HIERARCHY, wish=wish.to_json(), passphrase=passphrase, by=by, at=at)


@sensitive_variables("passphrase")
def request_root(*, wish: Wish, passphrase: str, by: Operator | None, at: datetime) -> Ceremony:
    """Ask for a root alone, under `passphrase`."""
    if wish.root is None or wish.issuing is not None:
        raise ValueError("only a root is wished for here")
    wish = checked(wish, unconstrained=True, under=None, at=at)
    _good_passphrase(wish, passphrase)
    return request(Ceremony.ROOT, wish=wish.to_json(), passphrase=passphrase, by=by, at=at)


@sensitive_variables("passphrase")
def request_issuing(
    *,
    under: Issuer,
    wish: Wish,
    unconstrained: bool = False,
    passphrase: str = "",
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    """Ask for another authority under one that exists; `passphrase` opens the one above, where
    that is a root."""
    if wish.root is not None or wish.issuing is None:
        raise ValueError("only an issuing authority is wished for here")
    wish = checked(wish, unconstrained=unconstrained, under=under, at=at)
    secret = needed_passphrase(under, passphrase)
    return request(
        Ceremony.ISSUING, wish=wish.to_json(), root=under, passphrase=secret, by=by, at=at
    )


@sensitive_variables("passphrase")
def request_list(*, root: Issuer, passphrase: str, by: Operator | None, at: datetime) -> Ceremony:
    """Ask for a root's next revocation list: only the passphrase can sign it."""
    usable_parent(root, at)
    secret = needed_passphrase(root, passphrase)
    return request(Ceremony.LIST, wish=Wish().to_json(), root=root, passphrase=secret, by=by, at=at)


@sensitive_variables("passphrase")
def _good_passphrase(wish: Wish, passphrase: str) -> None:
    parts = [part for part in (wish.root, wish.issuing) if part is not None]
    known = [text for part in parts for text in (part.name, part.organisation)]
    broken = passphrases.problems(passphrase, known=[*known, *wish.permitted])
    if broken:
        raise PassphraseRefused(broken)


@carrier(Ceremony.ROOT, steps=("root_key", "seal", "root", "lists"), chosen=True)
@carrier(
    Ceremony.HIERARCHY,
    steps=("root_key", "seal", "root", "issuing_key", "issuing", "lists"),
    chosen=True,
)
@carrier(Ceremony.ISSUING, steps=("open", "issuing_key", "issuing", "lists"))
@carrier(Ceremony.LIST, steps=("open", "lists"))
@sensitive_variables("passphrase")
def _carry_out(ceremony: Ceremony, passphrase: str, at: datetime, clock: Clock) -> None:
    wish = Wish.from_json(ceremony.wish)
    root, key, above = _root(ceremony, wish, passphrase, at, clock)
    if wish.issuing is None:
        lists = [signed_list(root, above, key, at)]
        done(ceremony, "lists", clock)
        _store(ceremony, wish, (root, above), None, lists, at, clock)
        return
    with new_key(wish) as at_hand:
        done(ceremony, "issuing_key", clock)
        _tbs, linted = issuing_to_be_signed(
            wish,
            at_hand.key.public_key,
            above,
            root.addresses,
            at,
            floor=root.serial_floor,
            rehearsed=True,
        )
        below = key.issue(linted)
        made = issuer_at_hand(at_hand, wish, parent=root, at=at)
        done(ceremony, "issuing", clock)
        lists = [
            signed_list(root, above, key, at),
            signed_list(made, below, at_hand.key, at),
        ]
        done(ceremony, "lists", clock)
        _store(ceremony, wish, (root, above), (made, below), lists, at, clock)


def _store(
    ceremony: Ceremony,
    wish: Wish,
    above: tuple[Issuer, x509.Certificate],
    below: tuple[Issuer, x509.Certificate] | None,
    lists: list[SignedList],
    at: datetime,
    clock: Clock,
) -> None:
    """Everything at once: before this nothing of the ceremony is to be seen."""
    by = ceremony.requested_by
    root, made = above[0], below[0] if below else None
    with transaction.atomic():
        if root.pk is None:
            insert(*above, profile=profiles.ROOT.id, by=by, at=at)
        if below is not None:
            insert(*below, profile=profiles.SUBORDINATE.id, by=by, at=at)
        for listed in lists:
            store_list(listed, by=by, at=at)
        if made is not None and wish.replaces:
            old = Issuer.objects.filter(pk=wish.replaces)
            if not old.filter(successor=None).update(successor=made):
                taken = old.select_related("successor").get()
                detail = {"name": taken.name, "successor": str(taken.successor)}
                raise NotMade("successor_there", **detail)
        finish(ceremony, root=root, made=made, at=clock())


@sensitive_variables("passphrase")
def _root(
    ceremony: Ceremony, wish: Wish, passphrase: str, at: datetime, clock: Clock
) -> tuple[Issuer, keystore.SigningKey, x509.Certificate]:
    """The issuer above, its key and its certificate: a root made now, or one that is opened."""
    if ceremony.root is not None:
        usable_parent(ceremony.root, at)
        key = open_key(ceremony, ceremony.root, passphrase, at, clock)
        return ceremony.root, key, ceremony.root.parsed
    if wish.root is None:
        raise NotMade("root_unknown")
    key = keystore.generate(wish.root.algorithm)
    done(ceremony, "root_key", clock)
    root = new_issuer(
        name=wish.root.name,
        algorithm=wish.root.algorithm,
        key_id=key.key_id,
        kept=Issuer.UNDER_PASSPHRASE,
        parent=None,
        origin=wish.origin,
        at=at,
    )
    root.key_sealed = keystore.seal_with_passphrase(key, passphrase, identity=root.identity)
    done(ceremony, "seal", clock)
    _tbs, linted = root_to_be_signed(wish.root, key.public_key, at)
    certificate = key.issue(linted)
    done(ceremony, "root", clock)
    return root, key, certificate
