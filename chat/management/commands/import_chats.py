"""`manage.py import_chats`: imports conversations exported by Antiphon, ChatGPT, Claude, Open WebUI or LibreChat."""

from __future__ import annotations

import contextlib
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
from chat.portability.import_file import read_file
from chat.portability.imported_collections import CollectionOutcome, import_collections
from chat.portability.importer import ImportOutcome, import_conversations
from chat.portability.json_stream import ImportRefusedError

FILES = ("files", "collections", "files_left_out")
SCREENED = ("flagged", "masked", "withheld")
SHOWN = 20  # refused ones named on the terminal; --json has all


class Command(BaseCommand):
    help = (
        "Imports conversations, with all branches, into a user's account. FILE is an export of ChatGPT, Claude, "
        "Open WebUI or LibreChat as it was downloaded (.zip or .json), or what `export_user` wrote. "
        "Texts are screened by the moderation rules in force. "
        "The archive of our own export brings files and collections; in the others images and files become [image] and "
        "[attachment]. Tool output is left out. Repeating it adds nothing. "
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
        refused: list[dict[str, str]] = []
        with Bar() as bar, contextlib.closing(chats):
            for done, outcome in enumerate(import_conversations(user, chats, dry_run=options["dry_run"]), 1):
                said[outcome.kind] += 1
                if outcome.kind == "refused":
                    refused.append({"place": outcome.place, "reason": outcome.reason})
                elif outcome.kind == "new":
                    said["messages"] += outcome.messages
                    said.update(outcome.screened)
                    _add_files(said, refused, outcome)
                bar.show("conversations", done, len(chats))
            for made in () if options["dry_run"] else import_collections(user, chats, lambda: None):
                said["collections"] += made.is_new
                _add_files(said, refused, made)
        if said["messages"]:
            notify_of_import()
        if options["json"]:
            numbers = {name: said[name] for name in ("new", "messages", "known", *FILES)}
            screened = {name: said[name] for name in SCREENED}
            self.stdout.write(json.dumps({**numbers, "screened": screened, "refused": refused}, ensure_ascii=False))
        else:
            verb = "Would import" if options["dry_run"] else "Imported"
            what = f"{said['new']} conversations with {said['messages']} messages"
            self.stdout.write(f"{verb} {what}; {said['known']} already exist.")
            if any(said[name] for name in FILES):
                left_out = f"; {said['files_left_out']} files are left out" if said["files_left_out"] else ""
                self.stdout.write(f"{said['files']} files, {said['collections']} collections{left_out}.")
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


def _add_files(said: Counter[str], refused: list[dict[str, str]], outcome: ImportOutcome | CollectionOutcome) -> None:
    said["files"] += outcome.files
    said["files_left_out"] += outcome.left_out
    for name, reason in outcome.files_report:
        refused.append({"place": f"{outcome.place} · {name}", "reason": reason})
