"""`manage.py import_chats`: conversations from elsewhere."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from chat.importing import ImportRefusedError, import_chats, read_chats


class Command(BaseCommand):
    help = (
        "Reads conversations, with all their branches, into a person's account: from `export_user`, ChatGPT's "
        "conversations.json or Open WebUI's export. Repeating it adds nothing. Images and attachments are left out. "
        "Ends with 1 when some could not be read."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="only read the file")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: object, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError("There is no account with this address.")
        try:
            chats = read_chats(options["file"].read_bytes())
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}.") from None
        except ImportRefusedError as error:
            raise CommandError(str(error)) from None
        said: Counter[str] = Counter()
        results = (chat.wrong or "new" for chat in chats) if options["dry_run"] else import_chats(user, chats)
        for done, result in enumerate(results, 1):
            said[result] += 1
            if self.stderr.isatty():
                self.stderr.write(f"\r{done} of {len(chats)}  ", ending="")
        if self.stderr.isatty():
            self.stderr.write("")
        refused = {why: number for why, number in said.items() if why not in ("new", "known")}
        if options["json"]:
            self.stdout.write(json.dumps({"new": said["new"], "known": said["known"], "refused": refused}))
        else:
            self.stdout.write(f"{said['new']} conversations, {said['known']} known already.")
            for why, number in refused.items():
                self.stdout.write(f"{number} left out: {why}")
        self.stdout.flush()
        if refused:
            sys.exit(1)
