"""Calls about authorities and ceremonies.

    POST /authorities/roots    {"name": "Example Root", "algorithm": "p384", "passphrase": "…"}
    GET  /ceremonies/3         "state": "done", "root": 1
    POST /authorities          {"under": 1, "name": "…", "permitted": ["example.test"], …}

What uses a root's key takes its passphrase in the body; it is sealed to the signer at once, and
neither stored in clear nor logged (`SecretStr` shows nothing of itself in an error's report).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import SecretStr

from ca import authorities as verbs
from ca import ceremonies, offline, profiles, refused, rehearsal, rollover
from ca.api.common import operator_of
from ca.models import Ceremony, Issuer
from ca.wishes import AuthorityWish, Wish
from core.api_auth import Token

router = Router()


class AuthorityOut(Schema):
    """`state` is valid, held, revoked, expired, retired or waiting (for its certificate)."""

    id: int
    name: str
    parent: int | None
    state: str
    key: str
    key_kept: str
    permitted: list[str]
    path_length: int | None
    not_before: datetime | None
    not_after: datetime | None
    fingerprint_sha256: str
    can_issue: bool
    successor: int | None
    retired_at: datetime | None
    certificate: int | None
    pem: str
    csr: str


class AuthorityIn(Schema):
    """`path_length`: how many levels of authorities may stand below it."""

    name: str
    algorithm: str = "p256"
    days: int = profiles.SUBORDINATE.days
    organisation: str = ""
    country: str = ""
    path_length: int | None = None


class RootIn(AuthorityIn):
    """With `issuing` the issuing authority below it is made at once."""

    algorithm: str = "p384"
    days: int = profiles.CLASSIC_ROOT_DAYS
    passphrase: SecretStr
    issuing: AuthorityIn | None = None
    permitted: list[str] = Field(default_factory=list)
    unconstrained: bool = False
    origin: str = ""
    on_token: bool = False


class Limits(Schema):
    """Without `permitted` (domains, networks) `unconstrained` has to be said."""

    permitted: list[str] = Field(default_factory=list)
    unconstrained: bool = False


class IssuingIn(AuthorityIn, Limits):
    """`replaces` names the authority whose successor it will be; `under` is then its parent.

    With `csr` the key is the request's, and the authority is elsewhere.
    """

    under: int | None = None
    replaces: int | None = None
    csr: str = ""
    origin: str = ""
    on_token: bool = False
    passphrase: SecretStr = SecretStr("")


class RequestIn(AuthorityIn, Limits):
    origin: str = ""
    on_token: bool = False


class CertificateIn(Schema):
    """PEM; `chain` holds the certificates above it up to the root, in any order."""

    certificate: str
    chain: str = ""


class ReissueIn(Schema):
    days: int = profiles.CLASSIC_ROOT_DAYS
    passphrase: SecretStr


class PassphraseIn(Schema):
    passphrase: SecretStr = SecretStr("")


class CeremonyOut(Schema):
    id: int
    kind: str
    state: str
    steps: list[str]
    root: int | None
    made: int | None
    reason_code: str
    reason: str
    requested_at: datetime


def _authority(issuer: Issuer) -> AuthorityOut:
    certificate, at = issuer.certificate, timezone.now()
    state = certificate.shown_state(at) if certificate else "waiting"
    if state == "valid" and issuer.retired_at is not None:
        state = "retired"
    return AuthorityOut(
        id=issuer.pk,
        name=issuer.name,
        parent=issuer.parent_id,
        state=state,
        key=certificate.key_label if certificate else issuer.get_algorithm_display(),
        key_kept=issuer.key_kept,
        permitted=issuer.permitted,
        path_length=rehearsal.path_length_of(certificate.parsed) if certificate else None,
        not_before=certificate.not_before if certificate else None,
        not_after=certificate.not_after if certificate else None,
        fingerprint_sha256=certificate.fingerprint_sha256 if certificate else "",
        can_issue=issuer.able_to_issue(at),
        successor=issuer.successor_id,
        retired_at=issuer.retired_at,
        certificate=issuer.certificate_id,
        pem=certificate.pem if certificate else "",
        csr=issuer.csr_pem,
    )


def _ceremony(ceremony: Ceremony) -> CeremonyOut:
    return CeremonyOut(
        id=ceremony.pk,
        kind=ceremony.kind,
        state=ceremony.state,
        steps=ceremony.steps,
        root=ceremony.root_id,
        made=ceremony.made_id,
        reason_code=ceremony.reason_code,
        reason=ceremony.reason,
        requested_at=ceremony.requested_at,
    )


def _found(pk: int) -> Issuer:
    rows = Issuer.objects.select_related("certificate", "parent", "successor")
    return get_object_or_404(rows, pk=pk)


def _wished(body: AuthorityIn) -> AuthorityWish:
    return AuthorityWish(
        name=body.name,
        algorithm=body.algorithm,
        days=body.days,
        organisation=body.organisation,
        country=body.country,
        path_length=body.path_length,
    )


@router.get("/authorities", auth=Token("ca:read"), response=list[AuthorityOut])
def authorities(request: HttpRequest) -> list[AuthorityOut]:
    """Every authority, those elsewhere, retired or waiting included; a root's `parent` is null."""
    rows = Issuer.objects.select_related("certificate", "parent__certificate")
    return [_authority(each) for each in rows if each.certificate is not None or each.is_waiting]


@router.get("/authorities/{int:pk}", auth=Token("ca:read"), response=AuthorityOut)
def authority(request: HttpRequest, pk: int) -> AuthorityOut:
    return _authority(_found(pk))


@router.post("/authorities/roots", auth=Token("ca:issue"), response={202: CeremonyOut})
def make_root(request: HttpRequest, body: RootIn) -> Status[CeremonyOut]:
    """A root under the passphrase, alone or with an issuing authority."""
    operator = operator_of(request, "ca.manage")
    asked: dict[str, Any] = {
        "passphrase": body.passphrase.get_secret_value(),
        "by": operator,
        "at": timezone.now(),
    }
    wish = Wish(
        root=_wished(body),
        issuing=_wished(body.issuing) if body.issuing else None,
        permitted=tuple(body.permitted),
        origin=body.origin,
        on_token=body.on_token,
    )
    if wish.issuing is None:
        return Status(202, _ceremony(verbs.request_root(wish=wish, **asked)))
    ceremony = verbs.request_hierarchy(wish=wish, unconstrained=body.unconstrained, **asked)
    return Status(202, _ceremony(ceremony))


@router.post("/authorities", auth=Token("ca:issue"), response={202: CeremonyOut})
def make_issuing(request: HttpRequest, body: IssuingIn) -> Status[CeremonyOut]:
    """An authority under one that exists: here, as another's successor, or for a request."""
    operator = operator_of(request, "ca.manage")
    asked: dict[str, Any] = {
        "unconstrained": body.unconstrained,
        "passphrase": body.passphrase.get_secret_value(),
        "by": operator,
        "at": timezone.now(),
    }
    wish = Wish(
        issuing=_wished(body),
        permitted=tuple(body.permitted),
        origin=body.origin,
        csr=body.csr,
        on_token=body.on_token,
    )
    if body.replaces is not None:
        old = _found(body.replaces)
        return Status(202, _ceremony(rollover.request_successor(issuer=old, wish=wish, **asked)))
    if body.under is None:
        raise verbs.NotMade("root_unknown", field="under")
    under = _found(body.under)
    if body.csr:
        with refused.noted(by=operator, at=asked["at"]):
            return Status(202, _ceremony(verbs.request_subordinate(root=under, wish=wish, **asked)))
    return Status(202, _ceremony(verbs.request_issuing(under=under, wish=wish, **asked)))


@router.post("/authorities/request", auth=Token("ca:issue"), response={202: CeremonyOut})
def make_request(request: HttpRequest, body: RequestIn) -> Status[CeremonyOut]:
    """A key for a root elsewhere: the authority's `csr` is to be signed there."""
    operator = operator_of(request, "ca.manage")
    wish = Wish(
        issuing=_wished(body),
        permitted=tuple(body.permitted),
        origin=body.origin,
        on_token=body.on_token,
    )
    ceremony = verbs.request_key(
        wish=wish, unconstrained=body.unconstrained, by=operator, at=timezone.now()
    )
    return Status(202, _ceremony(ceremony))


@router.post("/authorities/{int:pk}/certificate", auth=Token("ca:issue"), response=AuthorityOut)
def accept(request: HttpRequest, pk: int, body: CertificateIn) -> AuthorityOut:
    """The certificate that the root elsewhere signed."""
    operator = operator_of(request, "ca.manage")
    done = verbs.accept(
        issuer=_found(pk),
        certificate=body.certificate,
        chain=body.chain,
        by=operator,
        at=timezone.now(),
    )
    return _authority(_found(done.pk))


@router.post("/authorities/{int:pk}/reissue", auth=Token("ca:issue"), response={202: CeremonyOut})
def reissue(request: HttpRequest, pk: int, body: ReissueIn) -> Status[CeremonyOut]:
    """A root's certificate anew, with the same key."""
    operator = operator_of(request, "ca.manage")
    ceremony = verbs.request_reissue(
        root=_found(pk),
        days=body.days,
        passphrase=body.passphrase.get_secret_value(),
        by=operator,
        at=timezone.now(),
    )
    return Status(202, _ceremony(ceremony))


@router.post("/authorities/{int:pk}/list", auth=Token("ca:issue"), response={202: CeremonyOut})
def renew_list(request: HttpRequest, pk: int, body: PassphraseIn) -> Status[CeremonyOut]:
    """A root's next revocation list."""
    operator = operator_of(request, "ca.manage")
    ceremony = verbs.request_list(
        root=_found(pk),
        passphrase=body.passphrase.get_secret_value(),
        by=operator,
        at=timezone.now(),
    )
    return Status(202, _ceremony(ceremony))


@router.delete("/authorities/{int:pk}", auth=Token("ca:issue"), response={204: None})
def withdraw(request: HttpRequest, pk: int) -> Status[None]:
    """Give up a key that waits for its certificate. Nothing else can be erased."""
    operator = operator_of(request, "ca.manage")
    offline.withdraw(issuer=_found(pk), by=operator, at=timezone.now())
    return Status(204, None)


@router.post("/authorities/{int:pk}/retire", auth=Token("ca:issue"), response=AuthorityOut)
def retire(request: HttpRequest, pk: int) -> AuthorityOut:
    """It signs no certificate any more; its lists it still signs."""
    operator = operator_of(request, "ca.manage")
    rollover.retire(issuer=_found(pk), by=operator, at=timezone.now())
    return _authority(_found(pk))


@router.post("/authorities/{int:pk}/reinstate", auth=Token("ca:issue"), response=AuthorityOut)
def reinstate(request: HttpRequest, pk: int) -> AuthorityOut:
    """It signs again."""
    operator = operator_of(request, "ca.manage")
    rollover.reinstate(issuer=_found(pk), by=operator, at=timezone.now())
    return _authority(_found(pk))


@router.get("/ceremonies/{int:pk}", auth=Token("ca:read"), response=CeremonyOut)
def ceremony(request: HttpRequest, pk: int) -> CeremonyOut:
    return _ceremony(get_object_or_404(Ceremony, pk=pk))


@router.post("/ceremonies/{int:pk}/again", auth=Token("ca:issue"), response={202: CeremonyOut})
def try_again(request: HttpRequest, pk: int, body: PassphraseIn) -> Status[CeremonyOut]:
    """A refused ceremony once more, with the passphrase typed anew."""
    operator = operator_of(request, "ca.manage")
    found = ceremonies.try_again(
        ceremony=get_object_or_404(Ceremony, pk=pk),
        passphrase=body.passphrase.get_secret_value(),
        by=operator,
        at=timezone.now(),
    )
    return Status(202, _ceremony(found))
