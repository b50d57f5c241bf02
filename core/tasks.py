"""The sealing of the audit log."""

from celery import shared_task

from core import sealing


@shared_task(name="core.seal_audit")
def seal_audit(_pk: int) -> None:
    """Seals everything unsealed: the id only says that there is something."""
    sealing.seal_events()
