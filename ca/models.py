"""Issuers, orders, certificates, ceremonies and revocation lists.

An issuer is a key with a name; its certificate is what its parent says about that key (a root says
it itself). A ceremony is one use of a root's passphrase: it makes a root with its issuing
authority, or an issuing authority under a root that exists.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ca import names, profiles, states, wording
from ca.keys import ALGORITHM_LABELS
from ca.template import Addresses
from core.leases import Leased, unheld

ALGORITHM_CHOICES = list(ALGORITHM_LABELS.items())


class IssuerQuerySet(models.QuerySet["Issuer"]):
    def roots(self) -> IssuerQuerySet:
        return self.filter(parent=None)

    def issuing(self) -> IssuerQuerySet:
        """Those that sign certificates for others than authorities."""
        return self.exclude(parent=None)

    def able_to_issue(self, at: datetime) -> IssuerQuerySet:
        """Issuing authorities whose key the signer can use without asking anybody."""
        return (
            self.issuing()
            .filter(key_kept=Issuer.UNDER_RING, certificate__state=Certificate.VALID)
            .filter(certificate__not_after__gt=at, certificate__not_before__lte=at)
        )

    def by_public_id(self, public_id: str) -> IssuerQuerySet:
        return self.filter(public_id=public_id)


class Issuer(models.Model):
    """An authority: a key that signs. A root has no parent."""

    UNDER_PASSPHRASE = "passphrase"  # noqa: S105 - says where a key is kept
    UNDER_RING = "ring"
    KEPT = [
        (UNDER_PASSPHRASE, _("under a passphrase that is not stored")),
        (UNDER_RING, _("under the signer's key-encryption key")),
    ]

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
    key_sealed = models.BinaryField()
    permitted = models.JSONField(default=list)
    origin = models.CharField(_("public address"), max_length=200, blank=True)
    created_at = models.DateTimeField()

    objects = IssuerQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_root(self) -> bool:
        return self.parent_id is None

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
        return Addresses(issuer=f"{base}.crt", crl=f"{base}.crl")

    def able_to_issue(self, at: datetime) -> bool:
        certificate = self.certificate
        return (
            not self.is_root
            and self.key_kept == self.UNDER_RING
            and certificate is not None
            and certificate.is_valid(at)
        )

    def path(self) -> list[Issuer]:
        """This issuer, its parent, … up to the root."""
        found: list[Issuer] = []
        issuer: Issuer | None = self
        while issuer is not None and issuer not in found:
            found.append(issuer)
            issuer = issuer.parent
        return found


class CertificateQuerySet(models.QuerySet["Certificate"]):
    def leaves(self) -> CertificateQuerySet:
        return self.exclude(profile__in=profiles.AUTHORITY_PROFILES)

    def valid(self, at: datetime) -> CertificateQuerySet:
        return self.filter(state=Certificate.VALID, not_after__gt=at)

    def expired(self, at: datetime) -> CertificateQuerySet:
        """Those that would still count, had they not ended."""
        return self.filter(not_after__lte=at).exclude(state=Certificate.REVOKED)

    def expiring(self, at: datetime, *, within: timedelta) -> CertificateQuerySet:
        return self.valid(at).filter(not_after__lte=at + within)

    def in_state(self, state: str, at: datetime) -> CertificateQuerySet:
        """As people say it: "expired" is a state here, and what is expired is not valid."""
        if state == Certificate.EXPIRED:
            return self.expired(at)
        if state == Certificate.REVOKED:
            return self.filter(state=state)
        return self.filter(state=state, not_after__gt=at)

    def matching(self, text: str) -> CertificateQuerySet:
        """Those whose name, subject, serial or fingerprint has `text` in it."""
        wanted = text.strip().lower()
        plain = wanted.replace(":", "").replace(" ", "").removeprefix("0x")
        if len(plain) >= 8 and all(letter in "0123456789abcdef" for letter in plain):
            return self.filter(
                Q(serial__startswith=plain.lstrip("0"))
                | Q(fingerprint_sha256__startswith=plain)
                | Q(search__contains=wanted)
            )
        for word in wanted.split():
            try:
                ascii_word = names.parse(word).value
            except names.BadName:
                ascii_word = word
            self = self.filter(Q(search__contains=word) | Q(search__contains=ascii_word))
        return self

    def soonest_first(self) -> CertificateQuerySet:
        return self.order_by("not_after", "pk")


class Certificate(models.Model):
    """A certificate that was signed here (or, later, imported)."""

    VALID, HELD, SUPERSEDED, REVOKED = "valid", "held", "superseded", "revoked"
    EXPIRED = "expired"
    STATES = [
        (VALID, _("valid")),
        (HELD, _("on hold")),
        (SUPERSEDED, _("superseded")),
        (REVOKED, _("revoked")),
    ]

    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="certificates")
    profile = models.CharField(_("profile"), max_length=20)
    state = models.CharField(_("state"), max_length=12, choices=STATES, default=VALID)
    serial = models.CharField(_("serial number"), max_length=40)
    subject = models.CharField(_("subject"), max_length=400, blank=True)
    names = models.JSONField(default=list)
    key_id = models.CharField(max_length=64, db_index=True)
    key_label = models.CharField(_("key"), max_length=20)
    fingerprint_sha256 = models.CharField(max_length=64, unique=True)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    issued_at = models.DateTimeField()
    pem = models.TextField()
    search = models.TextField(editable=False)
    first_served_at = models.DateTimeField(null=True)
    superseded_by = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="supersedes"
    )
    revoked_at = models.DateTimeField(null=True)
    revocation_reason = models.CharField(max_length=24, blank=True)

    objects = CertificateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "serial"], name="ca_serial_once_an_issuer"),
            models.CheckConstraint(
                name="ca_revoked_has_a_date",
                condition=Q(state__in=["revoked", "held"], revoked_at__isnull=False)
                | Q(state__in=["valid", "superseded"], revoked_at=None, revocation_reason=""),
            ),
        ]
        indexes = [
            models.Index(fields=["not_after", "id"], name="ca_cert_by_end"),
            models.Index(fields=["state", "not_after", "id"], name="ca_cert_by_state"),
            models.Index(fields=["issuer", "not_after", "id"], name="ca_cert_by_issuer"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """The name people know it by."""
        if self.names:
            return str(self.names[0])
        common = x509.Name.from_rfc4514_string(self.subject).get_attributes_for_oid(
            NameOID.COMMON_NAME
        )
        return str(common[0].value) if common else self.subject or self.serial

    @property
    def more_names(self) -> int:
        return len(self.names) - 1

    @property
    def shown_names(self) -> list[str]:
        """Names for people: international ones in their own script, with the xn-- form."""
        shown = [(name, names.Name("dns", name).shown()) for name in self.names]
        return [name if name == own else f"{own} ({name})" for name, own in shown]

    @property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pem.encode())

    @property
    def der(self) -> bytes:
        return self.parsed.public_bytes(Encoding.DER)

    def is_expired(self, at: datetime) -> bool:
        return self.not_after <= at

    def is_valid(self, at: datetime) -> bool:
        return self.state == self.VALID and self.not_before <= at < self.not_after

    def shown_state(self, at: datetime) -> str:
        """The state as people say it, `in_state`'s counterpart."""
        if self.state != self.REVOKED and self.is_expired(at):
            return self.EXPIRED
        return self.state

    def authorities(self) -> list[Certificate]:
        """The issuer's certificate, its issuer's, … and the root's."""
        own = self.issuer.path()
        above = own[1:] if self.profile in profiles.AUTHORITY_PROFILES and self._is_own() else own
        return [issuer.certificate for issuer in above if issuer.certificate is not None]

    def _is_own(self) -> bool:
        """A root's certificate: its issuer is itself."""
        return self.issuer.certificate_id == self.pk

    @property
    def fullchain_pem(self) -> str:
        """This certificate and the issuing authorities above it, without the root: what a TLS
        server sends (RFC 8446 section 4.4.2)."""
        return self.pem + self.chain_pem

    @property
    def chain_pem(self) -> str:
        """The issuing authorities above this certificate, without the root."""
        return "".join(each.pem for each in self.authorities() if not each._is_own())

    @property
    def root_pem(self) -> str:
        """What a client must trust."""
        above = self.authorities()
        return above[-1].pem if above else self.pem


class OrderQuerySet(models.QuerySet["Order"]):
    def due(self, at: datetime) -> OrderQuerySet:
        """Orders that the signer should take: they have their CSR, and nobody holds them."""
        return self.filter(state__in=[Order.REQUESTED, Order.SIGNING]).filter(unheld(at))

    def open(self) -> OrderQuerySet:
        return self.filter(state__in=[Order.REQUESTED, Order.AWAITING_CSR, Order.SIGNING])


class Order(Leased):
    """A wish for a certificate, from the request to the certificate or the refusal."""

    REQUESTED, AWAITING_CSR, SIGNING = "requested", "awaiting_csr", "signing"
    ISSUED, REFUSED = "issued", "refused"
    STATES = [
        (REQUESTED, _("requested")),
        (AWAITING_CSR, _("waiting for the key")),
        (SIGNING, _("being signed")),
        (ISSUED, _("issued")),
        (REFUSED, _("refused")),
    ]

    state = models.CharField(_("state"), max_length=14, choices=STATES, default=REQUESTED)
    profile = models.CharField(_("profile"), max_length=20)
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="orders")
    names = models.JSONField(default=list)
    subject = models.JSONField(default=dict)
    days = models.PositiveIntegerField(_("days"))
    csr_pem = models.TextField(blank=True)
    key_id = models.CharField(max_length=64, blank=True, db_index=True)
    certificate = models.OneToOneField(
        Certificate, null=True, on_delete=models.PROTECT, related_name="order"
    )
    reason_code = models.CharField(max_length=60, blank=True)
    reason_detail = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="ca_order_issued_has_its_certificate",
                condition=Q(state="issued", certificate__isnull=False)
                | (~Q(state="issued") & Q(certificate=None)),
            ),
            models.CheckConstraint(
                name="ca_order_refused_has_its_reason",
                condition=Q(state="refused", reason_code__gt="")
                | (~Q(state="refused") & Q(reason_code="")),
            ),
        ]
        indexes = [models.Index(fields=["state", "lease_until"], name="ca_order_due")]

    def __str__(self) -> str:
        return ", ".join(self.names[:3]) or f"#{self.pk}"

    @property
    def is_final(self) -> bool:
        return self.state in states.final(states.ORDER)

    @property
    def reason(self) -> str:
        """Why it was refused and what to do next, in the reader's language."""
        return wording.sentence(self.reason_code, self.reason_detail) if self.reason_code else ""


class CeremonyQuerySet(models.QuerySet["Ceremony"]):
    def due(self, at: datetime) -> CeremonyQuerySet:
        return self.filter(state__in=[Ceremony.REQUESTED, Ceremony.WORKING]).filter(unheld(at))

    def open(self) -> CeremonyQuerySet:
        return self.filter(state__in=[Ceremony.REQUESTED, Ceremony.WORKING])


class Ceremony(Leased):
    """One use of a root's passphrase. `wish` is what `authorities.Wish` holds, as JSON.

    The passphrase is here only sealed to the signer, and only until it was used.
    """

    HIERARCHY, ISSUING, LIST = "hierarchy", "issuing", "list"
    KINDS = [
        (HIERARCHY, _("a root and an issuing authority")),
        (ISSUING, _("an issuing authority under a root")),
        (LIST, _("a root's revocation list")),
    ]
    REQUESTED, WORKING, DONE, REFUSED = "requested", "working", "done", "refused"
    STATES = [
        (REQUESTED, _("waiting for the signer")),
        (WORKING, _("being carried out")),
        (DONE, _("done")),
        (REFUSED, _("refused")),
    ]

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=10, choices=KINDS)
    state = models.CharField(max_length=10, choices=STATES, default=REQUESTED)
    wish = models.JSONField(default=dict)
    root = models.ForeignKey(Issuer, null=True, on_delete=models.PROTECT, related_name="ceremonies")
    made = models.ForeignKey(Issuer, null=True, on_delete=models.PROTECT, related_name="+")
    passphrase_sealed = models.BinaryField(default=bytes)
    steps = models.JSONField(default=list)
    # The fence when it was last asked for: claims are counted from there.
    first_fence = models.PositiveBigIntegerField(default=0, editable=False)
    reason_code = models.CharField(max_length=60, blank=True)
    reason_detail = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    objects = CeremonyQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="ca_ceremony_ends_without_passphrase",
                condition=Q(state__in=["requested", "working"]) | Q(passphrase_sealed=b""),
            ),
            models.CheckConstraint(
                name="ca_ceremony_refused_has_its_reason",
                condition=Q(state="refused", reason_code__gt="")
                | (~Q(state="refused") & Q(reason_code="")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"

    @property
    def title(self) -> str:
        """The name of what it makes, or of the root it opens."""
        for part in ("root", "issuing"):
            if self.wish.get(part):
                return str(self.wish[part]["name"])
        return self.root.name if self.root else ""

    @property
    def context(self) -> str:
        """What the sealed passphrase is, and whose."""
        return f"ceremony {self.uuid}"

    @property
    def is_final(self) -> bool:
        return self.state in (self.DONE, self.REFUSED)

    @property
    def reason(self) -> str:
        return wording.sentence(self.reason_code, self.reason_detail) if self.reason_code else ""


class RevocationListQuerySet(models.QuerySet["RevocationList"]):
    def due(self, at: datetime) -> RevocationListQuerySet:
        """Lists that the signer should renew: it can use the key, and the issuer still lives."""
        return (
            self.filter(renew_at__lte=at, issuer__key_kept=Issuer.UNDER_RING)
            .filter(issuer__certificate__not_after__gt=at)
            .filter(unheld(at))
        )


class RevocationList(Leased):
    """The newest full list of an issuer, as it is served."""

    issuer = models.OneToOneField(Issuer, on_delete=models.PROTECT, related_name="revocation_list")
    number = models.PositiveBigIntegerField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField()
    renew_at = models.DateTimeField(db_index=True)
    entries = models.PositiveIntegerField(default=0)
    der = models.BinaryField()

    objects = RevocationListQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.issuer} #{self.number}"


def search_text(parts: Iterable[str]) -> str:
    """What `matching` looks in: lower-case, each part once."""
    return " ".join(dict.fromkeys(part.lower() for part in parts if part))
