"""Takes the place of Django's command, which prints password hashes, keys and every message."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Not available: it would print secrets and messages. Use `manage.py backup` or `export_user`. Exit code 1."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("anything", nargs="*")

    def handle(self, *_args: object, **_options: Any) -> None:
        raise CommandError("It would print secrets and messages. Use `manage.py backup` or `manage.py export_user`.")
