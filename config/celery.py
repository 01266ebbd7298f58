"""The Celery application. Tasks live in `workers.tasks` and `workers.runtime.maintenance`."""

from __future__ import annotations

import os

from celery import Celery, signals

from config.ops.gc_tuning import settle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("antiphon")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["workers"])
app.autodiscover_tasks(["workers.runtime"], related_name="maintenance")


@signals.setup_logging.connect  # type: ignore[untyped-decorator]  # celery has no types
def keep_our_logging(**_kwargs: object) -> None:
    """Does nothing: with a receiver connected, Celery leaves logging as Django configured it."""


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def keep_loaded_modules(**_kwargs: object) -> None:
    settle()
