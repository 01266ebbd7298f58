"""`manage.py index_messages`: completes the search index, or makes it anew."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from chat.management.terminal import show_examples
from chat.search.filling import fill


class Command(BaseCommand):
    help = (
        "Indexes messages for the search that are not indexed; the database keeps the index by itself from then on. "
        "Safe on a running system, and it can be interrupted: the next run continues. Exit code 0."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--again", action="store_true", help="index every message again")
        show_examples(parser, ("index_messages", "what is missing"), ("index_messages --again", "everything"))

    def handle(self, *_args: object, **options: Any) -> None:
        indexed = fill(connection, again=options["again"])
        self.stdout.write(f"{indexed} messages indexed.")
