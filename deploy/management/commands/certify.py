"""`manage.py certify`: a certificate for a mail host, whose key is made there and never leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from ca import keystore, tasks, wording
from ca.management.base import SIGNER, day, described, issuer_named
from ca.models import Issuer, Order
from core import inline
from core.commands import few
from core.leases import LeaseLost
from deploy import certificates
from deploy.management.base import PATIENCE, DeployCommand, Refused, host_named


class Command(DeployCommand):
    help = """Get a certificate for a mail host; the next deployment serves it.

  ./run manage certify mail1.example.test
  ./run manage certify practice --issuer "Example Issuing CA"
"""
    permission = "ca.issue"
    patience = PATIENCE

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", metavar="HOST", help="its full name, or: practice")
        parser.add_argument("--issuer", metavar="N", help="where several authorities can sign")
        parser.add_argument("--name", nargs="+", default=[], metavar="NAME", help="(the host's)")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        host = host_named(options["host"])
        job = certificates.ask(
            host=host,
            issuer=self.issuer(options["issuer"]),
            names=options["name"],
            by=self.by,
            at=self.now,
        )
        order = job.order
        assert order is not None
        self.job_of(job, lambda: signed(order))
        host.refresh_from_db()
        assert host.certificate is not None
        return {"host": host.fqdn, "order": order.pk, **described(host.certificate)}

    def issuer(self, name: str | None) -> Issuer | None:
        if name:
            return issuer_named(name)
        able = certificates.issuers(self.now)
        if len(able) > 1:
            sentence = _("Several authorities can sign: name one with --issuer. Known: %(known)s.")
            raise Refused("issuer_missing", sentence % {"known": few(i.name for i in able)})
        return able[0] if able else None

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        sentence = _("%(host)s has a certificate until %(day)s. Put it live: %(command)s")
        yield sentence % {
            "host": result["host"],
            "day": day(result["not_after"]),
            "command": f"./run manage deploy {result['host']}",
        }


def signed(order: Order) -> None:
    """The signer's part, once the host has made its key; a running signer may be quicker."""
    is_due = Order.objects.due(timezone.now()).filter(pk=order.pk).exists()
    if not is_due or not inline.holds_rings_of(SIGNER):
        return
    try:
        with suppress(LeaseLost):
            tasks.sign_order(order.pk)
    except keystore.KeyUnusable as error:
        raise Refused(error.code, wording.sentence(error.code, error.detail)) from None
