"""`manage.py export_user`: everything stored about one user, as JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.audit import record_command
from accounts.models import User
from chat.management.terminal import Bar, show_examples
from chat.portability.export import export_user_data


class Command(BaseCommand):
    help = (
        "Writes a user's account, sessions, conversations (all branches) and transcripts as JSON, to FILE "
        "(readable by its owner only, never overwritten) or to the terminal. `import_chats` reads it. "
        "Exit code 0, or 1 if there is no such user or the file cannot be written; then no file is left behind."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("file", nargs="?", type=Path)
        parser.add_argument("--reasoning", action="store_true", help="With what the models thought.")
        show_examples(
            parser,
            ("export_user ana@example.org ana.json", "all there is about her, into a file"),
            ("export_user ana@example.org | jq .account", "to the terminal, or a program"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError("There is no account with this address.")
        record_command("export_user", user, details="with thinking" if options["reasoning"] else "")
        file: Path | None = options["file"]
        reasoning: bool = options["reasoning"]
        if file is None:
            for piece in export_user_data(user, reasoning=reasoning):
                self.stdout.write(piece, ending="")
            return
        total = user.memberships.count()
        try:
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}.") from None
        try:
            with os.fdopen(opened, "w", errors="replace") as out, Bar() as bar:
                for number, piece in enumerate(export_user_data(user, reasoning=reasoning)):
                    out.write(piece)
                    bar.show("conversations", min(number, total), total)
        except BaseException as error:
            file.unlink()  # half an export is none
            if isinstance(error, OSError):
                raise CommandError(f"{file}: {error.strerror}.") from None
            raise
        self.stdout.write(f"{total} conversations to {file}.")
