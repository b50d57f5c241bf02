"""How far an imported root has come on its way to what devices accept today.

    way = of(root, now)
    way.resigned, way.issuing, way.leaf      # each None until that step is done

The same key signs the root anew, so the certificates already out verify under both: devices that
trust the old root go on, and new ones install the new root.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ca.legacy import CROSSING
from ca.models import Ceremony, Certificate, Issuer


@dataclass(frozen=True)
class Way:
    """`notes` say what was found about the old root; `old` is its certificate as imported."""

    ceremony: Ceremony | None
    old: Certificate | None
    notes: tuple[str, ...]
    counts: dict[str, int]
    still_valid: int
    resigned: Certificate | None
    issuing: Issuer | None
    leaf: Certificate | None

    @property
    def needed(self) -> bool:
        """Whether the root as it was imported is refused by strict clients."""
        return bool(set(self.notes) & CROSSING)

    @property
    def crossed(self) -> bool:
        """The root that devices install from now on is one that they accept."""
        return self.resigned is not None or not self.needed


def of(root: Issuer, at: datetime) -> Way:
    ceremony = (
        Ceremony.objects.filter(kind=Ceremony.IMPORT, state=Ceremony.DONE, root=root)
        .order_by("-pk")
        .first()
    )
    own = root.certificates.filter(key_id=root.key_id)
    present = root.certificate
    resigned = present if present is not None and present.imported_at is None else None
    issuing = (
        Issuer.objects.able_to_issue(at).filter(parent=root).order_by("pk").first()
        or root.children.exclude(certificate=None).order_by("pk").first()
    )
    below = Certificate.objects.leaves().filter(issuer__parent=root, imported_at=None)
    old = root.certificates.filter(imported_at__isnull=False).exclude(key_id=root.key_id)
    return Way(
        ceremony=ceremony,
        old=own.filter(imported_at__isnull=False).order_by("pk").first(),
        notes=tuple(ceremony.wish.get("notes", ())) if ceremony else (),
        counts=dict(ceremony.wish.get("counts", {})) if ceremony else {},
        still_valid=old.valid(at).count(),
        resigned=resigned,
        issuing=issuing,
        leaf=below.order_by("pk").first(),
    )
