"""What the overview says: one line of truth, what needs a hand, and the figures beside it.

A `Need` is something an operator should do, with the page where it is done. The line of truth
follows from the worst need.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Max
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Domain, Mailbox
from ca import ending, notices, trust
from ca.models import Certificate
from ca.wording.renewal import due_reason
from deploy import drift, probing, renewal, sentences, states
from deploy import notices as host_notices
from deploy.models import AccountPush, Generation, Host, HostRollout, Probing

SOON = timedelta(days=14)


@dataclass(frozen=True)
class Need:
    kind: str  # warning or danger
    title: str
    text: str
    url: str
    label: str


@dataclass(frozen=True)
class Overview:
    kind: str  # ok, warning, danger or idle
    truth: str
    needs: list[Need]
    hosts: int
    hosts_live: int
    mailboxes: int
    suspended: int
    domains: int
    certificates: int
    days: int | None = field(default=None)
    has_root: bool = False


def look(*, at: datetime) -> Overview:
    hosts = list(Host.objects.ready().select_related("certificate", "account_push")[:500])
    last = last_rollouts(hosts)
    needs = [need for host in hosts for need in host_needs(host, last.get(host.pk), at)]
    needs += probe_needs(hosts, at)
    needs += drift_needs(hosts)
    needs += renewal_needs(at)
    needs += authority_needs(hosts, at)
    needs.sort(key=lambda need: need.kind != "danger")
    ends = [host.certificate.not_after for host in hosts if host.certificate]
    days = max(0, (min(ends) - at).days) if ends else None
    live = Generation.objects.live().filter(host__in=hosts).count()
    counts = Mailbox.objects.present()
    total = counts.count()
    suspended = counts.in_state("suspended").count()
    kind = "danger" if any(n.kind == "danger" for n in needs) else "warning" if needs else "ok"
    if not needs and not live:
        kind = "idle"
    return Overview(
        kind=kind,
        truth=truth(kind, needs=len(needs), live=live, days=days),
        needs=needs,
        hosts=len(hosts),
        hosts_live=live,
        mailboxes=total,
        suspended=suspended,
        domains=Domain.objects.count(),
        certificates=Certificate.objects.leaves().valid(at).count(),
        days=days,
        has_root=trust.roots(at).exists(),
    )


def authority_needs(hosts: list[Host], at: datetime) -> list[Need]:
    """What ends soon, apart from the hosts' own certificates, which are named with their hosts."""
    page = reverse("ca:due")
    found = [
        Need(
            "danger" if "authority_ended" in each.reasons else "warning",
            _("The authority “%(name)s” needs you") % {"name": each.issuer.name},
            " ".join(due_reason(code, each.days) for code in each.reasons),
            reverse("ca:authority", args=[each.issuer.pk]),
            _("Open"),
        )
        for each in ending.authorities(at)
    ]
    named = [host.certificate_id for host in hosts if host.certificate_id]
    rows = ending.certificates(at).exclude(pk__in=named).order_by("not_after", "pk")
    count = len(rows.values_list("pk", flat=True)[: ending.MOST_COUNTED + 1])
    if count:
        title = ngettext("%(n)s certificate is due", "%(n)s certificates are due", count) % {
            "n": count if count <= ending.MOST_COUNTED else f"{ending.MOST_COUNTED}+"
        }
        text = _("They end soon, or their authority does. The page says why, and what to do.")
        found.append(Need("warning", title, text, page, _("Look")))
    problem = notices.problem() or host_notices.problem()
    if problem:
        title = _("Notices by mail cannot be sent")
        found.append(Need("warning", title, problem, page, _("Look")))
    return found


def last_rollouts(hosts: list[Host]) -> dict[int, HostRollout]:
    """The newest rollout of each host."""
    newest = HostRollout.objects.filter(host__in=hosts).order_by().values("host")
    rows = HostRollout.objects.filter(pk__in=newest.annotate(newest=Max("pk")).values("newest"))
    return {row.host_id: row for row in rows.only("host_id", "state", "problem", "rollout_id")}


def did_not_go_live(rollout: HostRollout) -> bool:
    """But where another host failed first, or somebody called it off."""
    ended = rollout.state in (HostRollout.REFUSED, HostRollout.ROLLED_BACK)
    return ended and rollout.problem not in (states.STOPPED, states.CANCELLED)


def host_needs(host: Host, rollout: HostRollout | None, at: datetime) -> list[Need]:
    page = reverse("deploy:host", args=[host.pk])
    found: list[Need] = []

    def need(kind: str, title: str, text: str, label: str, url: str = page) -> None:
        found.append(Need(kind, title % {"host": host.fqdn}, text, url, label))

    if host.state == Host.UNREACHABLE:
        need(
            "danger", _("%(host)s does not answer"),
            _("The console cannot reach it by SSH. Mail may well be flowing."), _("See why"),
        )  # fmt: skip
    if rollout and rollout.state == HostRollout.ROLLBACK_FAILED:
        need(
            "danger", _("Going back failed on %(host)s"),
            _("The last rollout did not work and the host is not on its old configuration."),
            _("See the log"),
        )  # fmt: skip
    elif rollout and did_not_go_live(rollout):
        need(
            "warning", _("The last rollout on %(host)s did not go live"),
            _("The old configuration is running. The log says what was wrong."), _("See the log"),
        )  # fmt: skip
    push = getattr(host, "account_push", None)
    if push is not None and (push.is_stopped or push.state == AccountPush.FAILED):
        need(
            "danger" if push.is_stopped else "warning",
            _("Accounts on %(host)s are not current"), push.get_state_display(), _("Look"),
        )  # fmt: skip
    if host.certificate is not None and host.certificate.revoked_at is not None:
        need(
            "danger", _("The certificate of %(host)s is revoked or on hold"),
            _("Mail programs that look at the revocation list refuse to connect."), _("Renew it"),
        )  # fmt: skip
    elif host.certificate is not None and host.certificate.not_after <= at:
        need(
            "danger", _("The certificate of %(host)s has expired"),
            _("Mail programs warn their users or refuse to connect."), _("Renew it"),
        )  # fmt: skip
    elif host.certificate is not None and host.certificate.not_after - at < SOON:
        days = (host.certificate.not_after - at).days
        text = ngettext("%(days)d day is left.", "%(days)d days are left.", days) % {"days": days}
        need("warning", _("The certificate of %(host)s expires soon"), text, _("Renew it"))
    return found


def renewal_needs(at: datetime) -> list[Need]:
    """Certificates that should have been renewed by now, and why they were not."""
    found = []
    for host, old in renewal.ripe(at):
        trouble = renewal.trouble(host, at)
        if trouble:
            loud = old.not_after - at < SOON
            title = _("The certificate of %(host)s could not be renewed") % {"host": host.fqdn}
            page = reverse("deploy:host", args=[host.pk])
            found.append(Need("danger" if loud else "warning", title, trouble, page, _("See why")))
    return found


def probe_needs(hosts: list[Host], at: datetime) -> list[Need]:
    """What the daemons of a host do not do as deployed, found on the schedule."""
    named = {host.pk: host for host in hosts}
    rows = [(named[row.host_id], row) for row in probing.rows_of(hosts)]
    found = [failing_need(host, bad) for host, row in rows if (bad := probing.failing(row))]
    return found + [need for host, row in rows if (need := old_served_need(host, row, at))]


def failing_need(host: Host, bad: list[probing.Answer]) -> Need:
    first = sentences.probe_failure(bad[0].kind, bad[0].protocol, bad[0].evidence)
    text = sentences.after_probe_failure(bad[0].protocol, bad[0].evidence, host.mta)
    if len(bad) > 1:
        more = len(bad) - 1
        text += " " + ngettext("%(n)d more probe fails.", "%(n)d more probes fail.", more) % {
            "n": more
        }
    return Need(
        "danger",
        _("%(host)s: %(failure)s") % {"host": host.fqdn, "failure": first},
        text,
        reverse("deploy:host", args=[host.pk]) + "#probes-title",
        _("Look"),
    )


def old_served_need(host: Host, row: Probing, at: datetime) -> Need | None:
    """A newer certificate waits while the one that is served ends; what ends without a newer one is
    said of the host's own certificate."""
    ends = probing.ends(row)
    newer = host.certificate
    if ends is None or newer is None or ends - at >= SOON or newer.not_after <= ends:
        return None
    days = max(0, (ends - at).days)
    text = ngettext("%(days)d day is left.", "%(days)d days are left.", days) % {"days": days}
    return Need(
        "danger" if ends <= at else "warning",
        _("%(host)s still serves the certificate that ends soon") % {"host": host.fqdn},
        text + " " + _("A newer one is there: put it live."),
        reverse("deploy:plan", args=[host.pk]),
        _("See the difference"),
    )


def drift_needs(hosts: list[Host]) -> list[Need]:
    """Files that were changed on a host itself, and that nobody decided about."""
    changed = drift.unsettled_on(hosts)
    return [
        Need(
            "warning",
            _("Files were changed on %(host)s itself") % {"host": host.fqdn},
            _("The next deployment overwrites them, unless you take them over."),
            reverse("deploy:drift", args=[host.pk]),
            _("Look"),
        )
        for host in hosts
        if host.pk in changed
    ]


def truth(kind: str, *, needs: int, live: int, days: int | None) -> str:
    if kind == "idle":
        return _("Nothing is live yet.")
    if needs:
        return ngettext("%(n)d thing needs a hand.", "%(n)d things need a hand.", needs) % {
            "n": needs
        }
    said = ngettext("All well. %(n)d host is live.", "All well. %(n)d hosts are live.", live) % {
        "n": live
    }
    if days is not None:
        said += " " + ngettext(
            "Certificates are good for %(days)d day.",
            "Certificates are good for %(days)d days.",
            days,
        ) % {"days": days}
    return said
