"""What a host must be told about accounts, as JSON-able lines for `hostctl accounts`.

    {"domain": {"name": "example.test"}}
    {"mailbox": {"address": "anna@example.test", "password": "{ARGON2ID}$argon2id$…",
                 "can_login": true, "can_send": true, "receives": true, "quota_bytes": 0,
                 "app_passwords": [{"selector": "abcd2345", "password": "{ARGON2ID}$argon2id$…",
                                    "imap": true, "pop3": false, "sending": true,
                                    "expires_at": 0}]}}      all that it has; absent: none
    {"alias": {"address": "info@example.test", "targets": ["anna@example.test"]}}
    {"remove": "old@example.test"}          a mailbox or an alias that is no more
    {"remove_domain": "gone.test"}          with everything in it

A delta is made from the rows as they are now, once for each subject that changed, so sending one
twice, or a later one over an earlier one, ends in the same place. `deploy` is the only reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Prefetch

from accounts.models import Alias, AppPassword, Change, ChangeKind, Domain, Mailbox

Line = dict[str, Any]
CHUNK = 500


@dataclass(frozen=True)
class Delta:
    """`lines` can be iterated again and again; a large one reads the database as it goes.

    `through_change` is the change id the host has reached once it stored the lines: the header's
    field of that name. `end_sessions` are addresses whose open sessions end now.
    """

    through_change: int
    lines: Iterable[Line] = ()
    end_sessions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Lines:
    make: Callable[[], Iterator[Line]]

    def __iter__(self) -> Iterator[Line]:
        return self.make()


def build(changes: Iterable[Change]) -> Delta:
    """The delta for these changes (of one host); an empty one has `through_change` 0."""
    subjects: dict[tuple[str, str], None] = {}
    ended: dict[str, None] = {}
    through, host = 0, ""
    for change in changes:
        # A kind comes again after the others of the same subject: the last one decides.
        subjects.pop((change.kind, change.subject), None)
        subjects[(change.kind, change.subject)] = None
        if change.end_sessions:
            ended[change.subject] = None
        through, host = max(through, change.id), change.host
    return Delta(through, _Lines(lambda: _changed(host, list(subjects))), list(ended))


def whole(host: str, *, since: int | None = None) -> Delta:
    """Everything a host holds, read in chunks: 100k mailboxes never stand in memory at once.

    `since` is a change id the host had reached: sessions end that a delta from there would end.
    """
    # The id is read before the rows: a change made in between is sent again later, never lost.
    through = Change.objects.latest_id(host)
    ended: list[str] = []
    if since is not None:
        missed = Change.objects.since(host, since).filter(end_sessions=True)
        ended = list(dict.fromkeys(missed.values_list("subject", flat=True)))
    return Delta(through, _Lines(lambda: _everything(Domain.objects.on(host))), ended)


def _changed(host: str, subjects: list[tuple[str, str]]) -> Iterator[Line]:
    gone = [name for kind, name in subjects if kind == ChangeKind.REMOVE_DOMAIN]
    names = gone + [name for kind, name in subjects if kind == ChangeKind.DOMAIN]
    here = {domain.name: domain for domain in Domain.objects.on(host).filter(name__in=names)}
    for name in dict.fromkeys(names):
        # One that left and came back changed elsewhere meanwhile: nothing of the old may stay.
        if name not in here or name in gone:
            yield {"remove_domain": name}
    yield from _everything(Domain.objects.filter(pk__in=[d.pk for d in here.values()]))
    touched = [name for kind, name in subjects if kind in (ChangeKind.MAILBOX, ChangeKind.ALIAS)]
    addresses = list(dict.fromkeys(touched))
    for start in range(0, len(addresses), CHUNK):
        part = addresses[start : start + CHUNK]
        lines: dict[str, Line] = {}
        for alias in Alias.objects.on(host).filter(address__in=part):
            lines[alias.address] = alias_line(alias)
        here_too = Mailbox.objects.on(host).present().filter(address__in=part)
        for mailbox in here_too.prefetch_related(_app_passwords()):
            lines[mailbox.address] = mailbox_line(mailbox)
        for address in part:
            if address not in lines:
                yield {"remove": address}
            elif address.rpartition("@")[2] not in here:
                yield lines[address]


def _everything(domains: Iterable[Domain]) -> Iterator[Line]:
    for domain in domains:
        yield {"domain": {"name": domain.name}}
        mailboxes = Mailbox.objects.present().filter(domain=domain).order_by("address")
        mailboxes = mailboxes.prefetch_related(_app_passwords())
        for mailbox in mailboxes.iterator(chunk_size=CHUNK):
            yield mailbox_line(mailbox)
        aliases = Alias.objects.filter(domain=domain).order_by("address")
        for alias in aliases.iterator(chunk_size=CHUNK):
            yield alias_line(alias)


def _app_passwords() -> Prefetch[str]:
    """Those whose time is over too, until `app_passwords.expire`: the host looks at the clock."""
    rows = AppPassword.objects.filter(revoked_at=None).order_by("selector")
    return Prefetch("app_passwords", queryset=rows, to_attr="told_app_passwords")


def mailbox_line(mailbox: Mailbox) -> Line:
    """Of a mailbox that was read with `_app_passwords`."""
    rights = mailbox.rights
    told: Line = {
        "address": mailbox.address,
        "password": mailbox.password,
        "can_login": rights.can_login,
        "can_send": rights.can_send,
        "receives": rights.receives,
        "quota_bytes": mailbox.quota_bytes,
    }
    apps: list[AppPassword] = mailbox.told_app_passwords
    if apps:
        told["app_passwords"] = [
            {
                "selector": app.selector,
                "password": app.password,
                "imap": app.imap,
                "pop3": app.pop3,
                "sending": app.sending,
                "expires_at": int(app.expires_at.timestamp()) if app.expires_at else 0,
            }
            for app in apps
        ]
    return {"mailbox": told}


def alias_line(alias: Alias) -> Line:
    return {"alias": {"address": alias.address, "targets": list(alias.targets)}}
