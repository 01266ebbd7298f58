"""Takes the place of Django's command, which prints secrets."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Not available: it would print secrets. `manage.py settings` shows the settings without them. Exit code 1."
    requires_system_checks = ()

    def handle(self, *_args: object, **_options: Any) -> None:
        raise CommandError("It would print secrets. `manage.py settings` shows the settings without them.")
