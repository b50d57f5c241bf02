"""How far the accounts of a host are."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.leases import Leased
from deploy.models.hosts import Host


class AccountPush(Leased):
    """How far a host's account database is. "Live" means `through_change >= change.pk`."""

    IDLE, CURRENT, FAILED, HOST_AHEAD, TOO_MANY = "idle", "current", "failed", "ahead", "too_many"
    STATES = [
        (IDLE, _("Not started")),
        (CURRENT, _("Current")),
        (FAILED, _("Being tried again")),
        (HOST_AHEAD, _("Stopped: newer there")),
        (TOO_MANY, _("Stopped: many removals")),
    ]
    STOPPED = (HOST_AHEAD, TOO_MANY)

    host = models.OneToOneField(Host, on_delete=models.CASCADE, related_name="account_push")
    lineage = models.CharField(max_length=64, blank=True)
    through_change = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=STATES, default=IDLE)
    problem = models.CharField(max_length=40, blank=True)
    problem_detail = models.TextField(blank=True)
    force = models.BooleanField(default=False, help_text="an operator said to go on, once")
    pushed_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    took_ms = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.host}: {self.through_change}"

    @property
    def is_stopped(self) -> bool:
        return self.state in self.STOPPED
