"""What speaks against an account, one row a mailbox and kind; the audit that finds weak ones."""

from __future__ import annotations

import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.mailboxes import Mailbox
from accounts.models.scope import Scoped
from core.leases import Leased, unheld
from core.models import Operator


class FlagKind(models.TextChoices):
    WEAK = "weak", _("Weak password")
    TEST_NAMED = "test_named", _("Named like a test")
    NEVER_USED = "never_used", _("Never used")
    DORMANT = "dormant", _("Not used for long")
    SENDS_ONLY = "sends_only", _("Only sends, never reads")
    EXPIRED = "expired", _("Expired")
    NO_OWNER = "no_owner", _("Nobody looks after it")


class FlagQuerySet(Scoped, models.QuerySet["Flag"]):  # type: ignore[misc]
    domain_field = "mailbox__domain__name"

    def standing(self, at: datetime.datetime) -> FlagQuerySet:
        """Those nobody has set aside, or not for so long."""
        return self.filter(
            models.Q(exempt_until=None, exempt_at=None) | models.Q(exempt_until__lte=at)
        )


class Flag(models.Model):
    """`evidence` holds codes, dates and numbers, never a password; `sure` is "certain" or "since":
    then there is no evidence from before the date in `evidence["evidence_since"]`.

    `exempt_at` with `exempt_until` None is set aside for good.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="flags")
    kind = models.CharField(max_length=10, choices=FlagKind.choices)
    since = models.DateTimeField()
    found_at = models.DateTimeField()
    evidence = models.JSONField(default=dict)
    sure = models.CharField(max_length=7, default="certain")
    risk = models.PositiveSmallIntegerField(default=1)
    # When the account is suspended because of it, by the policy, once that was announced.
    suspends_at = models.DateTimeField(null=True, blank=True)
    exempt_at = models.DateTimeField(null=True, blank=True)
    exempt_until = models.DateTimeField(null=True, blank=True)
    exempt_reason = models.CharField(max_length=500, blank=True, default="")
    exempt_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    objects = FlagQuerySet.as_manager()

    class Meta:
        ordering = ["-risk", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "kind"], name="flag_once"),
        ]
        indexes = [
            models.Index(fields=["kind", "-risk", "id"], name="flag_kind_risk"),
            models.Index(fields=["-risk", "id"], name="flag_risk"),
            # Counted in it: how many of each kind count now, and are announced.
            models.Index(
                fields=["kind", "mailbox", "exempt_at", "exempt_until", "suspends_at"],
                name="flag_kind_standing",
            ),
            models.Index(
                fields=["suspends_at"],
                name="flag_suspends",
                condition=models.Q(suspends_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox_id} {self.kind}"


class FlagPolicy(models.Model):
    """The console's own answer to flags, one row at most; off unless somebody switched it on.

    An account with a standing flag of one of `kinds` is announced to whom it concerns, and
    suspended `notice_days` later if the flag still stands.
    """

    on = models.BooleanField(default=False)
    kinds = models.JSONField(default=list)
    notice_days = models.PositiveSmallIntegerField(default=14)
    changed_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField()
    revision = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return "on" if self.on else "off"


class WeaknessAuditQuerySet(models.QuerySet["WeaknessAudit"]):
    def due(self, at: datetime.datetime) -> WeaknessAuditQuerySet:
        return self.filter(state=WeaknessAudit.RUNNING).filter(unheld(at))


class WeaknessAudit(Leased):
    """One bounded round over the hashes: each account's few candidates are tried, politely.

    `after` is the last mailbox that was looked at; a worker that ends is followed by another there.
    """

    RUNNING, DONE, STOPPED = "running", "done", "stopped"
    STATES = [(RUNNING, _("Running")), (DONE, _("Done")), (STOPPED, _("Stopped"))]

    state = models.CharField(max_length=7, choices=STATES, default=RUNNING)
    asked_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    asked_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    total = models.PositiveIntegerField(default=0)
    looked_at = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)
    after = models.PositiveBigIntegerField(default=0)
    # Test-named accounts come first: `round` 0 is theirs, 1 is for those that nobody uses, 2 for
    # everybody else.
    round = models.PositiveSmallIntegerField(default=0)

    objects = WeaknessAuditQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.pk} {self.state}"


class WeaknessVerdictQuerySet(models.QuerySet["WeaknessVerdict"]):
    def guessed(self) -> WeaknessVerdictQuerySet:
        return self.exclude(reason__in=("", WeaknessVerdict.TOO_COSTLY))

    def too_costly(self) -> WeaknessVerdictQuerySet:
        """Those whose password was not set anew since."""
        rows = self.filter(reason=WeaknessVerdict.TOO_COSTLY)
        return rows.filter(mailbox__password_set_at__lte=models.F("at"))


class WeaknessVerdict(models.Model):
    """What was tried on one hash: `digest` is SHA-256 of the hash and of the list of candidates,
    so that nothing is guessed twice. `reason` is empty when none of them matched, and TOO_COSTLY
    when nothing was tried."""

    TOO_COSTLY = "too_costly"

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    reason = models.CharField(max_length=40, blank=True, default="")
    at = models.DateTimeField()

    objects = WeaknessVerdictQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.mailbox_id} {self.reason or 'not guessed'}"
