"""Issuers: keys with a name. An issuer's certificate is what its parent says about that key."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from django.db import models
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from ca import names
from ca.keys import ALGORITHM_LABELS
from ca.models.certificates import Certificate
from ca.template import Addresses

ALGORITHM_CHOICES = list(ALGORITHM_LABELS.items())


@lru_cache(maxsize=256)
def _limits(pem: str) -> x509.NameConstraints | None:
    """The name constraints of a certificate; the same few stand above every certificate."""
    extensions = x509.load_pem_x509_certificate(pem.encode()).extensions
    try:
        return extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


class IssuerQuerySet(models.QuerySet["Issuer"]):
    def roots(self) -> IssuerQuerySet:
        """Those that sign themselves; one that waits for its certificate is none yet."""
        return self.filter(parent=None, csr_pem="")

    def issuing(self) -> IssuerQuerySet:
        """Those that sign certificates for others than authorities."""
        return self.exclude(parent=None)

    def able_to_issue(self, at: datetime) -> IssuerQuerySet:
        """Issuing authorities whose key the signer can use without asking anybody; those that
        have a successor come last."""
        states = (Certificate.REVOKED, Certificate.HELD)
        fallen = Issuer.objects.all()._with_own().filter(own_state__in=states).values("pk")
        return (
            self.issuing()
            ._with_own()
            .filter(key_kept__in=Issuer.AT_HAND, own_state=Certificate.VALID)
            .filter(retired_at=None)
            .filter(own_end__gt=at, certificate__not_before__lte=at)
            # One below what was revoked convinces nobody; the instance looks at the whole path.
            .exclude(parent__in=fallen)
            .exclude(parent__parent__in=fallen)
            .order_by(models.F("successor_id").asc(nulls_first=True), "name", "pk")
        )

    def able_to_answer(self, at: datetime) -> IssuerQuerySet:
        """Those whose OCSP responder the signer can give a certificate of at least a day."""
        return self._with_own().filter(
            key_kept__in=Issuer.AT_HAND, own_end__gt=at + timedelta(days=1)
        )

    def _with_own(self) -> IssuerQuerySet:
        """State and end of the issuer's own certificate, as no index has them: from these, SQLite
        would begin with every valid certificate there is (8 s of a million)."""
        return self.alias(
            own_state=Coalesce("certificate__state", "certificate__state"),
            own_end=Coalesce("certificate__not_after", "certificate__not_after"),
        )

    def by_public_id(self, public_id: str) -> IssuerQuerySet:
        return self.filter(public_id=public_id)


class Issuer(models.Model):
    """An authority: a key that signs. A root has no parent."""

    UNDER_PASSPHRASE = "passphrase"  # noqa: S105 - says where a key is kept
    UNDER_RING = "ring"
    ON_TOKEN = "token"  # noqa: S105 - says where a key is kept
    ELSEWHERE = "elsewhere"
    KEPT = [
        (UNDER_PASSPHRASE, _("under a passphrase that is not stored")),
        (UNDER_RING, _("under the signer's key-encryption key")),
        (ON_TOKEN, _("on a token (PKCS#11)")),
        (ELSEWHERE, _("not with this console")),
    ]
    # Where the signer can use a key without asking anybody.
    AT_HAND = (UNDER_RING, ON_TOKEN)

    name = models.CharField(_("name"), max_length=64, unique=True)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    certificate = models.OneToOneField(
        "Certificate", null=True, on_delete=models.PROTECT, related_name="speaks_for"
    )
    algorithm = models.CharField(_("key"), max_length=10, choices=ALGORITHM_CHOICES)
    key_id = models.CharField(max_length=64, unique=True)
    # In addresses that are burnt into certificates: the beginning of the key's id, so that it
    # outlives this database.
    public_id = models.CharField(max_length=16, unique=True)
    key_kept = models.CharField(max_length=10, choices=KEPT)
    # Empty where the key is on a token, or not here at all.
    key_sealed = models.BinaryField(default=bytes)
    # Where on the token: {"token": label, "id": hex}.
    token = models.JSONField(default=dict, blank=True)
    permitted = models.JSONField(default=list)
    origin = models.CharField(_("public address"), max_length=200, blank=True)
    created_at = models.DateTimeField()
    # Its request, while a root that is not here is to sign it.
    csr_pem = models.TextField(blank=True)
    # From here on its successor signs; what it signed stays valid, and it still signs its lists.
    retired_at = models.DateTimeField(null=True, blank=True)
    successor = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="predecessors"
    )
    imported_at = models.DateTimeField(null=True, blank=True)
    # Hexadecimal: what an imported authority's serial file said. New serial numbers are above it.
    serial_floor = models.CharField(max_length=40, blank=True)

    objects = IssuerQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_root(self) -> bool:
        return self.parent_id is None and not self.is_waiting

    @property
    def is_waiting(self) -> bool:
        """Its key is here, and a root elsewhere has yet to sign its certificate."""
        return self.certificate_id is None and bool(self.csr_pem)

    @property
    def identity(self) -> str:
        """Whose key a sealed key is: authenticated with it."""
        return f"authority {self.key_id}"

    @property
    def subtrees(self) -> names.Subtrees:
        return names.parse_subtrees(self.permitted)

    @property
    def parsed(self) -> x509.Certificate:
        if self.certificate is None:
            raise ValueError(f"{self.name} has no certificate yet")
        return self.certificate.parsed

    @property
    def addresses(self) -> Addresses:
        """What certificates signed by this issuer say about where to find it."""
        if not self.origin:
            return Addresses()
        base = f"{self.origin}/pki/{self.public_id}"
        ocsp = f"{base}/ocsp" if self.has_key_at_hand else ""
        return Addresses(issuer=f"{base}.crt", crl=f"{base}.crl", ocsp=ocsp)

    @property
    def delta_address(self) -> str:
        """Where its delta lists are, "" for nowhere."""
        if not self.origin or not self.has_key_at_hand:
            return ""
        return f"{self.origin}/pki/{self.public_id}-delta.crl"

    @property
    def has_key_at_hand(self) -> bool:
        """Whether the signer can sign for it without asking: its lists, its OCSP responder."""
        return self.key_kept in self.AT_HAND

    def able_to_issue(self, at: datetime) -> bool:
        certificate = self.certificate
        return (
            not self.is_root
            and self.key_kept in self.AT_HAND
            and self.retired_at is None
            and certificate is not None
            and certificate.is_valid(at)
            and all(
                above.certificate is not None and above.certificate.is_valid(at)
                for above in self.path()[1:]
            )
        )

    @property
    def limits(self) -> names.Limits:
        """What it may sign for: within its own limits, and those of all above it."""
        above = (each.certificate for each in self.path()[1:])
        found = (_limits(certificate.pem) for certificate in above if certificate is not None)
        return names.Limits(self.subtrees, tuple(each for each in found if each is not None))

    def in_charge(self, at: datetime) -> Issuer:
        """Who signs now what this one would have: itself, or once it is retired its successor."""
        found, seen = self, {self.pk}
        while not found.able_to_issue(at) and found.successor and found.successor_id not in seen:
            found = found.successor
            seen.add(found.pk)
        return found if found.able_to_issue(at) else self

    def path(self) -> list[Issuer]:
        """This issuer, its parent, … up to the root."""
        found: list[Issuer] = []
        issuer: Issuer | None = self
        while issuer is not None and issuer not in found:
            found.append(issuer)
            issuer = issuer.parent
        return found
