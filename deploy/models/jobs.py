"""Other work on a host that outlasts a page."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.leases import Leased, rested, unheld
from deploy.models.hosts import Host


class HostJobQuerySet(models.QuerySet["HostJob"]):
    def open(self) -> "HostJobQuerySet":
        return self.filter(state__in=[HostJob.WAITING, HostJob.RUNNING])

    def due(self, at: datetime) -> "HostJobQuerySet":
        return self.open().filter(unheld(at)).filter(rested(at))


class HostJob(Leased):
    """Work on a host that outlasts a page, with what the page shows of its progress."""

    PREPARE, CHECK, CERTIFICATE, PRACTISE = "prepare", "check", "certificate", "practise"
    LOOK, RELEASE = "look", "release"
    KINDS = [
        (PREPARE, _("Make a key for the console and read the server's")),
        (CHECK, _("Check the connection")),
        (CERTIFICATE, _("Certificate")),
        (PRACTISE, _("Make the practice host")),
        (LOOK, _("See what giving the server back would do")),
        (RELEASE, _("Give the server back")),
    ]
    WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
    STATES = [
        (WAITING, _("Waiting")),
        (RUNNING, _("Under way")),
        (DONE, _("Done")),
        (FAILED, _("Failed")),
    ]

    kind = models.CharField(max_length=12, choices=KINDS)
    host = models.ForeignKey(Host, null=True, on_delete=models.CASCADE, related_name="jobs")
    order = models.ForeignKey("ca.Order", null=True, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=STATES, default=WAITING)
    wish = models.JSONField(default=dict)
    found = models.JSONField(default=dict, help_text="what the host said, see deploy.leaving")
    step = models.CharField(max_length=200, blank=True)
    fraction = models.FloatField(default=0.0)
    problem = models.CharField(max_length=40, blank=True, help_text="code, see deploy.sentences")
    problem_detail = models.TextField(blank=True)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    finished_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)

    objects = HostJobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["host", "kind"],
                condition=Q(state__in=["waiting", "running"]),
                name="one_open_job_a_kind_and_host",
            ),
            models.UniqueConstraint(
                fields=["kind"],
                condition=Q(state__in=["waiting", "running"], kind="practise"),
                name="one_open_practise",
            ),
        ]

    def __str__(self) -> str:
        return self.kind

    @property
    def is_open(self) -> bool:
        return self.state in (self.WAITING, self.RUNNING)

    @property
    def percent(self) -> int:
        return round(100 * self.fraction)
