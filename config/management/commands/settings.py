"""`manage.py settings`: the settings in force, without secrets, and where each came from."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from chat.management.terminal import show_examples

SECRET: Final = re.compile(r"SECRET|PASSWORD|KEY|TOKEN|CREDENTIAL|HEADERS")
MASK: Final = "•••"
PLAIN: Final = (str, int, float, bool, list, tuple, set, frozenset, type(None))


class Command(BaseCommand):
    help = (
        "Shows the settings in force in this shell, secrets masked, and which of them the environment or .env sets. "
        "Running processes may have been started with others. Exit code 0."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", default="", help="only those whose name has this in it")
        parser.add_argument("--json", action="store_true", help="for scripts: a list of objects")
        show_examples(
            parser,
            ("settings", "what is in force"),
            ("settings purge", "those about the purge"),
            ("settings --json", "for scripts"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        wanted = options["name"].upper()
        rows = [row for row in effective() if wanted in row["name"]]
        if options["json"]:
            self.stdout.write(json.dumps(rows, ensure_ascii=False))
            return
        for row in rows:
            self.stdout.write(f"{row['name']} = {row['value']}   ({row['from']})")


def effective() -> list[dict[str, str]]:
    """`name`, `value` and `from` (environment, file, default) of each setting of ours, sorted by name."""
    return [
        {"name": name, "value": shown(name, value), "from": origin(name)}
        for name in sorted(dir(settings))
        if name.isupper() and isinstance(value := getattr(settings, name), PLAIN)
    ]


def origin(name: str) -> str:
    """Where a setting came from. Those of Django and those that follow from others are `default`."""
    if f"{name}_FILE" in os.environ:
        return f"file {os.environ[f'{name}_FILE']}"
    return "environment or .env" if name in os.environ else "default"


def shown(name: str, value: Any) -> str:
    """The value as text; a secret is masked, and so is the password of an address."""
    if SECRET.search(name) and value not in ("", None, [], ()):
        return MASK
    text = str(value)
    if "://" in text and "@" in text:
        parts = urlsplit(text)
        if parts.password:
            host = parts.netloc.rpartition("@")[2]
            text = urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{MASK}@{host}"))
    return text
