"""Mail domains: where they live, what they allow."""

from __future__ import annotations

from django.apps import apps
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts import addresses, states
from accounts.models.scope import Scoped


class DomainQuerySet(Scoped, models.QuerySet["Domain"]):  # type: ignore[misc]
    domain_field = "name"

    def on(self, host: str) -> DomainQuerySet:
        """The domains of one host, by its uuid."""
        return self.filter(host=host)

    def without_host(self) -> DomainQuerySet:
        return self.filter(host="")

    def with_counts(self) -> DomainQuerySet:
        """Adds `mailboxes` (without the erased) and `aliases`, counted without joining the two."""

        def count(model: str, *gone: str) -> models.Subquery:
            rows = apps.get_model("accounts", model)._default_manager
            rows = rows.filter(domain=models.OuterRef("pk")).order_by()
            if gone:
                rows = rows.exclude(state__in=gone)
            return models.Subquery(
                rows.values("domain").annotate(n=models.Count("pk")).values("n"),
                output_field=models.IntegerField(),
            )

        return self.annotate(
            mailboxes=models.functions.Coalesce(count("Mailbox", states.ERASED), 0),
            aliases=models.functions.Coalesce(count("Alias"), 0),
        )


class PasswordRule(models.TextChoices):
    """Which of `passwords.PRESETS`, or the domain's own numbers."""

    STRONG = "strong", _("12 characters, hard to guess")
    LONG = "long", _("15 characters, anything")
    OWN = "own", _("Own numbers")


class Domain(models.Model):
    """A mail domain. `name` is what DNS holds (A-labels); `unicode_name` is what people read.

    `most_mailboxes` and `most_quota_mb` are limits, `quota_mb` is what a new mailbox gets; None is
    no limit. `least_length` and `least_score` count where `password_rule` is "own". `host_since` is
    when it came to its host; None where that was before it was written down.
    """

    name = models.CharField(max_length=253, unique=True)
    host = models.CharField(max_length=36, blank=True, default="", db_index=True)
    host_since = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True, default="")
    most_mailboxes = models.PositiveIntegerField(null=True, blank=True)
    quota_mb = models.PositiveIntegerField(null=True, blank=True)
    most_quota_mb = models.PositiveIntegerField(null=True, blank=True)
    password_rule = models.CharField(
        max_length=6, choices=PasswordRule.choices, default=PasswordRule.STRONG
    )
    least_length = models.PositiveSmallIntegerField(default=12)
    least_score = models.PositiveSmallIntegerField(default=3)
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()

    objects = DomainQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(name=Lower("name")), name="domain_name_lower"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def unicode_name(self) -> str:
        return addresses.unicode_domain(self.name)
