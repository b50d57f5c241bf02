"""What is not live yet, in sentences: the change bar of every page, and a host's own page.

The bar is asked for on every page, so it costs two queries and renders from a small cache.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy

from deploy import plan as planning
from deploy import sentences, snapshot
from deploy.models import Generation, Host, HostRollout
from deploy.render import CannotRender
from deploy.render.values import from_record

SETTINGS: dict[str, str | Promise] = {
    "fqdn": gettext_lazy("name"),
    "mta": gettext_lazy("mail server"),
    "family": gettext_lazy("system"),
    "message_size_mb": gettext_lazy("largest message, in MB"),
    "listen_inet": gettext_lazy("addresses"),
    "listen_inet6": gettext_lazy("IPv6 addresses"),
}
SERVICES: dict[str, str | Promise] = {
    "sendmail": pgettext_lazy("service", "Sendmail"),
    "postfix": pgettext_lazy("service", "Postfix"),
    "dovecot": pgettext_lazy("service", "Dovecot"),
    "bridge": pgettext_lazy("service", "the login bridge"),
}


@dataclass(frozen=True)
class Pending:
    """A host that is not as it should be. `busy`: a rollout is on its way there."""

    host: Host
    sentences: tuple[str, ...]
    problem: str = ""
    busy: HostRollout | None = None

    @property
    def is_planned(self) -> bool:
        """Nothing happens there yet: it begins at a time of day."""
        busy = self.busy
        return bool(busy and busy.state == HostRollout.PLANNED and busy.rollout.starts_at)

    @property
    def count(self) -> int:
        return len(self.sentences)


def sentence(change: planning.Change) -> str:
    match change:
        case planning.FirstDeployment():
            return gettext("first configuration")
        case planning.CertificateChanged(new_fingerprint=new):
            return gettext("new certificate, SHA-256 %(fingerprint)s…") % {"fingerprint": new[:16]}
        case planning.AuthoritiesChanged():
            return gettext("the authorities' certificates")
        case planning.SettingChanged(name=name, old=old, new=new):
            return gettext("%(setting)s: %(old)s → %(new)s") % {
                "setting": SETTINGS.get(name, name),
                "old": old,
                "new": new,
            }
        case planning.SnippetChanged(service=service):
            return gettext("own lines for %(service)s") % {"service": SERVICES[service]}
        case planning.TemplatesChanged(service=service):
            return gettext("this release writes %(service)s's configuration differently") % {
                "service": SERVICES[service]
            }


def pending_of(host: Host, live: Generation | None) -> Pending | None:
    """What putting the host live would change; None when nothing would."""
    wanted = snapshot.of_host(host)
    if wanted is None:
        return None
    try:
        bundle = snapshot.rendered(wanted)
    except CannotRender as error:
        return Pending(host, (), sentences.cannot_render(error))
    if live is not None and live.digest == bundle.digest and live.key_id == wanted.tls.key_id:
        return None
    before = from_record(live.snapshot) if live is not None else None
    found = [sentence(change) for change in planning.describe(before, wanted)]
    if not found:
        found = [gettext("this release of the console writes the configuration differently")]
    return Pending(host, tuple(found))


def pending(hosts: Iterable[Host] | None = None) -> list[Pending]:
    """Every ready host with something to put live, or with something on its way."""
    if hosts is None:
        hosts = Host.objects.ready().select_related(snapshot.WITH_CHAIN)
    rows = list(hosts)
    live = {
        generation.host_id: generation
        for generation in Generation.objects.live().filter(host__in=rows).defer("files")
    }
    busy = {
        row.host_id: row
        for row in HostRollout.objects.open().filter(host__in=rows).select_related("rollout")
    }
    found = []
    for host in rows:
        if host.pk in busy:
            found.append(Pending(host, (), busy=busy[host.pk]))
            continue
        if host.released_at is not None:
            continue  # somebody wanted it so; its own page says how to put it live again
        each = pending_of(host, live.get(host.pk))
        if each is not None:
            found.append(each)
    return found
