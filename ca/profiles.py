"""What each kind of certificate holds: rails that neither a CSR nor an operator leaves.

A CSR only proposes names and a key; everything else comes from here. Sources: RFC 5280 section
4.2.1, CA/Browser Forum Baseline Requirements 7.1.2 (content), the same for S/MIME 7.1.2.3 and RFC
8551 (persons), RFC 6960 section 4.2.2.2 (OCSP responders), Apple HT210176 (825 days).

    profile = by_id("host")
    profile.days                 # 90 unless asked otherwise
    profile.key_usage(public_key)
    profile.copied(id="inside", days=30, most_days=90, ...)      # or OutsideRails
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

# A certificate is valid from a while before it was signed, for clients whose clock is behind.
BACKDATE = timedelta(hours=1)
# The classic life of a root: twenty years with their five leap days.
CLASSIC_ROOT_DAYS = 7305

# Extended key usages by the names that RFC 5280 and RFC 6960 give them.
PURPOSES: Mapping[str, x509.ObjectIdentifier] = {
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "emailProtection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "OCSPSigning": ExtendedKeyUsageOID.OCSP_SIGNING,
}
_PURPOSE_NAMES = {oid: name for name, oid in PURPOSES.items()}


class OutsideRails(ValueError):
    """A copy that asks for more than its base: `code` and `detail` say what; `ca.wording` has the
    sentences. `field` is the value that is wrong."""

    def __init__(self, code: str, field: str, **detail: Any) -> None:
        super().__init__(f"{code} {detail or ''}".strip())
        self.code = code
        self.field = field
        self.detail = detail


@dataclass(frozen=True)
class Profile:
    """A leaf certificate's rails. `name_kinds` are the kinds of `ca.names.Name` it may carry.

    `base` is the built-in profile that a copy comes from, and what decides where a rule asks which
    kind of certificate this is; a built-in profile is its own base.
    """

    id: str
    name_kinds: frozenset[str]
    wildcards: bool
    extended_key_usage: tuple[x509.ObjectIdentifier, ...]
    days: int
    most_days: int
    # Encrypting a session key or a mail to the certificate: with an RSA key by itself, with an EC
    # key through an agreed one.
    key_encipherment_with_rsa: bool
    key_agreement_with_ec: bool = False
    # The subject's CN is a person's or a machine's name, not one of the alternative names.
    own_common_name: bool = False
    # Clients do not ask whether it was revoked, so it says no place to ask (RFC 6960 4.2.2.2.1).
    unchecked: bool = False
    copy_of: str = ""

    @property
    def base(self) -> str:
        return self.copy_of or self.id

    @property
    def needs_names(self) -> bool:
        return bool(self.name_kinds)

    @property
    def purposes(self) -> tuple[str, ...]:
        """The extended key usages by their names: ("serverAuth", "clientAuth")."""
        return tuple(_PURPOSE_NAMES[oid] for oid in self.extended_key_usage)

    def key_usage(self, public_key: CertificatePublicKeyTypes) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=True,
            # Nobody can vouch that only its holder had the key, so it promises no such thing.
            content_commitment=False,
            key_encipherment=self.key_encipherment_with_rsa
            and isinstance(public_key, rsa.RSAPublicKey),
            data_encipherment=False,
            key_agreement=self.key_agreement_with_ec
            and isinstance(public_key, ec.EllipticCurvePublicKey),
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )

    def copied(
        self,
        *,
        id: str,
        days: int,
        most_days: int,
        name_kinds: Collection[str],
        wildcards: bool,
        purposes: Collection[str],
    ) -> Profile:
        """This profile with less: a shorter life, fewer kinds of name, fewer purposes.

        Raises `OutsideRails` for anything the base does not have. Only a built-in profile is
        copied, and not one whose certificates clients believe without asking (`unchecked`).
        """
        if self.copy_of or self.unchecked:
            raise OutsideRails("copy_base", "base", base=self.id)
        if not 1 <= most_days <= self.most_days:
            raise OutsideRails("copy_most_days", "most_days", most=self.most_days)
        if not 1 <= days <= most_days:
            raise OutsideRails("copy_days", "days", most=most_days)
        kinds = frozenset(name_kinds)
        if not kinds:
            raise OutsideRails("copy_no_kinds", "name_kinds")
        if not kinds <= self.name_kinds:
            extra = ", ".join(sorted(kinds - self.name_kinds))
            raise OutsideRails("copy_kinds", "name_kinds", extra=extra)
        if wildcards and not (self.wildcards and "dns" in kinds):
            raise OutsideRails("copy_wildcards", "wildcards")
        if not purposes:
            raise OutsideRails("copy_no_purposes", "purposes")
        if not set(purposes) <= set(self.purposes):
            extra = ", ".join(sorted(set(purposes) - set(self.purposes)))
            raise OutsideRails("copy_purposes", "purposes", extra=extra)
        return replace(
            self,
            id=id,
            copy_of=self.id,
            days=days,
            most_days=most_days,
            name_kinds=kinds,
            wildcards=wildcards,
            extended_key_usage=tuple(
                oid for oid in self.extended_key_usage if _PURPOSE_NAMES[oid] in purposes
            ),
        )


@dataclass(frozen=True)
class AuthorityProfile:
    """An authority's rails: a root signs itself, a subordinate is signed by another authority.

    `path_length` unless asked otherwise: how many levels of authorities may stand below it.
    """

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
# One key signs mail and is encrypted to: S/MIME BR 7.1.2.3 e, "dual use".
PERSON = Profile(
    id="person",
    name_kinds=frozenset({"email"}),
    wildcards=False,
    extended_key_usage=(ExtendedKeyUsageOID.EMAIL_PROTECTION,),
    days=90,
    most_days=825,
    key_encipherment_with_rsa=True,
    key_agreement_with_ec=True,
    own_common_name=True,
)
# Servers map such a certificate to an account by its names, so that its CN is one of them.
CLIENT = Profile(
    id="client",
    name_kinds=frozenset({"dns", "email"}),
    wildcards=False,
    extended_key_usage=(ExtendedKeyUsageOID.CLIENT_AUTH,),
    days=90,
    most_days=825,
    key_encipherment_with_rsa=False,
)
OCSP = Profile(
    id="ocsp",
    name_kinds=frozenset(),
    wildcards=False,
    extended_key_usage=(ExtendedKeyUsageOID.OCSP_SIGNING,),
    days=7,
    most_days=30,
    key_encipherment_with_rsa=False,
    own_common_name=True,
    unchecked=True,
)

ROOT = AuthorityProfile("root", days=CLASSIC_ROOT_DAYS, most_days=18_263, path_length=None)
SUBORDINATE = AuthorityProfile("subordinate", days=1826, most_days=CLASSIC_ROOT_DAYS, path_length=0)

PROFILES: Mapping[str, Profile] = {profile.id: profile for profile in (HOST, PERSON, CLIENT, OCSP)}
# Those an operator may copy.
COPYABLE = tuple(profile.id for profile in PROFILES.values() if not profile.unchecked)
AUTHORITY_PROFILES = frozenset({ROOT.id, SUBORDINATE.id})


def by_id(profile_id: str) -> Profile:
    """The leaf profile, or KeyError."""
    return PROFILES[profile_id]
