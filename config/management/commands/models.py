"""`manage.py models`: which models answer here, and whether one does."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from workers.providers import registry
from workers.providers.base import ChatTurn, ProviderError

TEST_SECONDS = 60.0


class Command(BaseCommand):
    help = "Lists the models on offer, the default first. --test asks one for a word and says how long it took."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--test", nargs="?", const="", metavar="MODEL", help="ask this model (default: the first)")
        parser.add_argument("--json", action="store_true")

    def handle(self, *_args: object, **options: Any) -> None:
        """Ends with 1 when the endpoint cannot be asked or does not answer."""
        try:
            found = asyncio.run(ask(options["test"]))
        except ImproperlyConfigured as error:
            raise CommandError(f"Setting {error}.") from None
        except ProviderError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": error.code, "message": error.message}))
                sys.exit(1)
            raise CommandError(f"{error.code}: {error.message}") from None
        except TimeoutError:
            raise CommandError(f"The endpoint did not answer within {TEST_SECONDS:g} s.") from None
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        self.stdout.write(found["endpoint"])
        for place, name in enumerate(found["models"]):
            self.stdout.write(f"  {name}{'   (default)' if place == 0 else ''}")
        if (tested := found.get("test")) is not None:
            self.stdout.write(
                f"{tested['model']} answered {tested['characters']} characters; "
                f"first token after {tested['first_token_ms']} ms, all after {tested['total_ms']} ms."
            )


async def ask(test: str | None) -> dict[str, Any]:
    """`endpoint` (a sentence), `models` (names) and, for `test`, how long an answer took. Raises `ProviderError`."""
    model = registry.open_model()
    try:
        async with asyncio.timeout(TEST_SECONDS):
            await model.open()
            names = [offered["id"] for offered in await registry.list_offered(model)]
            found: dict[str, Any] = {"endpoint": registry.describe(), "models": names}
            if test is not None:
                name = test or (names[0] if names else "")
                began, first, characters = time.monotonic(), None, 0
                async with model.stream(name, [ChatTurn("user", "Say hello in one word.")]) as batches:
                    async for chunks in batches:
                        characters += sum(len(chunk.text) for chunk in chunks)
                        if characters and first is None:
                            first = time.monotonic()
                found["test"] = {
                    "model": name,
                    "characters": characters,
                    "first_token_ms": None if first is None else int((first - began) * 1000),
                    "total_ms": int((time.monotonic() - began) * 1000),
                }
            return found
    finally:
        await model.close()
