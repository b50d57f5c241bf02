"""What each kind of certificate holds: rails that neither a CSR nor an operator leaves.

A CSR only proposes names and a key; everything else comes from here. Sources: RFC 5280 section
4.2.1, CA/Browser Forum Baseline Requirements 7.1.2 (content), Apple HT210176 (825 days).

    profile = by_id("host")
    profile.days                 # 90 unless asked otherwise
    profile.key_usage(public_key)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

# A certificate is valid from a while before it was signed, for clients whose clock is behind.
BACKDATE = timedelta(hours=1)
# The classic life of a root: twenty years with their five leap days.
CLASSIC_ROOT_DAYS = 7305


@dataclass(frozen=True)
class Profile:
    """A leaf certificate's rails. `name_kinds` are the kinds of `ca.names.Name` it may carry."""

    id: str
    name_kinds: frozenset[str]
    wildcards: bool
    extended_key_usage: tuple[x509.ObjectIdentifier, ...]
    days: int
    most_days: int
    # Encrypting a session key to the certificate (TLS 1.2's RSA key exchange) needs an RSA key.
    key_encipherment_with_rsa: bool

    def key_usage(self, public_key: CertificatePublicKeyTypes) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=self.key_encipherment_with_rsa
            and isinstance(public_key, rsa.RSAPublicKey),
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )


@dataclass(frozen=True)
class AuthorityProfile:
    """An authority's rails: a root signs itself, a subordinate is signed by a root."""

    id: str
    days: int
    most_days: int
    path_length: int | None

    def key_usage(self) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )


HOST = Profile(
    id="host",
    name_kinds=frozenset({"dns", "ip"}),
    wildcards=True,
    # An MTA that sends mail on shows the same certificate as a client.
    extended_key_usage=(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    days=90,
    most_days=825,
    key_encipherment_with_rsa=True,
)

ROOT = AuthorityProfile("root", days=CLASSIC_ROOT_DAYS, most_days=18_263, path_length=None)
SUBORDINATE = AuthorityProfile("subordinate", days=1826, most_days=CLASSIC_ROOT_DAYS, path_length=0)

PROFILES: Mapping[str, Profile] = {profile.id: profile for profile in (HOST,)}
AUTHORITY_PROFILES = frozenset({ROOT.id, SUBORDINATE.id})


def by_id(profile_id: str) -> Profile:
    """The leaf profile, or KeyError."""
    return PROFILES[profile_id]
