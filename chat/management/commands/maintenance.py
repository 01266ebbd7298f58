"""`manage.py maintenance`: begins and ends maintenance mode, in which only staff write."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.audit import record_command
from accounts.models import SiteSettings
from chat.management.terminal import show_examples


class Command(BaseCommand):
    help = (
        "Begins or ends maintenance mode: everybody can read, only staff can write, and all pages say so within two "
        "seconds. Answers under way are finished. Exit code 0."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=("on", "off", "status"))
        parser.add_argument("--text", default=None, metavar="TEXT", help="text on pages, up to 300 characters")
        parser.add_argument("--json", action="store_true", help="for scripts")
        show_examples(
            parser,
            ("maintenance on", "begin, with the usual sentence"),
            ('maintenance on --text "Back at 14:00 UTC."', "begin, and say until when"),
            ("maintenance off", "end"),
            ("maintenance status --json", "whether it is on, for scripts"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        row, _created = SiteSettings.objects.get_or_create(pk=1)
        if options["verb"] != "status":
            self._switch(row, on=options["verb"] == "on", text=options["text"])
        state = {"maintenance": row.maintenance, "text": row.maintenance_text}
        if options["json"]:
            self.stdout.write(json.dumps(state))
        else:
            said = f" {row.maintenance_text}" if row.maintenance and row.maintenance_text else ""
            self.stdout.write(f"Maintenance mode is {'on' if row.maintenance else 'off'}.{said}")

    def _switch(self, row: SiteSettings, *, on: bool, text: str | None) -> None:
        text = row.maintenance_text if text is None else text.strip()[:300]
        changes = {
            name: (str(before), str(after))
            for name, before, after in (
                ("maintenance", row.maintenance, on), ("maintenance_text", row.maintenance_text, text)
            )
            if before != after
        }  # fmt: skip
        if not changes:
            return
        record_command("change", row, changes=changes)
        row.maintenance, row.maintenance_text = on, text
        row.save()
