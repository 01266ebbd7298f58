"""`manage.py models`: lists the models on offer, and tests them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import django.db
import psycopg_pool
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.management.terminal import show_examples
from workers.endpoints.connection_test import QUESTION, ConnectionTestResult, run_connection_test
from workers.endpoints.service import load_endpoints
from workers.providers import discovery
from workers.providers.base import ChatTurn, ProviderError
from workers.providers.config import Definition
from workers.providers.router import ModelRouter
from workers.providers.vocabularies import load_vocabularies

TEST_SECONDS = 60.0


class Command(BaseCommand):
    help = (
        "Lists the models on offer, the default first. --test sends a model a short message and reports how long the"
        " answer took; it also tests each endpoint that is configured in the admin, from this machine."
        " Exit code: 0, or 1 if an endpoint cannot be reached or does not answer."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--test", nargs="?", const="", metavar="MODEL", help="test this model (default: the first)")
        parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
        show_examples(
            parser,
            ("models", "list the models on offer"),
            ("models --test", "test whether the default model answers, and how fast"),
            ("models --test gpt-5 --json", "test another model, for scripts"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        """Exits with 1 if an endpoint cannot be reached or does not answer."""
        try:
            rows = load_endpoints()
        except (django.db.Error, psycopg_pool.PoolTimeout):
            self.stderr.write("PostgreSQL is unavailable, so the endpoints of the admin are not listed.")
            rows = []
        try:
            found = asyncio.run(ask(rows, options["test"]))
        except ImproperlyConfigured as error:
            raise CommandError(f"Setting {error}.") from None
        except ProviderError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": error.code, "message": error.message}))
                sys.exit(1)
            reason = f" ({error.reason})" if error.reason else ""
            raise CommandError(f"{error.code}: {error.message}{reason}") from None
        except TimeoutError:
            raise CommandError(f"The endpoint did not answer within {TEST_SECONDS:g} s.") from None
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            self._show(found)
        if not all(endpoint["passed"] for endpoint in found["endpoints"] if "passed" in endpoint):
            sys.exit(1)

    def _show(self, found: dict[str, Any]) -> None:
        self.stdout.write(f"environment: {found['endpoint']}")
        for endpoint in found["endpoints"]:
            self.stdout.write(f"{endpoint['name']}: {endpoint['address']}")
            if said := endpoint.get("said") or endpoint["trouble"]:
                self.stdout.write(f"    {said}")
        for place, name in enumerate(found["models"]):
            marks = ["default"] * (place == 0) + ["tokens counted exactly"] * (name in found["counted"])
            self.stdout.write(f"  {name}   ({', '.join(marks)})" if marks else f"  {name}")
        if (tested := found.get("test")) is not None:
            self.stdout.write(
                f"{tested['model']} answered {tested['characters']} characters; "
                f"first token after {tested['first_token_ms']} ms, all after {tested['total_ms']} ms."
            )


async def ask(rows: Sequence[Definition], test: str | None) -> dict[str, Any]:
    """`endpoint` (the environment's, a sentence), `endpoints` (of the admin), `models` (names on offer), `counted`
    (those whose tokens this machine counts with their own vocabulary) and, for `test`, how long an answer took.
    Raises `ProviderError`.
    """
    vocabularies = load_vocabularies(settings.TOKENIZERS_DIR)
    router = discovery.open_router(rows)
    try:
        async with asyncio.timeout(TEST_SECONDS):
            failure: ProviderError | None = None
            try:
                await router.models()
            except ProviderError as error:
                if not rows:
                    raise
                failure = error
            results = await asyncio.gather(*map(run_connection_test, rows)) if test == "" else [None] * len(rows)
            names = [offer["id"] for offer in router.catalog]
            found: dict[str, Any] = {
                "endpoint": discovery.describe(others_serve=any(row.offered for row in rows)),
                "endpoints": [_told(router, row, result) for row, result in zip(rows, results, strict=True)],
                "models": names,
                "counted": [name for name in names if vocabularies.of(name) is not None],
            }
            if test is not None and (test or not rows or names):
                found["test"] = await _test(router, test or names[0])
            elif failure is not None and test is not None:
                raise failure
            return found
    finally:
        await router.close()


def _told(router: ModelRouter, row: Definition, result: ConnectionTestResult | None) -> dict[str, Any]:
    models = [offer["id"] for offer in router.catalog if offer["endpoint"] == row.id]
    told = {"name": row.name, "address": row.base_url, "models": models, "trouble": row.trouble}
    return told if result is None else {**told, "passed": result.passed, "said": result.message}


async def _test(router: ModelRouter, name: str) -> dict[str, Any]:
    began, first, characters = time.monotonic(), None, 0
    async with router.stream(name, [ChatTurn("user", QUESTION)]) as batches:
        async for chunks in batches:
            characters += sum(len(chunk.text) for chunk in chunks)
            if characters and first is None:
                first = time.monotonic()
    return {
        "model": name,
        "characters": characters,
        "first_token_ms": None if first is None else int((first - began) * 1000),
        "total_ms": int((time.monotonic() - began) * 1000),
    }
