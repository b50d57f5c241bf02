"""The way from nothing to a working, proven mail server, as a checklist that follows real state.

Nothing is stored: each step is done when what it asks for exists, so it can be left and resumed,
and done in the app's own pages as well.
"""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import Domain, Mailbox
from ca.models import Issuer
from core.models import Operator
from core.roles import may
from deploy.models import Host, HostRollout


@dataclass(frozen=True)
class Step:
    """`url` is where the step is done (None when this operator may not), `detail` what there is."""

    name: str
    title: str
    text: str
    done: bool
    detail: str = ""
    url: str | None = None
    label: str = ""
    next: bool = False


def steps(*, operator: Operator, at: datetime) -> list[Step]:
    """The checklist in its order; the first one that is not done is `next`."""
    hosts = list(Host.objects.ready()[:50])
    proved = set(
        HostRollout.objects.filter(state=HostRollout.CONFIRMED)
        .values_list("host_id", flat=True)
        .distinct()
    )
    host = next((h for h in hosts if h.pk in proved), hosts[0] if hosts else None)
    authority = Issuer.objects.able_to_issue(at).first()
    certified = next((h for h in hosts if h.certificate_id), None)
    domain = Domain.objects.exclude(host="").first()
    mailbox = Mailbox.objects.present().exclude(domain__host="").first()
    live = next((h for h in hosts if h.pk in proved and h.certificate_id), None)

    def allowed(permission: str, url: str | None) -> str | None:
        return url if may(operator, permission) else None

    found = [
        Step(
            "host", _("A mail host"), _("The server that will carry the mail."),
            host is not None, host.fqdn if host else "",
            allowed("deploy.manage", reverse("welcome") + "#doors"), _("Choose a door"),
        ),
        Step(
            "authority", _("Your own authority"),
            _("A root certificate, kept under a passphrase, and an authority that issues."),
            authority is not None, authority.name if authority else "",
            allowed("ca.manage", reverse("ca:new_hierarchy")),
            _("Make the authority"),
        ),
        Step(
            "certificate", _("A certificate for the host"),
            _("The key is made on the host and never leaves it."),
            certified is not None, certified.fqdn if certified else "",
            allowed("ca.issue", host_page(host)), _("Issue it"),
        ),
        Step(
            "domain", _("A mail domain"), _("What stands behind the @."),
            domain is not None, domain.unicode_name if domain else "",
            allowed("accounts.domains", reverse("accounts:domains")),
            _("Add a domain"),
        ),
        Step(
            "mailbox", _("A mailbox"), _("The first address that can log in, send and receive."),
            mailbox is not None, mailbox.unicode_address if mailbox else "",
            allowed("accounts.manage", reverse("accounts:new")),
            _("Add a mailbox"),
        ),
        Step(
            "live", _("Live and proved"),
            _("Checked on the host first, then switched, then proved from outside."),
            live is not None, live.fqdn if live else "",
            allowed("deploy.rollout", host_page(host)), _("Put it live"),
        ),
    ]  # fmt: skip
    return mark_next(found)


def is_for(operator: Operator) -> bool:
    """Whether the operator can do any of the steps: they are not one domain's."""
    return may(operator, "accounts.domains")


def host_page(host: Host | None) -> str | None:
    return reverse("deploy:host", args=[host.pk]) if host else None


def mark_next(found: list[Step]) -> list[Step]:
    """The same steps with `next` on the first that is not done."""
    marked: list[Step] = []
    waiting = True
    for step in found:
        is_next = waiting and not step.done
        waiting = waiting and step.done
        marked.append(Step(**{**step.__dict__, "next": is_next}))
    return marked


def is_complete(found: list[Step]) -> bool:
    return all(step.done for step in found)


def position(found: list[Step]) -> tuple[int, int]:
    """How many steps are done, of how many."""
    return sum(step.done for step in found), len(found)
