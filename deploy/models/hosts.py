"""Mail hosts."""

import uuid
from collections.abc import Iterable

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

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
