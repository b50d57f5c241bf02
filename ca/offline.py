"""Roots that are not here: a key made here whose root is elsewhere, and the other way round.

    ceremony = request_key(wish=wish, by=me, at=now)       # a key under the ring, and its request
    made.csr_pem                                           # carried to the root, signed there
    accept(issuer=made, certificate=pem, chain=root_pem, by=me, at=now)     # now it can issue

    ceremony = request_subordinate(root=root, wish=wish, passphrase="…", by=me, at=now)
    ceremony.made.certificate.pem                          # for the authority that sent wish.csr

The revocation list of a root that is elsewhere is signed there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from ca import chains, csr, keys, names, profiles, template
from ca.ceremonies import Clock, carrier, done, finish, needed_passphrase, request
from ca.making import (
    insert,
    issuer_at_hand,
    new_issuer,
    new_key,
    open_key,
    signed_list,
    store_list,
)
from ca.models import Ceremony, Issuer, RevocationList
from ca.rehearsal import (
    NotMade,
    checked,
    issuing_to_be_signed,
    normal,
    outside,
    usable_parent,
)
from ca.revocation import SIGN_LIST
from ca.wishes import AuthorityWish, Wish
from core import audit
from core.models import Operator
from core.nudge import nudge


def request_key(
    *, wish: Wish, unconstrained: bool = False, by: Operator | None, at: datetime
) -> Ceremony:
    """Ask for an issuing authority's key and its request, for a root that is elsewhere."""
    if wish.root is not None or wish.issuing is None:
        raise ValueError("only an issuing authority is wished for here")
    wish = normal(wish, unconstrained=unconstrained)
    return request(Ceremony.REQUEST, wish=wish.to_json(), by=by, at=at)


@carrier(Ceremony.REQUEST, steps=("issuing_key", "request"))
def _make_request(ceremony: Ceremony, passphrase: str, at: datetime, clock: Clock) -> None:
    wish = Wish.from_json(ceremony.wish)
    if wish.issuing is None:
        raise NotMade("root_unknown")
    with new_key(wish) as at_hand:
        done(ceremony, "issuing_key", clock)
        made = issuer_at_hand(at_hand, wish, parent=None, at=at)
        signed = at_hand.key.sign_request(_request_builder(wish, wish.issuing))
        made.csr_pem = signed.public_bytes(Encoding.PEM).decode()
        done(ceremony, "request", clock)
        with transaction.atomic():
            made.save(force_insert=True)
            audit.record(
                by=ceremony.requested_by,
                at=at,
                action="ca.authority.requested",
                subject=made.name,
                detail={"key_id": made.key_id, "permitted": made.permitted},
            )
            finish(ceremony, made=made, at=clock())


def _request_builder(wish: Wish, authority: AuthorityWish) -> x509.CertificateSigningRequestBuilder:
    """What it wishes for itself: the root's own rules decide what becomes of it."""
    length = authority.path_length or 0
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(template.subject_name(authority.subject()))
        .add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
        .add_extension(profiles.SUBORDINATE.key_usage(), critical=True)
    )
    limits = names.constraints(wish.subtrees)
    return builder if limits is None else builder.add_extension(limits, critical=True)


def accept(
    *,
    issuer: Issuer,
    certificate: str | bytes,
    chain: str | bytes = b"",
    by: Operator | None,
    at: datetime,
) -> Issuer:
    """Take the certificate in that was signed elsewhere, with those of the authorities above it.

    Everything a client would hold against it is refused, and the waiting authority stays as it is.
    """
    if issuer.certificate is not None or not issuer.csr_pem:
        raise NotMade("not_waiting_for_certificate", name=issuer.name)
    known = Issuer.objects.exclude(certificate=None).select_related("certificate")
    try:
        found = chains.read(
            _raw(certificate),
            _raw(chain),
            key_id=issuer.key_id,
            known=[each.parsed for each in known],
            at=at,
        )
    except chains.BadChain as error:
        raise NotMade(error.code, field="certificate", **error.detail) from error
    permitted = _permitted(issuer, found)
    with transaction.atomic():
        # Two uploads at once: the second one waits here, or finds it no longer waiting.
        taken = Issuer.objects.filter(pk=issuer.pk, certificate=None).update(permitted=permitted)
        if not taken:
            raise NotMade("not_waiting_for_certificate", name=issuer.name)
        parent: Issuer | None = None
        for each in (found.root, *reversed(found.above)):
            parent = _elsewhere(each, parent, by, at)
        issuer.refresh_from_db()
        issuer.parent = parent
        issuer.save(update_fields=["parent"])
        insert(issuer, found.own, profile=profiles.SUBORDINATE.id, by=by, at=at)
        listed = RevocationList.objects.create(
            issuer=issuer, number=0, this_update=at, next_update=at, renew_at=at, der=b""
        )
        asked = Ceremony.objects.filter(made=issuer, kind=Ceremony.REQUEST).first()
        if asked is not None and asked.wish.get("replaces"):
            Issuer.objects.filter(pk=asked.wish["replaces"], successor=None).update(
                successor=issuer
            )
        nudge(SIGN_LIST, listed.pk)
    return issuer


def withdraw(*, issuer: Issuer, by: Operator | None, at: datetime) -> None:
    """Give up a key that waits for its certificate: the row and the sealed key are erased, the name
    is free again. A key on a token stays there for the token's own tools."""
    with transaction.atomic():
        waiting = Issuer.objects.filter(pk=issuer.pk, certificate=None).exclude(csr_pem="")
        if not waiting.exists():
            raise NotMade("not_waiting_for_certificate", name=issuer.name)
        Ceremony.objects.filter(made=issuer).update(made=None)
        waiting.delete()
        audit.record(
            by=by,
            at=at,
            action="ca.authority.withdrawn",
            subject=issuer.name,
            detail={"key_id": issuer.key_id, "key_kept": issuer.key_kept},
        )


def _raw(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text)


def _elsewhere(
    certificate: x509.Certificate, parent: Issuer | None, by: Operator | None, at: datetime
) -> Issuer:
    """The row of an authority whose key is not here: the one that is there, or a new one."""
    key_id = keys.key_id(certificate.public_key())
    there = Issuer.objects.filter(key_id=key_id).first()
    if there is not None:
        if there.certificate is None:
            raise NotMade("chain_waiting", name=there.name)
        return there
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(common[0].value if common else certificate.subject.rfc4514_string())[:48]
    if Issuer.objects.filter(name=name).exists():
        name = f"{name} ({key_id[:8]})"
    made = new_issuer(
        name=name,
        algorithm=algorithm_of(certificate),
        key_id=key_id,
        kept=Issuer.ELSEWHERE,
        parent=parent,
        permitted=list(_subtrees(certificate)),
        at=at,
    )
    profile = profiles.ROOT if parent is None else profiles.SUBORDINATE
    insert(made, certificate, profile=profile.id, by=by, at=at, action="ca.authority.imported")
    return made


def algorithm_of(certificate: x509.Certificate) -> str:
    """The key's id among `keys.ALGORITHMS`, or its name where it is none of them."""
    label = keys.label(certificate.public_key())
    ids = {text: each for each, text in keys.ALGORITHM_LABELS.items()}
    return ids.get(label, label[:10])


def _subtrees(certificate: x509.Certificate) -> tuple[str, ...]:
    """The domains and networks that its constraints permit, as `Issuer.permitted` has them."""
    try:
        limits = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return ()
    found = [
        str(each.value)
        for each in limits.permitted_subtrees or ()
        if isinstance(each, x509.DNSName | x509.IPAddress) and str(each.value).strip(".")
    ]
    kept: list[str] = []
    for text in found:
        try:
            kept += names.parse_subtrees([text]).texts()
        except names.BadName:
            continue  # nothing the console signs for is below such a one
    return tuple(dict.fromkeys(kept))


def _permitted(issuer: Issuer, found: chains.Chain) -> list[str]:
    """What it may sign for: the certificate's own limits, or what was asked for where it has none,
    and of that what all above it permit."""
    allowed: Sequence[str] = _subtrees(found.own) or issuer.permitted
    for each in (*found.above, found.root):
        limits = names.parse_subtrees(_subtrees(each))
        if not limits.limited:
            continue
        if not allowed:
            allowed = limits.texts()
            continue
        wider = outside(limits, names.parse_subtrees(allowed))
        narrower = outside(names.parse_subtrees(allowed), limits)
        within = [text for text in limits.texts() if text not in narrower]
        allowed = [text for text in allowed if text not in wider] + within
        allowed = list(dict.fromkeys(allowed))
        if not allowed:
            raise NotMade(
                "chain_constraints", field="certificate", permitted=", ".join(limits.texts())
            )
    return list(allowed)


@sensitive_variables("passphrase")
def request_subordinate(
    *,
    root: Issuer,
    wish: Wish,
    unconstrained: bool = False,
    passphrase: str = "",
    by: Operator | None,
    at: datetime,
) -> Ceremony:
    """Ask for a certificate for the authority elsewhere that made `wish.csr`.

    The request proposes a key; name, life, levels and limits are the wish's.
    """
    if wish.issuing is None:
        raise ValueError("an authority is wished for here")
    asked = read_request(wish.csr)
    public_key = asked.public_key
    if Issuer.objects.filter(key_id=asked.key_id).exists():
        raise NotMade("csr_key_known", field="csr")
    algorithm = keys.label(public_key)
    wish = replace(wish, csr=asked.pem, issuing=replace(wish.issuing, algorithm=algorithm))
    wish = checked(wish, unconstrained=unconstrained, under=root, at=at)
    secret = needed_passphrase(root, passphrase)
    return request(
        Ceremony.SUBORDINATE, wish=wish.to_json(), root=root, passphrase=secret, by=by, at=at
    )


def read_request(text: str | bytes) -> csr.Csr:
    try:
        return csr.parse(text, authority=True)
    except csr.BadRequest as error:
        raise NotMade(error.code, field="csr", **error.detail) from error


@carrier(Ceremony.SUBORDINATE, steps=("open", "subordinate", "lists"))
@sensitive_variables("passphrase")
def _sign_subordinate(ceremony: Ceremony, passphrase: str, at: datetime, clock: Clock) -> None:
    wish, root = Wish.from_json(ceremony.wish), ceremony.root
    if root is None or wish.issuing is None:
        raise NotMade("root_unknown")
    usable_parent(root, at)
    asked = read_request(wish.csr)
    key = open_key(ceremony, root, passphrase, at, clock)
    _tbs, linted = issuing_to_be_signed(
        wish,
        asked.public_key,
        root.parsed,
        root.addresses,
        at,
        floor=root.serial_floor,
        rehearsed=True,
    )
    signed = key.issue(linted)
    made = new_issuer(
        name=wish.issuing.name,
        algorithm=algorithm_of(signed),
        key_id=asked.key_id,
        kept=Issuer.ELSEWHERE,
        parent=root,
        permitted=wish.permitted,
        at=at,
    )
    done(ceremony, "subordinate", clock)
    listed = signed_list(root, root.parsed, key, at)
    done(ceremony, "lists", clock)
    by = ceremony.requested_by
    with transaction.atomic():
        insert(made, signed, profile=profiles.SUBORDINATE.id, by=by, at=at)
        store_list(listed, by=by, at=at)
        finish(ceremony, root=root, made=made, at=clock())
