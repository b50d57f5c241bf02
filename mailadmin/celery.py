"""The Celery application. Queues and due rows of each task stand in `mailadmin.routes`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailadmin.settings")

TICK_SECONDS = 5.0

app = Celery("mailadmin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def _queue_of(name: str, *_args: object, **_options: object) -> dict[str, str] | None:
    from mailadmin.routes import ROUTES

    route = ROUTES.get(name)
    return {"queue": route.queue} if route else None


app.conf.task_routes = (_queue_of,)
app.conf.beat_schedule = {
    "tick": {
        "task": "mailadmin.tick",
        "schedule": TICK_SECONDS,
        "options": {"expires": TICK_SECONDS},
    }
}
