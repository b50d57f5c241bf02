"""`manage.py import_ca`: take over an authority that was made by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from ca import importing, wording
from ca.management.base import AuthorityCommand, day, described_authority
from ca.models import Imported
from core import terminal


class Command(AuthorityCommand):
    help = """Take over an authority made by hand: its key, its certificate, what it has issued.

The passphrase opens the key file, and the key is kept under it; where it is too weak for that,
--new-passphrase-file holds the one to keep it under. Certificates below --certs are listed and can
be revoked; what is no certificate of this authority is named and left out. The serial file's value
is where new serial numbers begin.

  ./run manage import_ca --name "My Root CA" --cert CA/certs/myrootca.crt \\
      --key CA/private/myrootca.key --passphrase-file root.pass \\
      --serial-file CA/serial --certs CA/certs
"""
    permission = "ca.manage"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, metavar="N", help="what the console calls it")
        parser.add_argument("--cert", required=True, metavar="F", help="its certificate")
        parser.add_argument("--key", required=True, metavar="F", help="its private key")
        parser.add_argument(
            "--passphrase-file", required=True, metavar="F", help="holds the key's passphrase alone"
        )
        parser.add_argument(
            "--new-passphrase-file", metavar="F", help="holds the one it is kept under from now on"
        )
        parser.add_argument("--serial-file", metavar="F", help="OpenSSL's serial file")
        parser.add_argument(
            "--certs", metavar="DIR", help="what it has issued: a folder, or an archive of one"
        )

    def act(self, options: Mapping[str, Any]) -> dict[str, Any]:
        new, serial = options["new_passphrase_file"], options["serial_file"]
        ceremony = importing.request_import(
            name=options["name"],
            certificate=self.file(options["cert"]),
            key=self.file(options["key"]),
            passphrase=self.passphrase(options["passphrase_file"]),
            new_passphrase=self.passphrase(new) if new else None,
            serial=self.file(serial) if serial else None,
            issued=self._issued(options["certs"]),
            origin=settings.PUBLIC_URL,
            by=self.by,
            at=self.now,
        )
        counts = ceremony.wish["counts"]
        done = self.ceremony_of(ceremony)
        assert done.root is not None
        found = Imported.objects.of(done)
        return {
            **described_authority(done.root),
            "certificates": counts,
            "noted": [_reported(each) for each in found.filter(verdict=Imported.NOTED)],
            "left_out": [_reported(each) for each in found.filter(verdict=Imported.LEFT)],
            "serial_floor": done.root.serial_floor,
        }

    def _issued(self, path: str | None) -> list[tuple[str, bytes]]:
        if not path:
            return []
        return terminal.files_below(
            path, most_files=importing.MOST_FILES, most_bytes=importing.MOST_BYTES
        )

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        yield f"Took over {result['name']} ({result['key']}), until {day(result['not_after'])}."
        counts = result["certificates"]
        yield (
            f"Certificates: {counts['taken']} taken over, {counts['noted']} with a note, "
            f"{counts['left']} left out."
        )
        for each in (*result["noted"], *result["left_out"]):
            yield f"  {each['file']}: {each['reason']}"
        yield f'Next, to SHA-256: ./run manage reissue_root "{result["name"]}" --help'


def _reported(found: Imported) -> dict[str, str]:
    """What the report says of a file that was not simply taken over."""
    reason = wording.sentence(found.code, found.detail)
    return {"file": found.source, "code": found.code, "reason": reason}
