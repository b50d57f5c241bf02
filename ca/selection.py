"""What is done to the certificates ticked in a list: revoke, hold, release, at most `MOST` at once.

    done = revoke(certificates=[12, 13], reason="superseded", by=me, at=now)
    done.changed, done.left_out

One transaction and one audit event, with the SHA-256 of the sorted serial numbers (one a line) and,
where there are few, the numbers themselves. What the verb does not apply to is left out and
counted: in a list, somebody else's work shows late. An authority's certificate is never among
them; its own page has the verb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from ca import profiles, revocation, states, wording
from ca.bulk import digest
from ca.models import Certificate, CertificateQuerySet, RevocationList
from core import audit
from core.errors import Refusal
from core.models import Operator
from core.nudge import nudge

MOST = 500
NAMED_AT_MOST = 50


class SelectionRefused(Refusal):
    """Nothing is ticked, or too much."""

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(wording.sentence(code, detail))
        self.code = code


@dataclass(frozen=True)
class Done:
    """How many were changed, and how many were not in a state for it."""

    changed: int
    left_out: int


# The verbs by the state they lead to.
VERBS = {"revoke": Certificate.REVOKED, "hold": Certificate.HELD, "release": Certificate.VALID}
_ACTIONS = {
    "revoke": "ca.certificate.revoked_many",
    "hold": "ca.certificate.held_many",
    "release": "ca.certificate.released_many",
}


def able(verb: str, rows: CertificateQuerySet, at: datetime) -> CertificateQuerySet:
    """Those of `rows` that the verb applies to."""
    table, to = states.CERTIFICATE, VERBS[verb]
    return rows.filter(
        state__in=[state for state in table if states.may_go(table, state, to)], not_after__gt=at
    ).exclude(profile__in=profiles.AUTHORITY_PROFILES)


def revoke(*, certificates: Sequence[int], reason: str, by: Operator | None, at: datetime) -> Done:
    """For good. `reason` is one of `revocation.REASONS`."""
    if reason not in revocation.REASONS:
        raise revocation.NotRevocable(
            "reason_unknown", status=422, value=reason, reasons=", ".join(revocation.REASONS)
        )
    return _move("revoke", certificates, by=by, at=at, revoked_at=at, revocation_reason=reason)


def hold(*, certificates: Sequence[int], by: Operator | None, at: datetime) -> Done:
    """Until they are released."""
    return _move(
        "hold", certificates, by=by, at=at, revoked_at=at, revocation_reason=revocation.HOLD
    )


def release(*, certificates: Sequence[int], by: Operator | None, at: datetime) -> Done:
    """Off hold: the next lists leave them out."""
    return _move(
        "release",
        certificates,
        by=by,
        at=at,
        revoked_at=None,
        revocation_reason="",
        released_at=at,
    )


def _move(
    verb: str, certificates: Sequence[int], *, by: Operator | None, at: datetime, **fields: Any
) -> Done:
    asked = sorted(set(certificates))
    if not asked:
        raise SelectionRefused("none_selected")
    if len(asked) > MOST:
        raise SelectionRefused("too_many_selected", found=len(asked), most=MOST)
    with transaction.atomic():
        rows = able(verb, Certificate.objects.filter(pk__in=asked), at)
        found = list(
            rows.select_for_update(of=("self",))
            .order_by("pk")
            .values_list("pk", "serial", "issuer_id", "issuer__name")
        )
        if not found:
            return Done(0, len(asked))
        Certificate.objects.filter(pk__in=[row[0] for row in found]).update(
            state=VERBS[verb], **fields
        )
        serials = sorted(row[1] for row in found)
        listed = {"serials": serials} if len(serials) <= NAMED_AT_MOST else {}
        audit.record(
            by=by,
            at=at,
            action=_ACTIONS[verb],
            subject=f"{len(found)} certificates",
            detail={
                "count": len(found),
                "reason": fields["revocation_reason"],
                "issuers": sorted({row[3] for row in found}),
                "sha256": digest(serials),
                **listed,
            },
        )
        lists = RevocationList.objects.filter(issuer__in={row[2] for row in found})
        lists.update(stale_at=at)
        for pk in lists.values_list("pk", flat=True):
            nudge(revocation.SIGN_LIST, pk)
    return Done(len(found), len(asked) - len(found))
