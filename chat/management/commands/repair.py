"""`manage.py repair`: finds and mends what should not exist."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from chat.repair import repair


class Command(BaseCommand):
    help = "Finds rows that contradict each other or that nobody looks after, mends them, and says what it did."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what is wrong")

    def handle(self, *_args: object, **options: Any) -> None:
        found = repair(dry_run=options["dry_run"])
        for sentence in found:
            self.stdout.write(sentence)
        if not found:
            self.stdout.write("Nothing is wrong.")
        elif options["dry_run"]:
            self.stdout.write("Nothing was changed.")
        else:
            left = repair(dry_run=True)
            self.stdout.write("All of it is mended." if not left else "Still wrong:\n" + "\n".join(left))
