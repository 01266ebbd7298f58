"""The Celery application. Tasks live in `workers.tasks` and `workers.runtime.maintenance`."""

from __future__ import annotations

import os

from celery import Celery, signals

from config.ops.gc_tuning import settle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery would run Django's checks at each start of a worker and of the scheduler and drop what they find. It loads the
# admin and all pages for that, half of what they load at all. `manage.py doctor` runs the checks.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

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
