"""Addresses that lead elsewhere."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext as _

from accounts import addresses
from accounts.models.domains import Domain
from accounts.models.scope import Scoped


class AliasQuerySet(Scoped, models.QuerySet["Alias"]):  # type: ignore[misc]
    def on(self, host: str) -> AliasQuerySet:
        return self.filter(domain__host=host)


class Alias(models.Model):
    """An address without a mailbox; its mail goes to every address in `targets`.

    A catch-all is one whose local part is `*`: what its domain has no other recipient for.
    """

    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="+")
    local_part = models.CharField(max_length=64)
    address = models.CharField(max_length=318, unique=True)
    targets = models.JSONField(default=list)
    expires_at = models.DateTimeField(null=True, blank=True)
    revision = models.PositiveIntegerField(default=1)
    note = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField()

    objects = AliasQuerySet.as_manager()

    class Meta:
        ordering = ["address"]
        indexes = [models.Index(fields=["domain", "address"], name="alias_domain_address")]
        constraints = [
            models.UniqueConstraint(fields=["domain", "local_part"], name="alias_once"),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def is_catch_all(self) -> bool:
        return self.local_part == addresses.CATCH_ALL

    @property
    def label(self) -> str:
        """The address as people read it."""
        if self.is_catch_all:
            domain = self.unicode_address.rpartition("@")[2]
            return _("everything else @%(domain)s") % {"domain": domain}
        return self.unicode_address

    @property
    def unicode_address(self) -> str:
        return addresses.unicode_address(self.address)

    @property
    def unicode_targets(self) -> list[str]:
        return [addresses.unicode_address(target) for target in self.targets]
