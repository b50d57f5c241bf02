"""What is known of hosts without anything being put live: probes, alarms, changed files."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.leases import Leased, unheld
from deploy.models.hosts import Host


class Probing(models.Model):
    """What a host's daemons answered when they were probed last (`deploy.probing`).

    `results`: {"kind", "protocol", "port", "ok", "evidence", "ms", "since"} each.
    """

    host = models.OneToOneField(Host, on_delete=models.CASCADE, related_name="probing")
    asked_at = models.DateTimeField(null=True, help_text="when a worker began")
    wanted_at = models.DateTimeField(null=True, help_text="somebody wants it at once")
    at = models.DateTimeField(null=True, help_text="of the answers")
    signed_in_at = models.DateTimeField(
        null=True, help_text="when a login was last made for it, to sign in and to send"
    )
    generation = models.PositiveIntegerField(null=True)
    results = models.JSONField(default=list)

    def __str__(self) -> str:
        return str(self.host)


class Alarm(models.Model):
    """What people are told by mail of a host, for each kind of trouble (`deploy.notices`).

    `standing`: the things that they were told of and that are not well yet; `told`: thing to moment
    of the last mail about it.
    """

    PROBES, RENEWAL, UNREACHABLE = "probes", "renewal", "unreachable"
    KINDS = [
        (PROBES, _("Probes fail")),
        (RENEWAL, _("Renewal fails")),
        (UNREACHABLE, _("Not reachable")),
    ]

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="alarms")
    kind = models.CharField(max_length=12, choices=KINDS)
    standing = models.JSONField(default=list)
    told = models.JSONField(default=dict)
    is_open = models.BooleanField(default=False, help_text="told of, and not yet told to be well")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "kind"], name="one_alarm_a_host_and_kind")
        ]

    def __str__(self) -> str:
        return f"{self.host}: {self.kind}"


class HostNoticeQuerySet(models.QuerySet["HostNotice"]):
    def due(self, at: datetime) -> "HostNoticeQuerySet":
        return self.filter(sent_at=None, next_try_at__lte=at).filter(unheld(at))


class HostNotice(Leased):
    """One mail to one operator. `alarms`: {"alarm": pk, "things": [...], "well": bool} each."""

    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    alarms = models.JSONField(default=list)
    made_at = models.DateTimeField(db_index=True)
    next_try_at = models.DateTimeField(null=True, db_index=True)
    sent_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=400, blank=True, help_text="the mail server's answer")

    objects = HostNoticeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="host_notice_sent_or_to_be_tried",
                condition=Q(sent_at__isnull=False, next_try_at=None)
                | Q(sent_at=None, next_try_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class DriftedFile(models.Model):
    """A managed file as somebody changed it on the host, when the host was last asked.

    `mark` changes with the file. `choice` was made about `chosen_mark`: it stands until the file
    changes again.
    """

    CHANGED, REPLACED, RELINKED = "changed", "replaced", "relinked"
    MISSING, STRANGE, NOT_SHOWN = "missing", "strange", "not_shown"
    STATES = [
        (CHANGED, _("Changed")),
        (REPLACED, _("A file in place of the console's link")),
        (RELINKED, _("A link that leads elsewhere")),
        (MISSING, _("Missing")),
        (STRANGE, _("Not a plain file any more")),
        (NOT_SHOWN, _("Changed, and the helper there is too old to show it")),
    ]
    LEFT, TAKEN_OVER = "left", "taken"
    CHOICES = [(LEFT, _("Left as it is")), (TAKEN_OVER, _("Taken over into the own lines"))]

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="drifted_files")
    generation = models.PositiveIntegerField(null=True)
    path = models.CharField(max_length=255)
    name = models.CharField(max_length=100, help_text="below the generation, deploy.hostctl.paths")
    state = models.CharField(max_length=10, choices=STATES)
    mark = models.CharField(max_length=64)
    target = models.CharField(max_length=1000, blank=True, help_text="where the link leads")
    text = models.TextField(null=True)
    deployed = models.TextField(null=True)
    left_out = models.CharField(max_length=4, blank=True, help_text="key or size")
    seen_at = models.DateTimeField()
    choice = models.CharField(max_length=5, choices=CHOICES, blank=True)
    chosen_mark = models.CharField(max_length=64, blank=True)
    chosen_at = models.DateTimeField(null=True)
    chosen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["path"]
        constraints = [
            models.UniqueConstraint(fields=["host", "path"], name="drifted_path_once_a_host")
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def is_settled(self) -> bool:
        """Somebody decided about exactly this content."""
        return bool(self.choice) and self.chosen_mark == self.mark
