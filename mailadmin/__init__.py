"""The project: settings, URLs, the supervisor, and the pages that belong to no single app."""

from mailadmin.celery import app as celery_app

__all__ = ["celery_app"]
