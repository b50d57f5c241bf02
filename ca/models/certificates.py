"""Certificates that were signed here, and the words to find them by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.db import connections, models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ca import names, profiles, sought
from core.search import ID_BITS, RARE, Searchable, TextIndex, like

# Not on the list of certificates unless it is asked for: what the console makes for itself.
NOT_LISTED = frozenset({*profiles.AUTHORITY_PROFILES, "ocsp"})
# Beyond it (the year 2242) certificates stand in the order of their ids.
_LATEST = (1 << 33) - 1
SEARCH = TextIndex(
    table="ca_certificate",
    column="search",
    place=f"((max(0, min(CAST(strftime('%s', {{row}}.not_after) AS INTEGER), {_LATEST}))"
    f" << {ID_BITS}) | {{row}}.id)",
)


def place_of(not_after: datetime, pk: int) -> int:
    """Where a certificate stands in the search index: by its end, then by its id."""
    return max(0, min(int(not_after.timestamp()), _LATEST)) << ID_BITS | pk


@lru_cache(maxsize=32)
def _parsed(pem: str) -> x509.Certificate:
    """An authority's certificate is read for each one it signs, and what depends on it is kept
    with it."""
    return x509.load_pem_x509_certificate(pem.encode())


def _begins(field: str, digits: str) -> Q:
    """As a range, which an index finds on either database; "g" follows every hexadecimal digit."""
    return Q(**{f"{field}__gte": digits, f"{field}__lt": digits + "g"})


class CertificateQuerySet(Searchable, models.QuerySet["Certificate"]):  # type: ignore[misc]
    text_index = SEARCH

    def leaves(self) -> CertificateQuerySet:
        """Neither authorities' nor the console's own short-lived ones."""
        return self.exclude(profile__in=NOT_LISTED)

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

    def matching(self, text: str, *, by_end: bool = False) -> CertificateQuerySet:
        """Those whose name or subject has every word of `text` in it, or whose serial number or
        fingerprint begins with it (see `ca.sought`).

        `by_end`: the rows will be read in the order of their end, which the index has
        (`is_by_place`).
        """
        asked = sought.read(text)
        if asked.is_nothing:
            return self.none()
        numbered = self._numbered(asked) if asked.number else None
        if not asked.groups:
            return self.none() if numbered is None else self.filter(numbered)
        if by_end and numbered is None:
            return self.by_place(asked.groups)
        hits = self.hits(asked.groups)
        worded = like(SEARCH, asked.groups)
        if hits is not None:
            worded &= Q(pk__in=hits)
        return self.filter(worded if numbered is None else worded | numbered)

    def _numbered(self, asked: sought.Sought) -> Q | None:
        """Rows with this number; None when the index says that there is none."""
        serial = asked.number.lstrip("0") or "0"
        if asked.whole:
            found = Q(serial=serial)
        else:
            found = (
                _begins("serial", serial)
                | _begins("fingerprint_sha256", asked.number)
                | _begins("fingerprint_sha1", asked.number)
            )
        if connections[self.db].vendor != "sqlite":
            return found
        # The ids first: SQLite finds no plan for an OR over four indexes and LIKE.
        rows = Certificate.objects.using(self.db).filter(found).order_by()
        ids = list(rows.values_list("pk", flat=True)[: RARE + 1])
        if len(ids) > RARE:
            return Q(serial__startswith=serial) | Q(fingerprint_sha256__startswith=asked.number)
        return Q(pk__in=ids) if ids else None

    @property
    def is_by_place(self) -> bool:
        """Whether rows come with `place` (`place_of`), to be ordered by it."""
        return "place" in self.query.annotations

    def soonest_first(self) -> CertificateQuerySet:
        return self.order_by("not_after", "pk")


class Certificate(models.Model):
    """A certificate that was signed here."""

    VALID, HELD, SUPERSEDED, REVOKED = "valid", "held", "superseded", "revoked"
    EXPIRED = "expired"
    STATES = [
        (VALID, _("valid")),
        (HELD, _("on hold")),
        (SUPERSEDED, _("superseded")),
        (REVOKED, _("revoked")),
    ]

    issuer = models.ForeignKey("ca.Issuer", on_delete=models.PROTECT, related_name="certificates")
    profile = models.CharField(_("profile"), max_length=20)
    state = models.CharField(_("state"), max_length=12, choices=STATES, default=VALID)
    serial = models.CharField(_("serial number"), max_length=40)
    subject = models.CharField(_("subject"), max_length=400, blank=True)
    names = models.JSONField(default=list)
    key_id = models.CharField(max_length=64, db_index=True)
    key_label = models.CharField(_("key"), max_length=20)
    fingerprint_sha256 = models.CharField(max_length=64, unique=True)
    # Windows calls it the thumbprint, and people search by what they see.
    fingerprint_sha1 = models.CharField(max_length=40, blank=True, db_index=True)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    issued_at = models.DateTimeField()
    pem = models.TextField()
    search = models.TextField(editable=False)
    first_served_at = models.DateTimeField(null=True)
    superseded_by = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="supersedes"
    )
    # The one it takes the place of; that one is superseded once this is confirmed as served.
    renews = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="renewals"
    )
    batch = models.ForeignKey(
        "ca.Batch", null=True, blank=True, on_delete=models.PROTECT, related_name="certificates"
    )
    # Signed elsewhere, by the authority's owner before the console had its key.
    imported_at = models.DateTimeField(null=True, blank=True)
    # The days before the end that people were last told of: 30, 14, 7 or 1.
    noticed_days = models.PositiveSmallIntegerField(null=True, blank=True)
    # Also the beginning of a hold. The reason is RFC 5280's name for it, such as "keyCompromise".
    revoked_at = models.DateTimeField(null=True)
    revocation_reason = models.CharField(max_length=24, blank=True)
    # The end of the last hold: a delta list says it until the next full one.
    released_at = models.DateTimeField(null=True, blank=True)

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
            models.Index(fields=["profile", "not_after", "id"], name="ca_cert_by_profile"),
            models.Index(fields=["serial"], name="ca_cert_by_serial"),
            models.Index(fields=["state", "not_after", "id"], name="ca_cert_by_state"),
            models.Index(fields=["issuer", "not_after", "id"], name="ca_cert_by_issuer"),
            # For revocation lists: what is on one, and what changed since. The first has all that a
            # list says, which is then written without reading a certificate.
            models.Index(
                fields=["issuer", "revoked_at", "not_after", "serial", "revocation_reason"],
                condition=Q(revoked_at__isnull=False),
                name="ca_cert_revoked",
            ),
            models.Index(
                fields=["issuer", "released_at"],
                condition=Q(released_at__isnull=False),
                name="ca_cert_released",
            ),
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
        return _parsed(self.pem)

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
        above = own[1:] if self.is_own else own
        return [issuer.certificate for issuer in above if issuer.certificate is not None]

    @property
    def is_own(self) -> bool:
        """A root's certificate, the present one or one from before: its key signed it itself."""
        return self.key_id == self.issuer.key_id

    @property
    def fullchain_pem(self) -> str:
        """This certificate and the issuing authorities above it, without the root: what a TLS
        server sends (RFC 8446 section 4.4.2)."""
        return self.pem + self.chain_pem

    @property
    def chain_pem(self) -> str:
        """The issuing authorities above this certificate, without the root."""
        return "".join(each.pem for each in self.authorities() if not each.is_own)

    @property
    def root_pem(self) -> str:
        """What a client must trust."""
        above = self.authorities()
        return above[-1].pem if above else self.pem


def search_text(parts: Iterable[str]) -> str:
    """What `matching` looks in: lower-case, each part once, and what short words are found by.

    A space stands before each part, the first too: the beginning of a label is looked for with
    what is before it.
    """
    whole = list(dict.fromkeys(part.lower() for part in parts if part))
    apart = dict.fromkeys(run for part in whole for run in sought.spread_parts(part))
    return "".join(f" {part}" for part in (*whole, *apart))
