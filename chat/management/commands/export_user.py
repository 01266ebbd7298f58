"""`manage.py export_user`: everything about one person, as JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from chat.dossier import pieces


class Command(BaseCommand):
    help = (
        "Writes account, sessions, conversations (every branch) and recordings' words of one person as JSON, to FILE "
        "(readable by its owner only, never overwritten) or to the terminal. `import_chats` reads it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("file", nargs="?", type=Path)

    def handle(self, *_args: object, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError("There is no account with this address.")
        file: Path | None = options["file"]
        if file is None:
            for piece in pieces(user):
                self.stdout.write(piece, ending="")
            return
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                out.writelines(pieces(user))
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}.") from None
        self.stdout.write(f"{user.memberships.count()} conversations to {file}.")
