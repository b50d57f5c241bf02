"""Many certificates at once: batches of ready requests.

    batch = request(profile="host", issuer=issuer, csrs=split(text), days=90, by=me, at=now)
    sign(batch=claimed, clock=timezone.now)        # the signer, a few seconds of it at a time
    batch.refresh_from_db(); batch.state           # "done": batch.signed, batch.refused

A part of the batch (500 requests) is read, linted, signed and checked without a transaction; then
its certificates and the count they reach are stored in one, conditional on the lease's number. So
a signer that is killed leaves whole parts, its successor goes on behind them, and no request ever
has two certificates. Between two transactions whoever wants to save comes in. One audit event when
it is asked for, and one at its end with the digest of what was signed.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction

from ca import csr, keystore, lints, preparation, profiles, records, verifier
from ca.models import Batch, BatchPart, Issuer
from ca.preparation import IssuanceRefused, RequestUnreadable
from core import audit, leases
from core.models import Operator
from core.nudge import nudge

SIGN_BATCH = "ca.sign_batch"
PART = 500
MOST = 50_000
MOST_BYTES = 64 * 1024 * 1024
# Then the signer looks for what else there is to do: an order shall not wait for a batch.
SLICE = timedelta(seconds=5)
# A token signs a few a second: the lease is renewed within a part, looked at every so many.
LOOK = 20
RENEW = timedelta(seconds=leases.SECONDS // 4)
# A batch that brought the signer down so often without a step forward is refused.
MOST_CLAIMS = 5

_REQUEST = re.compile(
    r"-----BEGIN (NEW )?CERTIFICATE REQUEST-----.*?-----END (NEW )?CERTIFICATE REQUEST-----",
    re.DOTALL,
)


class BatchRefused(IssuanceRefused):
    """Nothing of the batch is taken."""


def split(text: str) -> list[str]:
    """The requests of a file with many in PEM, in order; other text is left out."""
    return [found.group(0) + "\n" for found in _REQUEST.finditer(text)]


def digest(lines: Iterable[str]) -> str:
    """SHA-256 of the lines, each ended by a newline: what `sha256sum` of a file of them says."""
    total = hashlib.sha256()
    for line in lines:
        total.update(line.encode() + b"\n")
    return total.hexdigest()


def request(
    *,
    profile: str,
    issuer: Issuer,
    csrs: Sequence[str],
    days: int | None = None,
    by: Operator | None,
    at: datetime,
) -> Batch:
    """Ask for a certificate for each request, with the names in it.

    Whether the issuer can sign so long a life is decided here; each request is judged by the
    signer, and one that is refused leaves the others alone.
    """
    rails = preparation.read_profile(profile)
    if not csrs:
        raise BatchRefused("batch_empty")
    if len(csrs) > MOST:
        raise BatchRefused("batch_too_many", most=MOST, found=len(csrs))
    if sum(map(len, csrs)) > MOST_BYTES:
        raise BatchRefused("batch_too_big", most=MOST_BYTES // 1024 // 1024)
    life = preparation.life(profile=rails, issuer=issuer, days=days, at=at)
    texts = [text if len(text) <= csr.MOST_BYTES else text[: csr.MOST_BYTES + 1] for text in csrs]
    with transaction.atomic():
        batch = Batch.objects.create(
            issuer=issuer,
            profile=rails.id,
            days=life,
            total=len(texts),
            requested_by=by,
            requested_at=at,
            changed_at=at,
        )
        BatchPart.objects.bulk_create(
            BatchPart(batch=batch, first=first, requests=texts[first : first + PART])
            for first in range(0, len(texts), PART)
        )
        audit.record(
            by=by,
            at=at,
            action="ca.batch.requested",
            subject=str(batch),
            detail={
                "batch": batch.pk,
                "issuer": issuer.name,
                "profile": rails.id,
                "days": life,
                "count": len(texts),
                "sha256": digest(texts),
            },
        )
        nudge(SIGN_BATCH, batch.pk)
    return batch


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the collector of cyclic garbage: a part makes none, and each of its rounds looks at
    every object of the process (a twentieth of the time)."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass
class _Worked:
    """What becomes of one part."""

    part: BatchPart
    read: Sequence[csr.Csr | csr.BadRequest]
    signed: list[tuple[csr.Csr, x509.Certificate]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


def sign(*, batch: Batch, clock: Callable[[], datetime]) -> None:
    """Work on a claimed batch for `SLICE`, or to its end.

    Raises `core.leases.LeaseLost` when another signer has taken over meanwhile, and
    `core.seal.KeyNotHeld` outside the signer; the batch then waits for its next signer.
    """
    begin = clock()
    # Each healthy claim does a part or more.
    if batch.fence > MOST_CLAIMS + -(-batch.done // PART):
        _refuse(batch, "signer_failed", {}, at=begin)
        return
    issuer = Issuer.objects.select_related("certificate", "parent").get(pk=batch.issuer_id)
    try:
        rails = preparation.read_profile(batch.profile, retired=True)
        preparation.life(profile=rails, issuer=issuer, days=batch.days, at=begin)
        key = keystore.load(issuer.key_sealed, key_id=issuer.key_id, token=issuer.token)
    except IssuanceRefused as refusal:
        _refuse(batch, refusal.code, refusal.detail, at=begin)
        return
    except keystore.KeyUnusable as error:
        _refuse(batch, error.code, {"issuer": issuer.name, **error.detail}, at=begin)
        return
    parts = batch.parts.filter(first__gte=batch.done).order_by("first").iterator(chunk_size=1)
    part = next(parts, None)
    read = verifier.read(part.requests) if part is not None else []
    # A batch of one part is done before another process would have started.
    with verifier.Verifier(beside=batch.total > PART) as beside:
        while part is not None:
            at = clock()
            if at - begin >= SLICE:
                leases.release(batch, changed_at=at)
                nudge(SIGN_BATCH, batch.pk)
                return
            following = next(parts, None)
            beside.ask_requests(following.requests if following is not None else [])
            worked = _Worked(part, read)
            try:
                ground = preparation.ground(profile=rails, issuer=issuer, days=batch.days, at=at)
                with _no_collection():
                    _sign(worked, batch, ground=ground, key=key, clock=clock)
                    read = beside.requests()
                    beside.ask_certificates(
                        [signed.public_bytes(Encoding.DER) for _asked, signed in worked.signed],
                        key_ids=[asked.key_id for asked, _signed in worked.signed],
                        issuer=ground.above.public_key(),
                    )
                    rows = _rows(worked, batch, ground=ground)
                    beside.certificates()
            except IssuanceRefused as refusal:
                _refuse(batch, refusal.code, refusal.detail, at=at)
                return
            except keystore.KeyUnusable as error:
                # A token that stopped answering: what was signed before stays signed.
                _refuse(batch, error.code, {"issuer": issuer.name, **error.detail}, at=at)
                return
            _store(worked, batch, rows, at=clock())
            part = following
    _finish(batch, at=clock())


def _sign(
    worked: _Worked,
    batch: Batch,
    *,
    ground: preparation.Ground,
    key: keystore.SigningKey,
    clock: Callable[[], datetime],
) -> None:
    """Prepare, lint and sign every request of a part; nothing is stored.

    Step by step for all of them, not request by request: the processor's caches hold a step.
    """
    renewed = clock()
    ready: list[tuple[csr.Csr, lints.Linted]] = []
    for index, asked in enumerate(worked.read, worked.part.first):
        try:
            if isinstance(asked, csr.BadRequest):
                raise RequestUnreadable(asked.code, **asked.detail)
            _tbs, linted = preparation.prepare_on(
                ground,
                wanted=asked.names,
                public_key=asked.public_key,
                subject=_subject(ground.profile, asked),
            )
        except IssuanceRefused as refusal:
            refused = {"index": index, "code": refusal.code, "detail": refusal.detail}
            worked.refused.append(refused)
        else:
            ready.append((asked, linted))
    for asked, linted in ready:
        if len(worked.signed) % LOOK == 0 and clock() - renewed > RENEW:
            renewed = clock()
            leases.renew(batch, at=renewed)
        worked.signed.append((asked, key.issue(linted)))


def _rows(worked: _Worked, batch: Batch, *, ground: preparation.Ground) -> list[dict[str, Any]]:
    return [
        {
            **records.fields(
                issuer=ground.issuer,
                certificate=certificate,
                profile=ground.profile.id,
                at=ground.at,
                listed=[name.value for name in asked.names],
                key_id=asked.key_id,
                key_label=asked.key_label,
            ),
            "batch": batch,
        }
        for asked, certificate in worked.signed
    ]


def _subject(rails: profiles.Profile, asked: csr.Csr) -> dict[str, str]:
    """A client may be known by its common name alone, where its profile has one of its own."""
    own = rails.own_common_name and not asked.names and asked.common_name
    return {"CN": asked.common_name} if own else {}


def _store(worked: _Worked, batch: Batch, rows: Sequence[dict[str, Any]], *, at: datetime) -> None:
    with transaction.atomic():
        # First, so that a signer whose lease was lost stores nothing.
        leases.save(
            batch,
            state=Batch.SIGNING,
            done=worked.part.first + len(worked.read),
            refused=[*batch.refused, *worked.refused],
            changed_at=at,
            lease_until=at + timedelta(seconds=leases.SECONDS),
        )
        records.insert(rows)


def _finish(batch: Batch, *, at: datetime) -> None:
    signed = batch.certificates.order_by("pk").values_list("fingerprint_sha256", flat=True)
    total = digest(signed.iterator(chunk_size=10_000))
    with transaction.atomic():
        leases.release(batch, state=Batch.DONE, changed_at=at)
        audit.record(
            by=batch.requested_by,
            at=at,
            action="ca.batch.done",
            subject=str(batch),
            detail={
                "batch": batch.pk,
                "issuer": batch.issuer.name,
                "signed": batch.signed,
                "refused": len(batch.refused),
                "sha256": total,
            },
        )


def _refuse(batch: Batch, code: str, detail: dict[str, Any], *, at: datetime) -> None:
    """What was signed of it stays."""
    with transaction.atomic():
        leases.release(
            batch, state=Batch.REFUSED, reason_code=code, reason_detail=detail, changed_at=at
        )
        audit.record(
            by=batch.requested_by,
            at=at,
            action="ca.batch.refused",
            subject=str(batch),
            detail={"batch": batch.pk, "reason": code, "signed": batch.signed, **detail},
        )
