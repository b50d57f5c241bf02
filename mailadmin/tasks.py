from celery import shared_task
from django.utils import timezone

from mailadmin import tick as ticking


@shared_task(name="mailadmin.tick")
def tick() -> None:
    ticking.tick(at=timezone.now())
