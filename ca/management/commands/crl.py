"""`manage.py crl`: an issuer's revocation list, in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management.base import CommandParser

from ca import authorities
from ca.management.base import AuthorityCommand, day, issuer_named
from core.terminal import READABLE, Writing


class Command(AuthorityCommand):
    help = """Write an issuer's newest revocation list into a file.

A list that is due is signed first. A root's list needs the passphrase: with --passphrase-file it is
signed anew, without it the newest one is written as it is. PEM for a name that ends in .pem, DER
(what clients fetch) for any other. An existing file is left alone unless --force is said.

  ./run manage crl --issuer "Example Issuing CA" --out issuing.crl
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--issuer", required=True, metavar="N", help="whose list")
        parser.add_argument("--out", required=True, metavar="F", help="the file to write")
        parser.add_argument("--passphrase-file", metavar="F", help="a root's, to sign it anew")
        parser.add_argument("--force", action="store_true", help="overwrite the file")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        issuer = issuer_named(options["issuer"])
        out = Path(options["out"])
        with Writing(out.parent, {out.name: READABLE}, force=options["force"]) as writing:
            if options["passphrase_file"] and not issuer.has_key_at_hand:
                ceremony = authorities.request_list(
                    root=issuer,
                    passphrase=self.passphrase(options["passphrase_file"]),
                    by=self.by,
                    at=self.now,
                )
                self.ceremony_of(ceremony)
            listed = self.list_of(issuer)
            if listed.stale_at is not None and not issuer.has_key_at_hand:
                self.warn("root_list_waits", issuer=issuer.name)
            content = bytes(listed.der)
            if out.suffix == ".pem":
                parsed = x509.load_der_x509_crl(content)
                content = parsed.public_bytes(Encoding.PEM)
            return {
                "issuer": issuer.name,
                "number": listed.number,
                "entries": listed.entries,
                "this_update": listed.this_update,
                "next_update": listed.next_update,
                "stale": listed.stale_at is not None,
                "file": writing.finish({out.name: content})[0],
            }

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield (
            f"List number {result['number']} of {result['issuer']}, {result['entries']} entries, "
            f"good until {day(result['next_update'])}: {result['file']}"
        )
