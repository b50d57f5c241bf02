"""`manage.py export`: a certificate in another format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from ca import export
from ca.management.base import AuthorityCommand, Refused, certificate_with, described
from core.terminal import READABLE, Writing


class Command(AuthorityCommand):
    help = """Write a certificate into a file, in the format a program or device reads.

  pem, der, text     the certificate alone
  chain, fullchain   the authorities above it without the root; the same with the certificate
  root               the root
  p7b, p7b-pem       PKCS#7: all of them
  p12                PKCS#12: all of them as a trust store (passphrase: changeit)
  p12-compatible     the same for older phones, macOS and appliances
  mobileconfig       Apple's profile that trusts the root

None of them holds a private key: the console has none of a certificate's.

  ./run manage export 4f0a12 --format fullchain --out fullchain.pem
"""
    permission = "ca.view"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("serial", metavar="SERIAL", help="hexadecimal, or how it begins")
        parser.add_argument(
            "--format", required=True, metavar="F", help=f"one of {', '.join(export.FORMS)}"
        )
        parser.add_argument("--out", required=True, metavar="F", help="the file to write")
        parser.add_argument("--issuer", metavar="N", help="where two issuers have this serial")
        parser.add_argument("--force", action="store_true", help="overwrite the file")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        form, out = options["format"], Path(options["out"])
        if form not in export.FORMS:
            raise Refused("form_unknown", value=form, known=", ".join(export.FORMS))
        certificate = certificate_with(options["serial"], issuer=options["issuer"])
        with Writing(out.parent, {out.name: READABLE}, force=options["force"]) as writing:
            files = writing.finish({out.name: export.content_of(certificate, form)})
        return {**described(certificate), "format": form, "file": files[0]}

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield f"{result['serial']} as {result['format']}: {result['file']}"
