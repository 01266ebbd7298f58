"""`manage.py worker`: one worker process."""

from __future__ import annotations

import warnings
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.lib import watchdog
from chat.jobs.queues import queue_names
from config.celery import app
from config.observability import tracing
from config.stack.errors import StackError
from config.stack.root import leave_root
from config.web.metrics import serve_beside


class Command(BaseCommand):
    help = "Runs one worker process. It serves all queues, or those that are named."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="worker", help="its name in logs and leases (default: worker)")
        kinds = ",".join(settings.WORKER_QUEUES)
        parser.add_argument("--queues", default=kinds, help=f"some of {kinds} (default: all)")
        parser.add_argument("--threads", type=int, default=settings.WORKER_THREADS)

    def handle(self, *_args: object, **options: Any) -> None:
        try:
            queues = ",".join(queue_names(options["queues"]))
            leave_root()
        except (StackError, ValueError) as error:
            raise CommandError(str(error)) from None
        # No gossip, mingle or remote heartbeats: workers need not know each other, and Redis pub/sub may lose them.
        # As root (ANTIPHON_USER=root) it warns, because of pickled messages; ours are JSON.
        warnings.filterwarnings("ignore", category=SecurityWarning)
        names = [f"--queues={queues}", f"--hostname={options['name']}@%h"]
        pool = ["--pool=threads", f"--concurrency={options['threads']}"]
        alone = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        serve_beside(settings.WORKER_METRICS_PORT, shared=False)
        tracing.start("worker")
        signals.worker_ready.connect(_announce)
        try:
            app.start(["--quiet", "worker", *names, *pool, *alone])
        finally:
            tracing.stop()


def _announce(**_: object) -> None:
    """Celery takes jobs now; the loop for them has been open since `worker_init`."""
    watchdog.announce_ready()
