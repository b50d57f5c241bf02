"""`manage.py practice …`: the practice host by hand, and the root helper that serves the console.

    manage.py practice status
    manage.py practice create [--release trixie] [--fqdn mail1.example.test] [--authorize KEY.pub]
    manage.py practice start | stop | destroy
    manage.py practice shell [COMMAND …]      a root shell inside
    manage.py practice serve                  what `manage.py up` starts when it is root

While a helper serves, it is asked; else the command does it itself, which needs root.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from deploy.practice import RELEASES, Machine, PracticeError, client, helper, verbs, wording
from deploy.practice.machine import ENVIRONMENT


class Command(BaseCommand):
    help = "The practice host: a Debian of its own with real mail daemons, on this machine."
    requires_system_checks: list[str] = []
    shown = ""

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for name in ("status", "start", "stop", "destroy"):
            actions.add_parser(name)
        create = actions.add_parser("create")
        create.add_argument("--release", default="bookworm", help=", ".join(RELEASES))
        create.add_argument("--fqdn", default="mail1.example.test")
        create.add_argument("--authorize", type=Path, help="file with a public SSH key")
        shell = actions.add_parser("shell")
        shell.add_argument("command", nargs=argparse.REMAINDER)
        serve = actions.add_parser("serve")
        serve.add_argument("--socket", type=Path)
        serve.add_argument("--uid", type=int, default=0, help="who may ask besides root")

    def handle(self, *args: object, **options: Any) -> None:
        self.socket = Path(options["socket"] if options.get("socket") else _socket())
        self.directory = Path(settings.DATA_DIR) / "practice"
        try:
            getattr(self, options["action"])(options)
        except PracticeError as refusal:
            raise CommandError(refusal.message) from None

    def status(self, options: dict[str, Any]) -> None:
        if self.socket.exists():
            found = client.status(self.socket)
        else:
            found = verbs.status(helper.safe_directory(self.directory))
        self.tell(found)

    def create(self, options: dict[str, Any]) -> None:
        arguments = {"release": options["release"], "fqdn": options["fqdn"]}
        if options["authorize"]:
            arguments["public_key"] = options["authorize"].read_text().strip()
        self.ask("create", arguments)

    def start(self, options: dict[str, Any]) -> None:
        self.ask("start", {})

    def stop(self, options: dict[str, Any]) -> None:
        self.ask("stop", {})

    def destroy(self, options: dict[str, Any]) -> None:
        self.ask("destroy", {})

    def ask(self, verb: str, arguments: dict[str, str]) -> None:
        if self.socket.exists():
            for event in client.stream(f"practice.{verb}", self.socket, **arguments):
                self.show(event)
        else:
            _as_root()
            function, _ = verbs.VERBS[f"practice.{verb}"]
            directory = helper.safe_directory(self.directory)
            result = function(directory, progress=self.progress, **arguments)
            self.show({"event": "result", **result})

    def show(self, event: dict[str, Any]) -> None:
        if event["event"] == "error":
            raise CommandError(event["message"])
        if event["event"] == "progress":
            self.progress(event["step"], event["fraction"])
        else:
            self.tell(event)

    def progress(self, step: str, fraction: float) -> None:
        line = f"{fraction:4.0%}  {wording.step(step)}"
        if line != self.shown:
            self.stdout.write(line)
        self.shown = line

    def tell(self, found: dict[str, Any]) -> None:
        for name, value in found.items():
            if name != "event" and value not in (None, ""):
                self.stdout.write(f"{name}: {value}")

    def shell(self, options: dict[str, Any]) -> None:
        _as_root()
        machine = Machine(helper.safe_directory(self.directory) / "practice")
        command = machine.command(options["command"] or ["bash", "--login"])
        os.execvpe(command[0], command, ENVIRONMENT)

    def serve(self, options: dict[str, Any]) -> None:
        _as_root()
        self.stdout.write(f"practice hosts are served on {self.socket}")
        helper.serve(self.socket, options["uid"], self.directory)


def _socket() -> Path:
    return Path(settings.DATA_DIR) / "run" / "local.sock"


def _as_root() -> None:
    if os.geteuid() != 0:
        raise PracticeError("not_root", "That needs root, or a console that was started as root.")
