"""`manage.py renew`: the next certificate in the place of one that ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from ca import keys, refused, renewal
from ca.management.base import AuthorityCommand, Refused, certificate_with, day, described
from ca.management.commands.issue import FILES, KEY, contents, new_key, signed
from ca.preparation import read_csr
from core.terminal import PRIVATE, READABLE, Writing


class Command(AuthorityCommand):
    help = """Issue the next certificate in the place of one that ends.

Names, profile and life are the old one's. The key stays too, by the request that the old one was
made with; --csr brings another request, and with --new-key the command makes a key itself, as
./run manage issue does. Both certificates are valid until the old one is superseded or ends.

  ./run manage renew 4f0a12 --out /etc/ssl/mail --force
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("serial", metavar="SERIAL", help="hexadecimal, or how it begins")
        parser.add_argument("--issuer", metavar="N", help="where two issuers have this serial")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--csr", metavar="F", help="a request, for the same key or another")
        which.add_argument(
            "--new-key", action="store_true", help="make a new key; needs --out, for key.pem"
        )
        parser.add_argument(
            "--algorithm",
            choices=list(keys.LEAF_ALGORITHMS),
            default="p256",
            help="the kind of key that --new-key makes (p256)",
        )
        parser.add_argument("--days", type=int, metavar="D", help="its life (the old one's)")
        parser.add_argument("--out", metavar="DIR", help="write the files of issue into it")
        parser.add_argument("--force", action="store_true", help="overwrite files that are there")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        old = certificate_with(options["serial"], issuer=options["issuer"])
        out, makes_key = options["out"], options["new_key"]
        if makes_key and not out:
            raise Refused("out_missing")
        pem, way = None, renewal.NEW_KEY if makes_key else renewal.SAME_KEY
        if options["csr"]:
            csr = read_csr(self.file(options["csr"]))
            pem = csr.pem
            way = renewal.SAME_KEY if csr.key_id == old.key_id else renewal.NEW_KEY
        renewal.check(old, at=self.now)
        modes = dict.fromkeys(FILES, READABLE) | ({KEY: PRIVATE} if makes_key else {})
        with (
            Writing(Path(out), modes, force=options["force"], make=True) if out else nullcontext()
        ) as writing:
            if makes_key and writing:
                pem = new_key(options["algorithm"], writing)
            with refused.noted(by=self.by, at=self.now):
                order = renewal.request(
                    certificate=old,
                    way=way,
                    csr_pem=pem,
                    days=options["days"],
                    by=self.by,
                    at=self.now,
                )
            certificate = signed(self, order, writing if makes_key else None)
            files = writing.finish(contents(certificate)) if writing else []
        return {
            **described(certificate),
            "order": order.pk,
            "renews": old.serial,
            "files": files,
        }

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        until = day(result["not_after"])
        yield f"Issued {result['serial']} in the place of {result['renews']}, until {until}."
        for path in result["files"]:
            yield f"  {path}"
        if not result["files"]:
            yield f"Fetch it: ./run manage export {result['serial']} --format fullchain --out FILE"
