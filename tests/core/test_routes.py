"""The one table of tasks agrees with what is registered, and every due path resolves."""

from django.utils import timezone
from django.utils.module_loading import import_string

from mailadmin.celery import app
from mailadmin.routes import ROUTES

QUEUES = {"sign", "now", "work"}


def registered() -> set[str]:
    app.loader.import_default_modules()
    return {name for name in app.tasks if not name.startswith("celery.")}


def test_every_task_is_in_the_table_and_every_line_is_a_task() -> None:
    assert registered() == set(ROUTES)


def test_every_task_goes_to_a_queue_that_a_worker_reads() -> None:
    assert {route.queue for route in ROUTES.values()} <= QUEUES
    router = app.amqp.router
    for name, route in ROUTES.items():
        assert router.route({}, name)["queue"].name == route.queue


def test_every_due_is_a_queryset_that_runs(db) -> None:
    for route in ROUTES.values():
        if route.due:
            list(import_string(route.due)(timezone.now()).values_list("pk", flat=True)[:1])
