"""`manage.py import_chats`: imports conversations exported by Antiphon, ChatGPT, Claude, Open WebUI or LibreChat."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.audit import record_command
from accounts.models import User
from chat.eventlog.html_requests import notify_of_import
from chat.management.terminal import Bar, show_examples
from chat.portability.importer import import_conversations, read_file
from chat.portability.json_stream import ImportRefusedError

SCREENED = ("flagged", "masked", "withheld")
SHOWN = 20  # refused ones named on the terminal; --json has all


class Command(BaseCommand):
    help = (
        "Imports conversations, with all branches, into a user's account. FILE is an export of ChatGPT, Claude, "
        "Open WebUI or LibreChat as it was downloaded (.zip or .json), or what `export_user` wrote. "
        "Texts are screened by the moderation rules in force. "
        "Images and files become [image] and [attachment]; tool output is left out. Repeating it adds nothing. "
        "A file that cannot be read to its end imports nothing. "
        "Exit code 0 if everything is imported, 1 if some conversations were refused, 2 if the file was."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the user who will own them")
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="read and check everything, change nothing")
        parser.add_argument("--json", action="store_true", help="for scripts: counts, and what was refused and why")
        show_examples(
            parser,
            ("import_chats ana@example.org chatgpt.zip --dry-run", "what is in it?"),
            ("import_chats ana@example.org chatgpt.zip", "import it"),
            ("import_chats ana@example.org webui.json --json", '{"new": 12, "known": 0, …}'),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError("There is no account with this address.", returncode=2)
        try:
            chats = read_file(options["file"])
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}.", returncode=2) from None
        except ImportRefusedError as error:
            raise CommandError(str(error), returncode=2) from None
        if not options["dry_run"]:
            record_command("import_chats", user, details=str(options["file"]))
        said: Counter[str] = Counter()
        refused = []
        with Bar() as bar:
            for done, outcome in enumerate(import_conversations(user, chats, dry_run=options["dry_run"]), 1):
                said[outcome.kind] += 1
                if outcome.kind == "refused":
                    refused.append({"place": outcome.place, "reason": outcome.reason})
                elif outcome.kind == "new":
                    said["messages"] += outcome.messages
                    said.update(outcome.screened)
                bar.show("conversations", done, len(chats))
        if said["messages"]:
            notify_of_import()
        if options["json"]:
            numbers = {name: said[name] for name in ("new", "messages", "known")}
            screened = {name: said[name] for name in SCREENED}
            self.stdout.write(json.dumps({**numbers, "screened": screened, "refused": refused}, ensure_ascii=False))
        else:
            verb = "Would import" if options["dry_run"] else "Imported"
            what = f"{said['new']} conversations with {said['messages']} messages"
            self.stdout.write(f"{verb} {what}; {said['known']} already exist.")
            if any(said[name] for name in SCREENED):
                counts = ", ".join(f"{said[name]} {name}" for name in SCREENED)
                self.stdout.write(f"Texts in which moderation rules found something: {counts}.")
            for one in refused[:SHOWN]:
                self.stdout.write(f"Left out: {one['place']}: {one['reason']}")
            if len(refused) > SHOWN:
                self.stdout.write(f"… and {len(refused) - SHOWN} more (--json names all).")
        self.stdout.flush()
        if refused:
            sys.exit(1)
