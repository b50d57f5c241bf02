"""What an operator decides about a host. Nothing here touches the host: the change bar then offers
to put the difference live.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from core import audit
from core.errors import Refusal
from core.models import Operator
from deploy import sentences, snapshot
from deploy.models import Host
from deploy.render import CannotRender, lines


class CannotBeSaid(Refusal):
    """A daemon's configuration has no way to say this; `field` is where it was typed."""

    def __init__(self, sentence: object, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


def change_settings(
    *,
    host: Host,
    address: str,
    ssh_port: int,
    message_size_mb: int,
    by: Operator | None,
    at: datetime,
) -> None:
    _change(
        host,
        "deploy.host.changed",
        {"address": address, "ssh_port": ssh_port, "message_size_mb": message_size_mb},
        by,
        at,
    )


def change_snippets(
    *, host: Host, sendmail: str, dovecot: str, by: Operator | None, at: datetime
) -> None:
    """Lines of the owner's own, appended to what is rendered. They are root in all but name."""
    sendmail, dovecot = _unix(sendmail), _unix(dovecot)
    for field, text, check in (
        ("snippet_sendmail", sendmail, lines.sendmail_snippet),
        ("snippet_dovecot", dovecot, lines.dovecot_snippet),
    ):
        try:
            check(text)
        except CannotRender as error:
            raise CannotBeSaid(sentences.cannot_render(error), field) from None
    _change(
        host,
        "deploy.host.snippets_changed",
        {"snippet_sendmail": sendmail, "snippet_dovecot": dovecot},
        by,
        at,
    )


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _change(
    host: Host, action: str, fields: dict[str, Any], by: Operator | None, at: datetime
) -> None:
    changed = {name: value for name, value in fields.items() if getattr(host, name) != value}
    if not changed:
        return
    before = {name: getattr(host, name) for name in changed}
    for name, value in changed.items():
        setattr(host, name, value)
    try:
        wanted = snapshot.of_host(host)
        if wanted is not None:
            snapshot.rendered(wanted)
    except CannotRender as error:
        for name, value in before.items():
            setattr(host, name, value)
        raise CannotBeSaid(sentences.cannot_render(error), error.setting) from None
    with transaction.atomic():
        Host.objects.filter(pk=host.pk).update(**changed)
        audit.record(
            by=by,
            at=at,
            action=action,
            subject=host.fqdn,
            detail={name: [before[name], value] for name, value in changed.items()},
        )
