"""Revocation lists: the list to be signed, full or delta, and when to sign the next one.

    full = prepare(issuer=certificate, number=7, revoked=[], at=now, days=7, freshest="http://…")
    delta = prepare_delta(issuer=certificate, number=8, base=7, changed=[], at=now)
    der = signing_key.issue_list(full)

A delta (RFC 5280 5.2.4) names the full list it starts from and holds what changed since, among it
what is to be taken off ("removeFromCRL"); both draw from one sequence of numbers. A full list says
where the newest delta is (FreshestCRL, 5.2.6). Every list covers all certificates of its issuer
for all reasons, so none of them needs an IssuingDistributionPoint (5.2.5).

The whole list goes to the builder's constructor: adding entries one by one is quadratic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509

# A list is renewed when half of its life is over, so that a signer may be away for the other half.
DAYS = 7
DELTA_DAYS = 2
# The root's passphrase is needed for its list: one that lives long, renewed at each ceremony.
ROOT_DAYS = 397

# A full list of this many entries is signed in a tenth of a second and has half a megabyte: it is
# signed at every revocation. A larger one (100,000: half a second and 5 MB; a million: ten times
# that) at most this often; the delta beside it says the rest at once.
SMALL = 10_000
LARGE_EVERY = timedelta(minutes=10)


class Revoked(NamedTuple):
    """A tuple, of which there may be a million: `at` is in UTC, whole seconds, without saying so
    (`columns.second`), since to convert it again would be a sixth of the work."""

    serial: int
    at: datetime
    reason: x509.ReasonFlags | None = None


@dataclass(frozen=True)
class ListToBeSigned:
    """`base` is the number of the full list a delta starts from, None in a full list."""

    issuer: x509.Certificate
    number: int
    this_update: datetime
    next_update: datetime
    revoked: list[x509.RevokedCertificate]
    base: int | None = None
    freshest: str = ""

    def builder(self) -> x509.CertificateRevocationListBuilder:
        builder = (
            x509.CertificateRevocationListBuilder(
                issuer_name=self.issuer.subject,
                last_update=self.this_update,
                next_update=self.next_update,
                revoked_certificates=self.revoked,
            )
            .add_extension(x509.CRLNumber(self.number), critical=False)
            .add_extension(_authority_key_identifier(self.issuer), critical=False)
        )
        if self.base is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(self.base), critical=True)
        elif self.freshest:
            where = [x509.UniformResourceIdentifier(self.freshest)]
            point = x509.DistributionPoint(where, None, None, None)
            builder = builder.add_extension(x509.FreshestCRL([point]), critical=False)
        return builder


def prepare(
    *,
    issuer: x509.Certificate,
    number: int,
    revoked: Iterable[Revoked],
    at: datetime,
    days: int,
    freshest: str = "",
) -> ListToBeSigned:
    """The full list `number`; it never promises more than the issuer's own life."""
    begin, end = _life(issuer, at, days)
    return ListToBeSigned(issuer, number, begin, end, _entries(revoked), freshest=freshest)


def prepare_delta(
    *,
    issuer: x509.Certificate,
    number: int,
    base: int,
    changed: Iterable[Revoked],
    at: datetime,
    days: int = DELTA_DAYS,
) -> ListToBeSigned:
    """What changed since the full list `base`. Its number is above the base's, or the same when it
    is signed together with a full list that says the same (RFC 5280 5.2.3)."""
    if number < base:
        raise ValueError(f"the delta {number} is older than the list {base} it starts from")
    begin, end = _life(issuer, at, days)
    return ListToBeSigned(issuer, number, begin, end, _entries(changed), base=base)


def renew_at(listed: ListToBeSigned) -> datetime:
    """Half of its life."""
    return listed.this_update + (listed.next_update - listed.this_update) / 2


def _life(issuer: x509.Certificate, at: datetime, days: int) -> tuple[datetime, datetime]:
    begin = at.astimezone(UTC).replace(microsecond=0)
    return begin, min(begin + timedelta(days=days), issuer.not_valid_after_utc)


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The issuer's own identifier; a root made by hand may have none, and its key gives one."""
    try:
        ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        public_key = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski)


def _said(reason: x509.ReasonFlags | None) -> list[x509.Extension[x509.ExtensionType]]:
    # RFC 5280 5.3.1: "unspecified" is said by leaving the reason out
    if reason in (None, x509.ReasonFlags.unspecified):
        return []
    value = x509.CRLReason(reason)
    return [x509.Extension(value.oid, False, value)]


def _entries(revoked: Iterable[Revoked]) -> list[x509.RevokedCertificate]:
    # The builder's constructor takes what its methods would refuse and an authority made by hand
    # may have issued (serial 0), and is three times as fast.
    said = {reason: _said(reason) for reason in (None, *x509.ReasonFlags)}
    return [
        x509.RevokedCertificateBuilder(serial, at, said[reason]).build()
        for serial, at, reason in revoked
    ]
