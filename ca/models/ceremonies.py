"""Ceremonies: work of the signer on an authority, one use of a root's passphrase each."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ca.models.asked import Asked
from ca.models.issuers import Issuer
from core.leases import unheld


class CeremonyQuerySet(models.QuerySet["Ceremony"]):
    def due(self, at: datetime) -> CeremonyQuerySet:
        return self.filter(state__in=[Ceremony.REQUESTED, Ceremony.WORKING]).filter(unheld(at))

    def open(self) -> CeremonyQuerySet:
        return self.filter(state__in=[Ceremony.REQUESTED, Ceremony.WORKING])


class Ceremony(Asked):
    """One use of a root's passphrase. `wish` is what `authorities.Wish` holds, as JSON.

    The passphrase is here only sealed to the signer, and only until it was used.
    """

    HIERARCHY, ROOT, ISSUING, LIST = "hierarchy", "root", "issuing", "list"
    REQUEST, REISSUE, SUBORDINATE, IMPORT = "request", "reissue", "subordinate", "import"
    KINDS = [
        (HIERARCHY, _("a root and an issuing authority")),
        (ROOT, _("a root")),
        (REQUEST, _("a key and its request, for a root that is elsewhere")),
        (REISSUE, _("a root's certificate anew, with the same key")),
        (SUBORDINATE, _("an authority's certificate for a request from elsewhere")),
        (IMPORT, _("an authority from elsewhere")),
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
    kind = models.CharField(max_length=12, choices=KINDS)
    state = models.CharField(max_length=10, choices=STATES, default=REQUESTED)
    wish = models.JSONField(default=dict)
    root = models.ForeignKey(Issuer, null=True, on_delete=models.PROTECT, related_name="ceremonies")
    made = models.ForeignKey(Issuer, null=True, on_delete=models.PROTECT, related_name="+")
    passphrase_sealed = models.BinaryField(default=bytes)
    # An imported key as its owner had it, sealed to the signer like the passphrase.
    material_sealed = models.BinaryField(default=bytes)
    steps = models.JSONField(default=list)
    # The fence when it was last asked for: claims are counted from there.
    first_fence = models.PositiveBigIntegerField(default=0, editable=False)

    objects = CeremonyQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="ca_ceremony_ends_without_passphrase",
                condition=Q(state__in=["requested", "working"])
                | Q(passphrase_sealed=b"", material_sealed=b""),
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
