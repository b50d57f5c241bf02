"""Something put live: on one host or many, step by step."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from core.leases import Leased, rested, unheld
from deploy.models.generations import Generation
from deploy.models.hosts import Host


class Rollout(models.Model):
    """Something put live, on one host or on many."""

    created_at = models.DateTimeField(db_index=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    starts_at = models.DateTimeField(null=True, help_text="not before; at once when empty")
    stopped_at = models.DateTimeField(null=True, help_text="no further host begins")

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"#{self.pk}"


class HostRolloutQuerySet(models.QuerySet["HostRollout"]):
    def open(self) -> "HostRolloutQuerySet":
        return self.filter(state__in=HostRollout.OPEN)

    def under_way(self) -> "HostRolloutQuerySet":
        """Open, and not just planned for a time of day, before which nothing changes there."""
        return self.open().exclude(state=HostRollout.PLANNED, rollout__starts_at__isnull=False)

    def due(self, at: datetime) -> "HostRolloutQuerySet":
        """Rollouts that may go on now and that no worker holds: the time has come, and every host
        of an earlier turn is confirmed."""
        # Subqueries, not joins: a claim stays one conditional update of the row itself.
        later = Rollout.objects.filter(pk=OuterRef("rollout"), starts_at__gt=at)
        earlier = HostRollout.objects.filter(
            rollout=OuterRef("rollout"), turn__lt=OuterRef("turn")
        ).exclude(state=HostRollout.CONFIRMED)
        return (
            self.open()
            .filter(unheld(at))
            .filter(rested(at))
            .filter(~Exists(later), ~Exists(earlier))
        )


class HostRollout(Leased):
    """One generation on its way to one host. The states and their order: `deploy.rollout.TABLE`."""

    PLANNED, STAGING, VALIDATING = "planned", "staging", "validating"
    SWITCHING, PROBING, CONFIRMED = "switching", "probing", "confirmed"
    REFUSED, ROLLED_BACK, ROLLBACK_FAILED = "refused", "rolled_back", "rollback_failed"
    STATES = [
        (PLANNED, _("Planned")),
        (STAGING, _("Copying")),
        (VALIDATING, _("Being checked on the host")),
        (SWITCHING, _("Switching")),
        (PROBING, _("Being proved")),
        (CONFIRMED, _("Live and proved")),
        (REFUSED, _("Refused, nothing was touched")),
        (ROLLED_BACK, _("Rolled back")),
        (ROLLBACK_FAILED, _("Rollback failed")),
    ]
    OPEN = (PLANNED, STAGING, VALIDATING, SWITCHING, PROBING)

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="hosts")
    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="rollouts")
    generation = models.ForeignKey(Generation, on_delete=models.PROTECT, related_name="+")
    base = models.PositiveIntegerField(help_text="the generation that was live when it was asked")
    turn = models.PositiveSmallIntegerField(
        default=0, help_text="hosts of a later turn begin when every earlier one is confirmed"
    )
    state = models.CharField(max_length=16, choices=STATES, default=PLANNED, db_index=True)
    problem = models.CharField(max_length=40, blank=True, help_text="code, see deploy.sentences")
    problem_detail = models.TextField(blank=True)
    receipt = models.JSONField(default=dict)
    overwrites = models.JSONField(
        default=dict, help_text="files changed on the host that somebody has seen: path to mark"
    )
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    give_up_at = models.DateTimeField(null=True)

    objects = HostRolloutQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["host"],
                condition=Q(state__in=["planned", "staging", "validating", "switching", "probing"]),
                name="one_open_rollout_a_host",
            )
        ]

    def __str__(self) -> str:
        return f"{self.generation}"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class RolloutStep(models.Model):
    """One line of a rollout's log. `ok` None means that the step is under way."""

    host_rollout = models.ForeignKey(HostRollout, on_delete=models.CASCADE, related_name="steps")
    at = models.DateTimeField()
    phase = models.CharField(max_length=16, choices=HostRollout.STATES)
    name = models.CharField(max_length=60)
    ok = models.BooleanField(null=True)
    detail = models.TextField(blank=True)
    ms = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name
