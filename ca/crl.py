"""Revocation lists: the list to be signed, and when to sign the next one.

    prepared = prepare(issuer=issuer_certificate, number=7, revoked=[], at=now, days=7)
    der = signing_key.issue_list(prepared)

Sources: RFC 5280 section 5. The whole list goes to the builder's constructor: adding entries one by
one is quadratic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

# A list is renewed when half of its life is over, so that a signer may be away for the other half.
DAYS = 7
# The root's passphrase is needed for its list: one that lives long, renewed at each ceremony.
ROOT_DAYS = 397


@dataclass(frozen=True)
class Revoked:
    serial: int
    at: datetime
    reason: x509.ReasonFlags | None = None


@dataclass(frozen=True)
class ListToBeSigned:
    issuer: x509.Certificate
    number: int
    this_update: datetime
    next_update: datetime
    revoked: tuple[Revoked, ...]

    def builder(self) -> x509.CertificateRevocationListBuilder:
        entries = [_entry(each) for each in self.revoked]
        ski = self.issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        key_identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski)
        return (
            x509.CertificateRevocationListBuilder(
                issuer_name=self.issuer.subject,
                last_update=self.this_update,
                next_update=self.next_update,
                revoked_certificates=entries,
            )
            .add_extension(x509.CRLNumber(self.number), critical=False)
            .add_extension(key_identifier, critical=False)
        )


def prepare(
    *, issuer: x509.Certificate, number: int, revoked: Iterable[Revoked], at: datetime, days: int
) -> ListToBeSigned:
    """The full list number `number`; it never promises more than the issuer's own life."""
    begin = at.astimezone(UTC).replace(microsecond=0)
    end = min(begin + timedelta(days=days), issuer.not_valid_after_utc)
    return ListToBeSigned(issuer, number, begin, end, tuple(revoked))


def renew_at(listed: ListToBeSigned) -> datetime:
    """Half of its life."""
    return listed.this_update + (listed.next_update - listed.this_update) / 2


def _entry(revoked: Revoked) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(revoked.serial)
        .revocation_date(revoked.at.astimezone(UTC).replace(microsecond=0))
    )
    # RFC 5280 5.3.1: "unspecified" is said by leaving the reason out
    if revoked.reason not in (None, x509.ReasonFlags.unspecified):
        builder = builder.add_extension(x509.CRLReason(revoked.reason), critical=False)
    return builder.build()
