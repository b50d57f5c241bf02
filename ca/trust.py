"""Which roots the world may fetch here, and which certificate of each."""

from __future__ import annotations

from datetime import datetime

from ca.models import Certificate, Issuer, IssuerQuerySet


def roots(at: datetime) -> IssuerQuerySet:
    """Roots that a device can still be told to trust."""
    return (
        Issuer.objects.roots()
        .filter(certificate__not_after__gt=at, certificate__not_before__lte=at)
        .select_related("certificate")
    )


def newest(root: Issuer) -> Certificate:
    """A root that was signed anew with the same key has several: devices want the last one."""
    own = Certificate.objects.filter(issuer=root, key_id=root.key_id)
    found = own.order_by("-not_before", "-pk").first() or root.certificate
    if found is None:
        raise ValueError(f"{root} has no certificate")
    return found


def signed_for(root: Issuer) -> list[str]:
    """What the authorities below may sign for: domains and networks. Empty: any name."""
    found: set[str] = set()
    for issuer in root.children.exclude(certificate=None):
        if not issuer.permitted:
            return []
        found.update(issuer.permitted)
    return sorted(found)
