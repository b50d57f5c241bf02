"""Mail hosts, what was deployed to them, and the jobs that did it.

A `Host` is known by its name and reached by its address; a `Generation` is one whole configuration
that was put on it; a `Rollout` puts generations on hosts, one `HostRollout` for each, whose
`RolloutStep` rows are written as the steps happen. `HostJob` is any other work on a host that takes
longer than a page: making keys, checking the connection, a certificate, the practice host.
`AccountPush` says up to which change of the accounts a host is current.
"""

import json
import uuid
import zlib
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from core.leases import Leased, rested, unheld
from deploy.bundle import Bundle
from deploy.render import values


class HostQuerySet(models.QuerySet["Host"]):
    def ready(self) -> "HostQuerySet":
        return self.filter(state__in=[Host.READY, Host.UNREACHABLE])

    def lock(self, hosts: "Iterable[Host]") -> None:
        """Until the transaction ends, of whoever asks for the same one at a time goes on."""
        keys = [host.pk for host in hosts]
        list(self.filter(pk__in=keys).order_by("pk").select_for_update().values_list("pk"))

    def next_sequence(self, pk: int) -> int:
        """The next number for a writing request to the host; never handed out twice."""
        self.filter(pk=pk).update(sequence=F("sequence") + 1)
        return self.values_list("sequence", flat=True).get(pk=pk)


class Host(models.Model):
    """One mail server. Its key pair for SSH is made by a worker; the private half stays sealed."""

    ENROLLING, READY, UNREACHABLE = "enrolling", "ready", "unreachable"
    STATES = [
        (ENROLLING, _("Being added")),
        (READY, _("Ready")),
        (UNREACHABLE, _("Not reachable")),
    ]
    SENDMAIL, POSTFIX = "sendmail", "postfix"
    MTAS = [(SENDMAIL, "Sendmail"), (POSTFIX, "Postfix")]
    DEBIAN, FEDORA = "debian", "fedora"
    FAMILIES = [(DEBIAN, "Debian, Ubuntu"), (FEDORA, "Fedora, RHEL")]

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    fqdn = models.CharField(_("name"), max_length=253, unique=True)
    address = models.CharField(_("address"), max_length=253)
    ssh_port = models.PositiveIntegerField(
        _("SSH port"), default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    host_key = models.TextField(blank=True, help_text="OpenSSH public key, pinned")
    offered_host_key = models.TextField(blank=True, help_text="read from the host, not confirmed")
    ssh_private_key = models.BinaryField(null=True, help_text="sealed, ring 'ssh'")
    ssh_public_key = models.TextField(blank=True)
    sequence = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=12, choices=STATES, default=ENROLLING)
    problem = models.CharField(max_length=40, blank=True, help_text="code, see deploy.sentences")
    problem_detail = models.TextField(blank=True)
    practice = models.BooleanField(default=False)
    facts = models.JSONField(default=dict)
    facts_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True, help_text="facts, asked for by a worker")
    uses_asked_at = models.DateTimeField(null=True, help_text="last uses, asked for by a worker")
    created_at = models.DateTimeField()
    released_at = models.DateTimeField(
        null=True, help_text="given back: what was there before the console runs"
    )

    message_size_mb = models.PositiveIntegerField(
        _("largest message, in MB"),
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
    )
    snippet_sendmail = models.TextField(_("Sendmail, own lines"), blank=True)
    snippet_dovecot = models.TextField(_("Dovecot, own lines"), blank=True)
    snippet_postfix = models.TextField(_("Postfix, own lines"), blank=True)
    mta = models.CharField(_("mail server"), max_length=8, choices=MTAS, default=SENDMAIL)
    family = models.CharField(_("system"), max_length=8, choices=FAMILIES, default=DEBIAN)
    certificate = models.ForeignKey(
        "ca.Certificate", null=True, on_delete=models.PROTECT, related_name="+"
    )

    objects = HostQuerySet.as_manager()

    class Meta:
        ordering = ["fqdn"]

    def __str__(self) -> str:
        return self.fqdn

    @property
    def is_ready(self) -> bool:
        return self.state in (self.READY, self.UNREACHABLE)

    def reported(self) -> values.Facts:
        """What the host last said about itself."""
        return values.Facts.from_report(self.facts)


class GenerationQuerySet(models.QuerySet["Generation"]):
    def live(self) -> "GenerationQuerySet":
        return self.filter(state=Generation.LIVE)


class Generation(models.Model):
    """One configuration as it was staged. At most one is live; others are kept to go back to."""

    STAGED, LIVE, KEPT, DISCARDED = "staged", "live", "kept", "discarded"
    STATES = [
        (STAGED, _("Prepared")),
        (LIVE, _("Live")),
        (KEPT, _("Kept")),
        (DISCARDED, _("Never live")),
    ]

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="generations")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    files = models.BinaryField(help_text="zlib-compressed JSON, path to text")
    snapshot = models.JSONField(help_text="deploy.render.values.to_record")
    key_id = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64, blank=True)
    certificate = models.ForeignKey(
        "ca.Certificate", null=True, on_delete=models.PROTECT, related_name="+"
    )
    came_from = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=STATES, default=STAGED)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    live_at = models.DateTimeField(null=True)

    objects = GenerationQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["host", "number"], name="generation_number_once"),
            models.UniqueConstraint(
                fields=["host"], condition=Q(state="live"), name="one_live_generation_a_host"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host} #{self.number}"

    @staticmethod
    def pack(bundle: Bundle) -> bytes:
        text = {path: content.decode("utf-8") for path, content in bundle.files.items()}
        return zlib.compress(json.dumps(text, sort_keys=True).encode(), level=6)

    def bundle(self) -> Bundle:
        text = json.loads(zlib.decompress(bytes(self.files)))
        return Bundle({path: content.encode("utf-8") for path, content in text.items()})


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
