"""`manage.py verify_audit`: walk the sealed audit log and name the first event that is broken."""

from django.core.management.base import BaseCommand, CommandError

from core import sealing


class Command(BaseCommand):
    help = "Verify the chain of MACs over the audit log."

    def handle(self, *args: object, **options: object) -> None:
        verdict = sealing.verify()
        if verdict.broken_at is not None:
            raise CommandError(
                f"Event {verdict.broken_at} does not fit the chain: it was changed, removed or "
                f"inserted after it was sealed. The {verdict.sealed} events before it are intact."
            )
        self.stdout.write(
            f"{verdict.sealed} sealed events are intact, {verdict.unsealed} not sealed yet. "
            f"Head: {verdict.head}"
        )
