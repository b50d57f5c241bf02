"""What an operator decides about a host. Nothing here touches the host: the change bar then offers
to put the difference live.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

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


class SameMta(Refusal):
    """There is nothing to follow."""

    status = 409


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


_CHECKS = {
    "snippet_sendmail": lines.sendmail_snippet,
    "snippet_postfix": lines.postfix_snippet,
    "snippet_dovecot": lines.dovecot_snippet,
}


def change_snippets(
    *, host: Host, texts: Mapping[str, str], by: Operator | None, at: datetime
) -> None:
    """Lines of the owner's own, appended to what is rendered. They are root in all but name.

    `texts` by the field's name, `{"snippet_dovecot": …}`; a field that is not there stays as it is.
    """
    wanted = {field: _unix(text) for field, text in texts.items()}
    for field, text in wanted.items():
        try:
            _CHECKS[field](text)
        except CannotRender as error:
            raise CannotBeSaid(sentences.cannot_render(error), field) from None
    _change(host, "deploy.host.snippets_changed", wanted, by, at)


def follow_mta(*, host: Host, by: Operator | None, at: datetime) -> None:
    """Go on with the mail server that the host says it has; its own lines are kept apart."""
    reported = host.reported()
    if not reported.mta or reported.mta == host.mta:
        raise SameMta(_("The server runs what it is set up for."))
    fields = {"mta": reported.mta, "family": reported.family}
    _change(host, "deploy.host.mta_changed", fields, by, at)


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
