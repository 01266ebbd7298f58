"""`manage.py translations`: keeps the catalogues of texts. For contributors; nothing of it runs on a site."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.management.terminal import show_examples
from config.translation.catalogues import compiled, po_path, read, update, write
from config.translation.checks import find_faults
from config.translation.extraction import ExtractionError, Text, extract
from config.translation.languages import LANGUAGES, Language


class Command(BaseCommand):
    help = (
        "Updates the catalogues from the code (update), checks them (check), and compiles them (compile)."
        " Exit code: 0, or 1 if a catalogue has faults or a text in the code cannot be read."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=("update", "check", "compile"))
        parser.add_argument("languages", nargs="*", metavar="language", help=f"{', '.join(LANGUAGES)}; none: all")
        parser.add_argument("--admin", action="store_true", help="the catalogues of what only staff read")
        show_examples(
            parser,
            ("translations update", "bring all catalogues level with the code"),
            ("translations check de fr", "name what is missing or broken in two languages"),
            ("translations compile --admin", "compile the catalogues of the admin"),
        )

    def handle(self, action: str, languages: list[str], admin: bool, **_options: Any) -> None:
        unknown = sorted(set(languages) - LANGUAGES.keys())
        if unknown:
            raise CommandError(f"There is no language {', '.join(unknown)}. There are {', '.join(LANGUAGES)}.")
        chosen = [LANGUAGES[code] for code in languages or LANGUAGES]
        try:
            texts = [] if action == "compile" else extract(staff=admin)
        except ExtractionError as error:
            raise CommandError(str(error)) from error
        faults = sum(self._do(action, language, texts, staff=admin) for language in chosen)
        if faults:
            raise CommandError(f"{faults} faults.")

    def _do(self, action: str, language: Language, texts: list[Text], *, staff: bool) -> int:
        """Returns the number of faults that were found."""
        if action == "update":
            write(language, update(language, texts, staff=staff), staff=staff)
            self.stdout.write(f"{language.code}: {len(texts)} texts in {po_path(language, staff=staff)}")
        elif action == "compile":
            for path, content in compiled(language, staff=staff).items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                self.stdout.write(f"{language.code}: {path}")
        else:
            faults = find_faults(language, read(language, staff=staff), texts)
            for fault in faults:
                self.stdout.write(f"{language.code}: {fault}")
            if not faults:
                self.stdout.write(f"{language.code}: {len(texts)} texts, complete.")
            return len(faults)
        return 0
