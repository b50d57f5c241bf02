"""What the authority's commands have in common, beyond `core.commands`.

A command brings its row to its end in its own process where it may read the keys (`core.inline`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.core.management.base import CommandParser

from ca import keystore, tasks, wording
from ca.models import Ceremony, Certificate, Issuer, Order, RevocationList
from core import inline, seal
from core.commands import SHOWN, TerminalCommand, few
from core.errors import Refusal
from core.leases import Leased

SIGNER = "sign"
PATIENCE = 60.0

Row = TypeVar("Row", bound=Leased)


class Refused(Refusal):
    """The command was asked for something it will not do; `code` is for scripts."""

    def __init__(self, code: str, **detail: object) -> None:
        super().__init__(wording.sentence(code, detail))
        self.code = code


class AuthorityCommand(TerminalCommand):
    permission = "ca.issue"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--wait",
            type=float,
            default=PATIENCE,
            metavar="SECONDS",
            help=f"how long to wait for a running console that has taken it ({PATIENCE:.0f})",
        )

    def carry(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.wait = options["wait"]
        try:
            return self.act(options)
        except keystore.KeyUnusable as error:
            self.fail(wording.sentence(error.code, error.detail), error.code)
        except inline.NotCarriedOut as error:
            code = "not_in_time" if error.holds else "keys_not_held"
            self.fail_with(code, seconds=f"{error.patience:g}", keys=keys_folder())
        except seal.KeyNotHeld:
            self.fail_with("keys_not_held_passphrase", keys=keys_folder())

    def sentence(self, code: str, detail: Mapping[str, object]) -> str:
        return wording.sentence(code, detail)

    def carried_out(
        self, row: Row, work: Callable[[int], None], ends: Callable[[Row], bool]
    ) -> Row:
        return inline.carry_out(row, work, ends=ends, role=SIGNER, patience=self.wait)

    def ceremony_of(self, ceremony: Ceremony) -> Ceremony:
        """The ceremony at its good end; a refused one is the command's refusal."""
        self.carried_out(ceremony, tasks.make_authority, lambda each: each.is_final)
        return _not_refused(ceremony, Ceremony.REFUSED)

    def order_of(self, order: Order) -> Certificate:
        """The certificate that the order ended with."""
        self.carried_out(order, tasks.sign_order, lambda each: each.is_final)
        _not_refused(order, Order.REFUSED)
        assert order.certificate is not None
        return order.certificate

    def list_of(self, issuer: Issuer) -> RevocationList:
        """The issuer's list; what the signer can sign without asking is signed where it is due."""
        listed = RevocationList.objects.filter(issuer=issuer).first()
        if listed is None:
            raise Refused("list_missing", issuer=issuer.name)
        if issuer.has_key_at_hand:
            self.carried_out(
                listed,
                tasks.sign_list,
                lambda each: (
                    not RevocationList.objects.due(self.now).filter(pk=each.pk).exists()
                    and each.lease_until is None
                ),
            )
        return listed


def keys_folder() -> str:
    """Where this process looks for the rings."""
    return os.environ.get("CREDENTIALS_DIRECTORY") or str(settings.DATA_DIR / "keys")


def _not_refused(row: Any, refused: str) -> Any:
    if row.state == refused:
        refusal = Refused(row.reason_code, **row.reason_detail)
        raise refusal
    return row


def issuer_named(name: str) -> Issuer:
    """The authority with this name; its beginning is enough where no other has it."""
    known = Issuer.objects.exclude(certificate=None).select_related("certificate", "parent")
    found = known.filter(name=name).first()
    if found is not None:
        return found
    alike = [each for each in known if name and each.name.casefold().startswith(name.casefold())]
    if len(alike) == 1:
        return alike[0]
    if alike:
        listed = ", ".join(each.name for each in alike[:SHOWN])
        raise Refused("issuer_ambiguous", value=name, known=listed)
    raise Refused("issuer_unknown", value=name, known=few(known.values_list("name", flat=True)))


def root_named(name: str) -> Issuer:
    found = issuer_named(name)
    if not found.is_root:
        known = Issuer.objects.roots().values_list("name", flat=True)
        raise Refused("not_a_root", value=found.name, known=few(known))
    return found


def certificate_with(serial: str, *, issuer: str | None = None) -> Certificate:
    """The certificate whose serial number this is, or the only one whose begins so."""
    digits = serial.strip().lower().removeprefix("0x")
    digits = "".join(each for each in digits if each not in ": ")
    digits = digits.lstrip("0") or digits[:1]
    if not digits or any(each not in "0123456789abcdef" for each in digits):
        raise Refused("serial_malformed", value=serial)
    rows = Certificate.objects.select_related("issuer__certificate", "issuer__parent")
    if issuer is not None:
        rows = rows.filter(issuer=issuer_named(issuer))
    found = list(rows.filter(serial=digits)[:SHOWN])
    if not found:
        end = digits + "g"  # follows every hexadecimal digit
        found = list(rows.filter(serial__gte=digits, serial__lt=end).order_by("serial")[:SHOWN])
    if not found:
        raise Refused("serial_unknown", value=digits)
    if len(found) > 1:
        named = ", ".join(f"{each.serial} ({each.title}, {each.issuer.name})" for each in found[:5])
        raise Refused("serial_ambiguous", value=digits, found=named)
    return found[0]


def described(certificate: Certificate) -> dict[str, Any]:
    """A certificate for `--json`."""
    return {
        "serial": certificate.serial,
        "issuer": certificate.issuer.name,
        "profile": certificate.profile,
        "subject": certificate.subject,
        "names": certificate.names,
        "key": certificate.key_label,
        "state": certificate.state,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
        "fingerprint_sha256": certificate.fingerprint_sha256,
    }


def described_authority(issuer: Issuer) -> dict[str, Any]:
    """An authority with its certificate for `--json`."""
    assert issuer.certificate is not None
    return {
        "name": issuer.name,
        "root": issuer.path()[-1].name,
        "algorithm": issuer.algorithm,
        "key_kept": issuer.key_kept,
        "permitted": issuer.permitted,
        "public_address": issuer.origin,
        **{
            key: value
            for key, value in described(issuer.certificate).items()
            if key not in ("issuer", "profile", "names", "state")
        },
        "certificate": issuer.certificate.pem,
    }


def day(value: datetime) -> str:
    return f"{value:%Y-%m-%d}"
