"""`manage.py issue`: a certificate, and its key where the command made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management.base import CommandParser

from ca import export, issuance, keys, refused
from ca.management.base import AuthorityCommand, Refused, day, described, issuer_named, keys_folder
from ca.models import Certificate, Order
from ca.preparation import permission, read_csr
from core import audit, inline
from core.terminal import PRIVATE, READABLE, Writing

FILES = {"cert.pem": "pem", "chain.pem": "chain", "fullchain.pem": "fullchain"}
KEY = "key.pem"
SUBJECT = {"C": "country", "O": "organisation", "CN": "common_name"}


class Command(AuthorityCommand):
    help = """Issue a certificate into a folder.

Writes cert.pem, chain.pem (the authorities above it, without the root) and fullchain.pem. Without
--csr the command makes the key itself and writes key.pem, which only its owner can read; the key
goes nowhere else. Files that are there already are left alone unless --force is said.

  ./run manage issue --issuer "Example Issuing CA" --profile host \\
      --name mail.example.com smtp.example.com --out /etc/ssl/mail
"""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--issuer", required=True, metavar="N", help="the issuing authority")
        parser.add_argument(
            "--profile", default="host", metavar="P", help="host (the default), person, client, …"
        )
        parser.add_argument(
            "--name",
            nargs="+",
            action="extend",
            default=[],
            metavar="NAME",
            help="host names, addresses or mail addresses; with --csr, its own names otherwise",
        )
        parser.add_argument(
            "--common-name", default="", metavar="CN", help="a person's or client's own name"
        )
        parser.add_argument("--organisation", default="", metavar="O", help="in its subject")
        parser.add_argument(
            "--country", type=str.upper, default="", metavar="CC", help="two letters, such as TW"
        )
        parser.add_argument("--csr", metavar="F", help="a request (PEM or DER) of a key elsewhere")
        parser.add_argument(
            "--algorithm",
            choices=list(keys.LEAF_ALGORITHMS),
            default="p256",
            help="the kind of key that is made (p256)",
        )
        parser.add_argument("--days", type=int, metavar="D", help="its life (the profile's)")
        parser.add_argument("--out", required=True, metavar="DIR", help="made where it is missing")
        parser.add_argument("--force", action="store_true", help="overwrite files that are there")

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        issuer = issuer_named(options["issuer"])
        self.allowed(permission(options["profile"]), by=self.by)
        csr, names = None, options["name"]
        if options["csr"]:
            with refused.noted(by=self.by, at=self.now):
                csr = read_csr(self.file(options["csr"]))
            names = names or [name.value for name in csr.names]
        modes = dict.fromkeys(FILES, READABLE) | ({} if csr else {KEY: PRIVATE})
        with Writing(Path(options["out"]), modes, force=options["force"], make=True) as writing:
            pem = csr.pem if csr else new_key(options["algorithm"], writing)
            with refused.noted(by=self.by, at=self.now):
                order = issuance.request(
                    profile=options["profile"],
                    names=names,
                    issuer=issuer,
                    csr_pem=pem,
                    days=options["days"],
                    subject={field: options[part] for field, part in SUBJECT.items()},
                    by=self.by,
                    at=self.now,
                )
            certificate = signed(self, order, writing if csr is None else None)
            return {
                **described(certificate),
                "order": order.pk,
                "files": writing.finish(contents(certificate)),
            }

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        names = ", ".join(result["names"]) or result["subject"]
        yield f"Issued {result['serial']} for {names}, until {day(result['not_after'])}."
        for path in result["files"]:
            yield f"  {path}"


def signed(command: AuthorityCommand, order: Order, writing: Writing | None) -> Certificate:
    """The certificate of the order. Where the command made the key (`writing` has it) and gives up
    waiting, the order goes too: nobody would have the key of what is signed later."""
    try:
        return command.order_of(order)
    except (inline.NotCarriedOut, KeyboardInterrupt) as error:
        if writing is None:
            raise
        who = command.by.username if command.by else audit.THE_CONSOLE
        try:
            issuance.refuse(
                order=order,
                code="cancelled",
                detail={"who": who},
                by=command.by,
                at=command.now,
            )
        except issuance.OrderEnded:
            # The signer has it in hand: its key is kept where it was to go.
            paths = writing.finish({})
            raise Refused("in_hand", order=order.pk, path=paths[0]) from None
        if isinstance(error, KeyboardInterrupt):
            raise
        raise withdrawn(error) from None


def withdrawn(error: inline.NotCarriedOut) -> Refused:
    refusal = Refused(
        "not_in_time_withdrawn" if error.holds else "keys_not_held_withdrawn",
        seconds=f"{error.patience:g}",
        keys=keys_folder(),
    )
    refusal.code = "not_in_time" if error.holds else "keys_not_held"
    return refusal


def contents(certificate: Certificate) -> dict[str, bytes]:
    return {name: export.content_of(certificate, form) for name, form in FILES.items()}


def new_key(algorithm: str, writing: Writing) -> str:
    """Make a key, keep it beside its place before anything is signed for it; its request."""
    key = keys.ALGORITHMS[algorithm]()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    writing.keep(KEY, pem)
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()
