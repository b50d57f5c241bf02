"""What the commands have in common that bring in many accounts at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import import_rows, importing
from accounts.addresses import Reason
from accounts.management.base import AccountsCommand, Unclear
from accounts.models import AccountImport, ImportOutcome
from accounts.reading import Row
from accounts.sentences import SENTENCES, say
from core import inline, leases, seal

# A console that runs may have taken it.
PATIENCE = 600.0
# Refused lines that are named; the page of the import has all.
SHOWN = 1000


class ImportCommand(AccountsCommand):
    permission = "accounts.domains"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would happen, and make nothing"
        )
        parser.add_argument(
            "--make-domains", action="store_true", help="add the domains that are missing"
        )
        parser.add_argument(
            "--update",
            action="store_true",
            help="change accounts that are there already, where the file says otherwise",
        )

    def bring(
        self,
        rows: Iterable[Row],
        *,
        total: importing.Digest,
        name: str,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        try:
            batch = importing.request(
                rows=rows,
                total=total,
                name=name,
                choices=importing.Choices(options["make_domains"], options["update"]),
                dry_run=options["dry_run"],
                by=self.by,
                at=self.now,
            )
            inline.carry_out(
                batch, _work, ends=lambda row: not _runs(row), role="work", patience=PATIENCE
            )
        except (inline.NotCarriedOut, seal.KeyNotHeld):
            sentence = _(
                "The keys cannot be read as this user, and no running console took the work. "
                "Start the console, or try again as root."
            )
            raise Unclear("keys_not_held", sentence) from None
        if batch.state != AccountImport.DONE:
            problem = batch.problem or "import_stopped"
            stopped = _("Somebody stopped the import. What was done stays.")
            raise Unclear(problem, str(SENTENCES.get(problem, stopped)))
        return {
            "import": batch.pk,
            "dry_run": batch.dry_run,
            "total": batch.total,
            **{outcome: getattr(batch, outcome) for outcome in import_rows.OUTCOMES},
            "refused_lines": list(_refused(batch)),
        }

    def said(self, result: Mapping[str, Any]) -> Iterator[str]:
        for each in result["refused_lines"]:
            told = {"line": each["line"], "address": each["address"]}
            yield _("Line %(line)d, %(address)s:") % told + " " + " ".join(each["errors"])
        if result["refused"] > SHOWN:
            yield _("And %(count)d more.") % {"count": result["refused"] - SHOWN}
        text = (
            _("Would be made: %(created)d, changed: %(updated)d, as it was: %(unchanged)d, "
              "refused: %(refused)d.")
            if result["dry_run"]
            else _("Made: %(created)d, changed: %(updated)d, as it was: %(unchanged)d, "
                   "refused: %(refused)d.")
        )  # fmt: skip
        yield text % result


def _work(pk: int) -> None:
    """To the end, in this process."""
    at = timezone.now()
    batch = leases.claim(AccountImport.objects.due(at), pk, worker=leases.worker_name(), at=at)
    if batch is not None:
        importing.work(batch=batch, clock=timezone.now, slice_=None)


def _runs(batch: AccountImport) -> bool:
    return batch.state == AccountImport.RUNNING


def _refused(batch: AccountImport) -> Iterator[dict[str, Any]]:
    rows = ImportOutcome.objects.filter(batch=batch, outcome=import_rows.REFUSED)
    for row in rows.order_by("line")[:SHOWN]:
        yield {
            "line": row.line,
            "address": row.address,
            "reasons": [code for code, _values in row.reasons],
            "errors": [say(Reason(code, values)) for code, values in row.reasons],
        }
