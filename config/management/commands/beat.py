"""`manage.py beat`: starts the scheduler of periodic tasks (Celery beat). A lease lets one of several publish."""

from __future__ import annotations

from celery import signals
from django.core.management.base import BaseCommand, CommandError

from accounts.lib import watchdog
from config.celery import app
from config.stack.errors import StackError
from config.stack.root import leave_root


class Command(BaseCommand):
    help = "Runs the scheduler of periodic jobs. Of several processes one works, and another takes over when it ends."
    requires_system_checks = ()

    def handle(self, *_args: object, **_options: object) -> None:
        try:
            leave_root()
        except StackError as error:
            raise CommandError(str(error)) from None
        watchdog.keep_in_thread()
        signals.beat_init.connect(_announce)
        # The schedule is in the database: a restart delays no job (workers.runtime.periodic).
        app.start(["--quiet", "beat", "--scheduler=workers.runtime.scheduler:LeasedScheduler", "--pidfile="])


def _announce(**_: object) -> None:
    watchdog.announce_ready()
