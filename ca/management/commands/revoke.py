"""`manage.py revoke`: take a certificate back for good, and sign the list that says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from ca import keystore, revocation
from ca.management.base import AuthorityCommand, Refused, certificate_with, described
from core import inline


class Command(AuthorityCommand):
    help = """Revoke a certificate for good, and sign its issuer's next revocation list.

The beginning of the serial number is enough where no other has it. An authority's certificate is on
its root's list, which needs the passphrase: see ./run manage crl --help.

  ./run manage revoke 4f0a12 --reason keyCompromise
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("serial", metavar="SERIAL", help="hexadecimal, or how it begins")
        parser.add_argument(
            "--reason",
            required=True,
            metavar="R",
            help=f"one of RFC 5280's: {', '.join(revocation.REASONS)}",
        )
        parser.add_argument("--issuer", metavar="N", help="where two issuers have this serial")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        certificate = certificate_with(options["serial"], issuer=options["issuer"])
        self.allowed(revocation.permission(certificate), by=self.by)
        revocation.revoke(
            certificate=certificate, reason=options["reason"], by=self.by, at=self.now
        )
        return {
            **described(certificate),
            "reason": certificate.revocation_reason,
            "revoked_at": certificate.revoked_at,
            "list": self._list(certificate),
        }

    def _list(self, certificate: Any) -> int | None:
        """The number of the list that says it; None where it is still to be signed."""
        issuer = certificate.issuer
        try:
            listed = self.list_of(issuer)
        except (Refused, keystore.KeyUnusable, inline.NotCarriedOut):
            self.warn("list_waits")
            return None
        if listed.stale_at is not None:
            self.warn("root_list_waits", issuer=issuer.name)
            return None
        return max(listed.number, listed.delta_number or 0)

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        names = ", ".join(result["names"]) or result["subject"]
        yield f"Revoked {result['serial']} ({names}): {result['reason']}."
        if result["list"] is not None:
            yield f"It is on the list number {result['list']} of {result['issuer']}."
