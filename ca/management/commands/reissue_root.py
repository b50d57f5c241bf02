"""`manage.py reissue_root`: a root's certificate anew, with the same key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from ca import profiles, reissue
from ca.management.base import AuthorityCommand, day, described_authority, root_named


class Command(AuthorityCommand):
    help = """Sign a root's certificate anew: the same key and subject, SHA-256, a new life.

What the root signed keeps verifying under the new certificate. An old root by SHA-1 crosses over
this way; devices that trust the one from before go on, new ones get the new one.

  ./run manage reissue_root "My Root CA" --passphrase-file root.pass
"""
    permission = "ca.manage"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="N", help="the root")
        parser.add_argument(
            "--passphrase-file", required=True, metavar="F", help="holds its passphrase alone"
        )
        parser.add_argument(
            "--days",
            type=int,
            default=profiles.CLASSIC_ROOT_DAYS,
            metavar="D",
            help=f"its new life ({profiles.CLASSIC_ROOT_DAYS}, twenty years)",
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        root = root_named(options["name"])
        before = root.certificate
        assert before is not None
        ceremony = reissue.request_reissue(
            root=root,
            days=options["days"],
            passphrase=self.passphrase(options["passphrase_file"]),
            by=self.by,
            at=self.now,
        )
        self.ceremony_of(ceremony)
        root.refresh_from_db()
        return {**described_authority(root), "replaces": before.serial}

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield f"{result['name']} is signed anew with its key, until {day(result['not_after'])}."
        yield f"SHA-256 fingerprint: {result['fingerprint_sha256']}"
        yield "Give the new certificate to your devices; those that trust the old one go on."
