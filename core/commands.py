"""What the apps' commands have in common.

A command translates its arguments, makes one verb call and says what came out: `--json` is one
object on standard output and nothing else, an error is `{"error": sentence, "code": code}` and
status 1. It works beside a running console and while it is stopped.

    class Command(TerminalCommand):
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
import sys
from argparse import SUPPRESS, RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, NoReturn

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core import roles, terminal
from core.errors import Refusal
from core.models import Operator

MOST_FILE_BYTES = 1024 * 1024
SHOWN = 20

SENTENCES: Mapping[str, Any] = {
    "interrupted": _("Interrupted. What was asked for already stays asked for."),
    "database_old": _(
        "The database is older than this program. Start the console once, or type "
        "./run manage migrate, then try again."
    ),
    "database_unusable": _("The database cannot be used: %(why)s."),
    "operator_unknown": _("There is no operator “%(value)s”. Known: %(known)s."),
    "operator_off": _("“%(value)s” is switched off; an owner can switch it on again."),
    "operator_may_not": _("“%(value)s” may not do this; it needs the role %(roles)s."),
    "domain_unknown": _("There is no domain “%(value)s”. Known: %(known)s."),
    "argument_not_text": _("“%(value)s” is no text (UTF-8)."),
    "file_missing": _("There is no file %(path)s."),
    "file_unreadable": _("The file %(path)s cannot be read: %(why)s."),
    "file_big": _("The file %(path)s is larger than %(why)s. Is it the right one?"),
    "file_unwritable": _("The file %(path)s cannot be written: %(why)s."),
    "file_exists": _(
        "%(path)s is there already. Choose another place, or overwrite it with --force."
    ),
    "file_is_folder": _("%(path)s is a folder. Name a file in it."),
    "folder_missing": _("There is no folder %(path)s. Make it first."),
    "folder_unwritable": _("The folder %(path)s cannot be written: %(why)s."),
    "passphrase_empty": _("The passphrase file %(path)s is empty."),
    "passphrase_not_text": _("The passphrase file %(path)s is no text (UTF-8)."),
    "passphrase_lines": _(
        "The passphrase file %(path)s has several lines. Write the passphrase alone into it."
    ),
    "passphrase_file_open": _("Others on this machine can read %(path)s. Type: chmod 600 %(path)s"),
}


def sentence(code: str, detail: Mapping[str, object]) -> str:
    return str(SENTENCES[code]) % detail


class Refused(Refusal):
    """The command was asked for something it will not do; `code` is for scripts."""

    def __init__(self, code: str, **detail: object) -> None:
        super().__init__(sentence(code, detail))
        self.code = code


class _Formatter(RawDescriptionHelpFormatter):
    """Our own options before those that every command of Django has."""


class TerminalCommand(BaseCommand):
    permission: ClassVar[str]
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
            result = self.carry(options)
        except Refusal as refusal:
            self.refuse(refusal)
        except terminal.FileRefused as refusal:
            self.fail_with(refusal.code, path=refusal.path, why=refusal.why)
        except DatabaseError as error:
            self.fail_with("database_unusable", why=str(error).strip().rstrip("."))
        except KeyboardInterrupt:
            self.fail_with("interrupted")
        if self._in_json:
            self.stdout.write(json.dumps(result, default=_as_json))
        else:
            for line in self.said(result):
                self.stdout.write(line)

    def carry(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """`act`, with what an app's commands fail with besides."""
        return self.act(options)

    def refuse(self, refusal: Refusal) -> NoReturn:
        self.fail(refusal.sentence, getattr(refusal, "code", "refused"))

    def sentence(self, code: str, detail: Mapping[str, object]) -> str:
        return sentence(code, detail)

    def _misused(self, message: str) -> NoReturn:
        if not self._in_json:
            usage = f"Type ./run manage {self._name} --help for what it takes."
            message = f"{message[:1].upper()}{message[1:].rstrip('.')}. {usage}"
        self.fail(message, "usage")

    @property
    def _name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def fail_with(self, code: str, **detail: object) -> NoReturn:
        self.fail(self.sentence(code, detail), code)

    def fail(self, sentence: str, code: str, **more: object) -> NoReturn:
        if not self._called_from_command_line:
            raise CommandError(sentence)
        if self._in_json:
            self.stdout.write(
                json.dumps({"error": sentence, "code": code, **more}, default=_as_json)
            )
        else:
            self.stderr.write(sentence)
        sys.exit(1)

    def warn(self, code: str, **detail: object) -> None:
        """Something unwise that is done all the same: on standard error, in JSON too."""
        self.stderr.write(self.sentence(code, detail))

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
            raise Refused("operator_unknown", value=name, known=few(known))
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


def _all_text(options: Mapping[str, Any]) -> None:
    """Arguments are UTF-8: nothing else can be stored, or said again."""
    for value in options.values():
        for text in value if isinstance(value, list) else [value]:
            try:
                str(text).encode()
            except UnicodeEncodeError:
                shown = str(text).encode(errors="replace").decode()
                raise Refused("argument_not_text", value=shown) from None


def code_of(refusal: Refusal) -> str:
    """A refusal's name for scripts: `AddressTaken` is address_taken."""
    given = getattr(refusal, "code", None)
    if given is not None:
        return str(given)
    name = type(refusal).__name__
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name).lstrip("_")


def few(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:SHOWN]) or "-"


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
