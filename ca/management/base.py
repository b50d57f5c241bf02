"""What the authority's commands have in common.

A command translates its arguments, makes one verb call, brings the row to its end in its own
process where it may read the keys (`core.inline`), and says what came out: `--json` is one object
on standard output and nothing else, an error is `{"error": sentence, "code": code}` and status 1.

    class Command(AuthorityCommand):
        help = "…"
        permission = "ca.issue"
        def arguments(self, parser): …
        def act(self, options) -> dict: …           # or raises a Refusal
        def said(self, result) -> Iterator[str]: …  # the same for people
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from argparse import SUPPRESS, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from ca import keystore, tasks, wording
from ca.models import Ceremony, Certificate, Issuer, Order, RevocationList
from core import inline, roles, seal, terminal
from core.errors import Refusal
from core.leases import Leased
from core.models import Operator

SIGNER = "sign"
PATIENCE = 60.0
MOST_FILE_BYTES = 1024 * 1024
SHOWN = 20

Row = TypeVar("Row", bound=Leased)


class Refused(Refusal):
    """The command was asked for something it will not do; `code` is for scripts."""

    def __init__(self, code: str, **detail: object) -> None:
        super().__init__(wording.sentence(code, detail))
        self.code = code


class _Formatter(RawDescriptionHelpFormatter):
    """Our own options before those that every command of Django has."""


class AuthorityCommand(BaseCommand):
    permission = "ca.issue"
    requires_system_checks: list[str] = []

    # What a command is made of

    def arguments(self, parser: CommandParser) -> None:
        raise NotImplementedError

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        raise NotImplementedError

    # The frame

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, formatter_class=_Formatter, **kwargs)
        for action in parser._actions:  # Django's own, which nobody needs here
            if action.dest in (
                "settings",
                "pythonpath",
                "traceback",
                "version",
                "verbosity",
                "no_color",
                "force_color",
                "skip_checks",
            ):
                action.help = SUPPRESS
        if self._called_from_command_line:
            parser.error = self._misused  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        self.arguments(parser)
        parser.add_argument(
            "--json", action="store_true", help="one JSON object on standard output, nothing else"
        )
        parser.add_argument(
            "--as",
            dest="operator",
            metavar="USER",
            help="who does it, for the audit log: a user name or mail address (the console itself)",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=PATIENCE,
            metavar="SECONDS",
            help=f"how long to wait for a running console that has taken it ({PATIENCE:.0f})",
        )

    def run_from_argv(self, argv: list[str]) -> None:
        # A message that could not be sent is nothing to say here: the command does the work.
        logging.getLogger("core.nudge").setLevel(logging.ERROR)
        self._in_json = "--json" in argv
        for stream in (sys.stdout, sys.stderr):  # a terminal without “quotes” shows "?"
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        super().run_from_argv(argv)

    _in_json = False

    def handle(self, *args: Any, **options: Any) -> None:
        self._in_json = options["json"]
        try:
            _all_text(options)
            self._ready()
            self.by: Operator | None = self._operator(options["operator"])
            self.wait = options["wait"]
            result = self.act(options)
        except Refusal as refusal:
            self._fail(refusal.sentence, getattr(refusal, "code", "refused"))
        except terminal.FileRefused as refusal:
            detail = {"path": refusal.path, "why": refusal.why}
            self._fail(wording.sentence(refusal.code, detail), refusal.code)
        except keystore.KeyUnusable as error:
            self._fail(wording.sentence(error.code, error.detail), error.code)
        except inline.NotCarriedOut as error:
            code = "not_in_time" if error.holds else "keys_not_held"
            self._fail_with(code, seconds=f"{error.patience:g}", keys=keys_folder())
        except seal.KeyNotHeld:
            self._fail_with("keys_not_held_passphrase", keys=keys_folder())
        except DatabaseError as error:
            self._fail_with("database_unusable", why=str(error).strip().rstrip("."))
        except KeyboardInterrupt:
            self._fail_with("interrupted")
        if self._in_json:
            self.stdout.write(json.dumps(result, default=_as_json))
        else:
            for line in self.said(result):
                self.stdout.write(line)

    def _misused(self, message: str) -> NoReturn:
        if not self._in_json:
            usage = f"Type ./run manage {self._name} --help for what it takes."
            message = f"{message[:1].upper()}{message[1:].rstrip('.')}. {usage}"
        self._fail(message, "usage")

    @property
    def _name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def _fail_with(self, code: str, **detail: object) -> NoReturn:
        self._fail(wording.sentence(code, detail), code)

    def _fail(self, sentence: str, code: str) -> NoReturn:
        if not self._called_from_command_line:
            raise CommandError(sentence)
        if self._in_json:
            self.stdout.write(json.dumps({"error": sentence, "code": code}))
        else:
            self.stderr.write(sentence)
        sys.exit(1)

    def warn(self, code: str, **detail: object) -> None:
        """Something unwise that is done all the same: on standard error, in JSON too."""
        self.stderr.write(wording.sentence(code, detail))

    def _ready(self) -> None:
        """A database that is new is made; one that is older than the program is left alone."""
        executor = MigrationExecutor(connection)
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return
        if executor.loader.applied_migrations:
            raise Refused("database_old")
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)

    def _operator(self, name: str | None) -> Operator | None:
        if name is None:
            return None
        found = (
            Operator.objects.filter(username=name).first()
            or Operator.objects.filter(email__iexact=name).exclude(email="").first()
        )
        if found is None:
            known = Operator.objects.order_by("username").values_list("username", flat=True)
            raise Refused("operator_unknown", value=name, known=_few(known))
        if not found.is_active:
            raise Refused("operator_off", value=found.username)
        found.address = "local"
        self.allowed(self.permission, by=found)
        return found

    # What several of them need

    def allowed(self, permission: str, *, by: Operator | None) -> None:
        """Refuse what the operator's role does not allow; the console itself may do everything."""
        if by is not None and not roles.may(by, permission):
            able = ", ".join(str(role) for role in roles.who_may(permission))
            raise Refused("operator_may_not", value=by.username, roles=able)

    @property
    def now(self) -> datetime:
        return timezone.now()

    def passphrase(self, path: str) -> str:
        text, warnings = terminal.passphrase(path)
        for code in warnings:
            self.warn(code, path=path)
        return text

    def file(self, path: str, *, most: int = MOST_FILE_BYTES) -> bytes:
        return terminal.read(path, most=most)

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


def _all_text(options: Mapping[str, Any]) -> None:
    """Arguments are UTF-8: nothing else can be stored, or said again."""
    for value in options.values():
        for text in value if isinstance(value, list) else [value]:
            try:
                str(text).encode()
            except UnicodeEncodeError:
                shown = str(text).encode(errors="replace").decode()
                raise Refused("argument_not_text", value=shown) from None


def _few(names: Any) -> str:
    return ", ".join(names[:SHOWN]) or "-"


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
    raise Refused("issuer_unknown", value=name, known=_few(known.values_list("name", flat=True)))


def root_named(name: str) -> Issuer:
    found = issuer_named(name)
    if not found.is_root:
        known = Issuer.objects.roots().values_list("name", flat=True)
        raise Refused("not_a_root", value=found.name, known=_few(known))
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


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def day(value: datetime) -> str:
    return f"{value:%Y-%m-%d}"
