"""Takes the place of django-import-export's command, which knows neither permissions nor the audit log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Not available: the lists of the admin have exports, with permissions and audit entries. Exit code 1."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("anything", nargs="*")

    def handle(self, *_args: object, **_options: Any) -> None:
        raise CommandError("Use the lists of the admin, or `manage.py backup` and `manage.py export_user`.")
