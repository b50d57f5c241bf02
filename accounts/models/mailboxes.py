"""Mailboxes, tombstones included, and how they are found."""

from __future__ import annotations

import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts import addresses, states
from accounts.models.domains import Domain
from accounts.models.scope import Scoped
from core.search import Searchable, TextIndex, is_indexed, like


class MailboxState(models.TextChoices):
    ACTIVE = states.ACTIVE, _("Active")
    SUSPENDED = states.SUSPENDED, _("Suspended")
    CLOSING = states.CLOSING, _("Closing")
    ERASED = states.ERASED, _("Erased")


SEARCH = TextIndex(table="accounts_mailbox", column="search_text")


class MailboxQuerySet(Searchable, Scoped, models.QuerySet["Mailbox"]):  # type: ignore[misc]
    text_index = SEARCH

    def present(self) -> MailboxQuerySet:
        """Those a host holds: all but the erased ones, whose rows are tombstones."""
        return self.exclude(state=states.ERASED)

    def in_state(self, state: str) -> MailboxQuerySet:
        return self.filter(state=state)

    def on(self, host: str) -> MailboxQuerySet:
        return self.filter(domain__host=host)

    def search(self, text: str) -> MailboxQuerySet:
        """Mailboxes whose address, name or owner holds every word of `text`.

        What few mailboxes have comes from the trigram index, and what many have is soon found
        along the list's own order: 1 ms each. Words too short for the index could be anywhere: the
        inner query reads the index `mailbox_search` alone, whatever the order of the list, 100k
        rows in 20 ms against 110 ms along the last use.
        """
        groups = [[word] for word in text.replace("\0", " ").casefold().split()[:8]]
        if not groups:
            return self.all()
        if any(is_indexed(group) for group in groups):
            return self.holding(groups)
        found = Mailbox.objects.filter(like(SEARCH, groups))
        return self.filter(pk__in=found.order_by().values("pk"))


def search_text(address: str, display_name: str, owner_contact: str) -> str:
    """What `search` looks in. 500 characters: PostgreSQL's index rows end at 2,704 bytes."""
    shown = addresses.unicode_address(address)
    texts = (address, "" if shown == address else shown, display_name, owner_contact)
    return " ".join(text for text in texts if text).casefold()[:SEARCH_LENGTH]


SEARCH_LENGTH = 500
NEARLY_FULL = 90
"""Percent of the quota from which on a mailbox is spoken of."""
EXPIRED = "expired"
# What the policy suspends for, by the kind of flag.
BY_POLICY = {
    "weak": "policy_weak",
    "test_named": "policy_test_named",
    "never_used": "policy_never_used",
    "dormant": "policy_dormant",
}
# Codes that the console itself writes as a reason.
REASONS = {
    EXPIRED: _("Its time was over."),
    "policy_weak": _("By the policy, after a notice: its password was easy to guess."),
    "policy_test_named": _("By the policy, after a notice: its name looks like a test."),
    "policy_never_used": _("By the policy, after a notice: nobody was seen to use it."),
    "policy_dormant": _("By the policy, after a notice: nobody used it for long."),
}


class Mailbox(models.Model):
    """One mailbox. `password` is a hash as Dovecot reads it, `{ARGON2ID}$argon2id$…`; empty as long
    as nobody set one: then no login works, and `password_set_at` is when that began."""

    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="+")
    local_part = models.CharField(max_length=64)
    address = models.CharField(max_length=318, unique=True)
    display_name = models.CharField(max_length=200, blank=True, default="")
    owner_contact = models.CharField(max_length=200, blank=True, default="")
    note = models.CharField(max_length=1000, blank=True, default="")
    quota_mb = models.PositiveIntegerField(null=True, blank=True)
    password = models.CharField(max_length=255)
    password_set_at = models.DateTimeField()
    state = models.CharField(
        max_length=9, choices=MailboxState.choices, default=MailboxState.ACTIVE
    )
    state_since = models.DateTimeField()
    state_reason = models.CharField(max_length=500, blank=True, default="")
    # A temporary account: suspended by itself at `expires_at`.
    expires_at = models.DateTimeField(null=True, blank=True)
    # A closing one: its mail may be erased from then on.
    kept_until = models.DateTimeField(null=True, blank=True)
    # The newest of its `LastUse`s, for lists.
    last_used_at = models.DateTimeField(null=True, blank=True)
    # What its mail takes on the host since `used_at`, as the host told; None is not known.
    used_bytes = models.BigIntegerField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)
    refuses_mail = models.BooleanField(default=False)
    name_reason = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField()
    revision = models.PositiveIntegerField(default=1)
    search_text = models.CharField(max_length=SEARCH_LENGTH, blank=True, default="", editable=False)

    objects = MailboxQuerySet.as_manager()

    class Meta:
        ordering = ["address"]
        indexes = [
            models.Index(fields=["domain", "address"], name="mailbox_domain_address"),
            models.Index(fields=["state", "address"], name="mailbox_state_address"),
            models.Index(fields=["state", "id"], name="mailbox_state_id"),
            # Counted in it: the mailboxes of each domain that are not erased.
            models.Index(fields=["domain", "state"], name="mailbox_domain_state"),
            models.Index(fields=["address", "search_text"], name="mailbox_search"),
            models.Index(fields=["last_used_at", "id"], name="mailbox_last_used"),
            models.Index(fields=["domain", "last_used_at", "id"], name="mailbox_domain_last_used"),
            models.Index(
                fields=["expires_at"],
                name="mailbox_expires",
                condition=models.Q(expires_at__isnull=False),
            ),
            models.Index(
                fields=["kept_until"],
                name="mailbox_kept_until",
                condition=models.Q(kept_until__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["domain", "local_part"], name="mailbox_once"),
            models.CheckConstraint(
                condition=models.Q(state__in=states.STATES), name="mailbox_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(refuses_mail=False) | ~models.Q(state=states.ACTIVE),
                name="mailbox_active_receives",
            ),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def unicode_address(self) -> str:
        return addresses.unicode_address(self.address)

    @property
    def rights(self) -> states.Rights:
        return states.rights(self.state, refuses_mail=self.refuses_mail)

    @property
    def has_password(self) -> bool:
        return bool(self.password)

    @property
    def older_hash(self) -> bool:
        """Brought in from elsewhere; the next password that is set is hashed as ours are."""
        return bool(self.password) and not self.password.startswith("{ARGON2ID}")

    @property
    def quota_bytes(self) -> int:
        """0 means no limit, as Dovecot's quota reads it."""
        return (self.quota_mb or 0) * 1024 * 1024

    @property
    def used_percent(self) -> int | None:
        """How full it is; None when that is not known or there is no limit."""
        if not self.quota_mb or self.used_bytes is None:
            return None
        return self.used_bytes * 100 // self.quota_bytes

    @property
    def fullness(self) -> str:
        """full: new mail is refused; nearly: not for long; or nothing to speak of."""
        percent = self.used_percent or 0
        return "full" if percent >= 100 else "nearly" if percent >= NEARLY_FULL else ""

    def expired(self, at: datetime.datetime) -> bool:
        """Whether it was a temporary one whose time is over."""
        return self.expires_at is not None and self.expires_at <= at

    @property
    def reason_shown(self) -> str:
        """Why it is in its state: an operator's words, or the console's for what it did itself."""
        return str(REASONS.get(self.state_reason, self.state_reason))

    def may(self, verb: str) -> bool:
        return states.may(verb, self.state)

    @property
    def may_suspend(self) -> bool:
        return self.may("suspend")

    @property
    def may_resume(self) -> bool:
        return self.may("resume")
