"""What each process of the console does once it is forked: web, the workers, beat.

`MAILADMIN_PROCESSES` names those that this machine runs (default: all), so that a second machine
can hold nothing but workers: `MAILADMIN_PROCESSES=now,work`.

Workers use Celery's prefork pool: a hard time limit then kills one child and not the worker. Each
holds the key rings of its own role alone (`core.seal.ROLES`), and takes one queue.
"""

import ctypes
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

# Tasks a worker runs at once. The signer runs one: what it seals has an order.
WORKERS = {"sign": 1, "now": 2, "work": 2}
ALL = ("web", *WORKERS, "beat")
WEB_THREADS = 8

# What the forks need and Django does not import by itself.
SHARED = (
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "gunicorn.app.base",
    "gunicorn.arbiter",
    "gunicorn.workers.gthread",
    "kombu.transport.redis",
    "mailadmin.wsgi",
)

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


def named(name: str) -> None:
    """The name that `ps` and `top` show; the kernel keeps 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def die_with_parent(parent: int, by: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to signal this process when its parent is gone. A change of user clears the
    request, so it comes after it."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def preload() -> None:
    """Import what every process needs, once, before the forks share it."""
    for module in SHARED:
        importlib.import_module(module)
    from django.urls import get_resolver

    from mailadmin.celery import app

    app.loader.import_default_modules()
    app.finalize()
    _ = get_resolver().url_patterns


def web(sockets: list[socket.socket]) -> None:
    """Serve pages on sockets that listen already: none is refused while web starts again."""
    from gunicorn.app.base import BaseApplication

    class Web(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            settings: dict[str, Any] = {
                "bind": [f"fd://{one.fileno()}" for one in sockets],
                "worker_class": "gthread",
                "workers": 1,
                "threads": WEB_THREADS,
                "preload_app": True,
                # Its defaults were read when it was imported, by root.
                "user": os.geteuid(),
                "group": os.getegid(),
                "timeout": 60,
                "graceful_timeout": 10,
                "keepalive": 5,
                "control_socket_disable": True,
                "proc_name": "mailadmin-web",
                "loglevel": "warning",
                "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108
            }
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            from mailadmin.wsgi import application

            return application

    sys.argv = ["mailadmin-web"]
    Web().run()


def worker(role: str) -> None:
    """One Celery worker on the queue named like its role."""
    from celery.signals import worker_process_init

    from mailadmin.celery import app

    main = os.getpid()

    def child(**_: object) -> None:
        named(f"mailadmin-{role}")
        die_with_parent(main, signal.SIGKILL)

    worker_process_init.connect(child, weak=False)
    sys.argv = ["celery", "worker"]
    process = app.Worker(
        hostname=f"{role}@{socket.gethostname()}",
        queues=[role],
        concurrency=WORKERS[role],
        pool="prefork",
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    process.start()
    sys.exit(process.exitcode)


def beat() -> None:
    """The tick. The schedule is static, so nothing is remembered in a file."""
    from mailadmin.celery import app

    sys.argv = ["celery", "beat"]
    app.Beat(scheduler="celery.beat:Scheduler", loglevel="WARNING", quiet=True).run()


def main_of(name: str, sockets: list[socket.socket]) -> Callable[[], None]:
    if name == "web":
        return lambda: web(sockets)
    if name == "beat":
        return beat
    return lambda: worker(name)


def wanted(text: str | None) -> tuple[str, ...]:
    """The names in `MAILADMIN_PROCESSES`. Raises ValueError with the first that is unknown."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in ALL:
            raise ValueError(name)
    return tuple(name for name in ALL if name in names) if names else ALL
