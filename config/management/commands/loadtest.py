"""`manage.py loadtest`: simulated users send messages to a running server and measure its answers."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.stack.ports import is_loopback

LIMITS = (
    ("first-words-p99-ms", "99th percentile of the time to the first text", ("first_words_ms", "p99")),
    ("gap-p99-ms", "99th percentile of the time between two pieces of text", ("gap_ms", "p99")),
)


class Command(BaseCommand):
    help = (
        "Opens sockets to a running server, sends messages at an even rate and reports how long users waited. "
        "It creates accounts (up to 15, loadtest-...@example.org; delete them with `manage.py erase_user`), "
        "or logs in with --email. Messages cost what your model costs. The server's rate limits apply: "
        "30 messages a minute per user, unless RATE_... is set. "
        "Exit code: 1 if a limit given here was exceeded or no message was answered, 2 if the test could not run."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="URL of the site, such as http://127.0.0.1:8000")
        parser.add_argument("--users", type=int, default=10, help="sockets (default: 10)")
        parser.add_argument(
            "--rate", type=float, default=2.0, help="messages per second of all users together (default: 2)"
        )
        parser.add_argument("--seconds", type=float, default=30.0, help="how long messages are sent (default: 30)")
        parser.add_argument("--text", default="Tell me about the sea, in three sentences.")
        parser.add_argument("--model", default="", help="model to use (default: the server's default)")
        parser.add_argument("--email", default="", help="log in with this account")
        parser.add_argument("--password-stdin", action="store_true", help="read its password from standard input")
        parser.add_argument("--json", action="store_true", help="print a single JSON object")
        parser.add_argument(
            "--yes-i-own-it", action="store_true", help="required to test any other machine than this one"
        )
        parser.add_argument(
            "--max-errors", type=int, help="limit of errors, lost answers and answers with missing text, in total"
        )
        for name, what, _ in LIMITS:
            parser.add_argument(f"--{name}", type=float, help=f"limit of {what}")

    def handle(self, *_args: object, **options: Any) -> None:
        from config.ops import loadtest  # here: it brings an HTTP client

        parts = urlsplit(options["url"])
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError("The URL must look like http://127.0.0.1:8000.", returncode=2)
        if not is_loopback(parts.hostname) and not options["yes_i_own_it"]:
            said = f"{parts.hostname} is another machine. Only test your own server; confirm with --yes-i-own-it."
            raise CommandError(said, returncode=2)
        if options["users"] < 1 or options["rate"] <= 0 or options["seconds"] <= 0:
            raise CommandError("--users, --rate and --seconds must be above 0.", returncode=2)
        if bool(options["email"]) != options["password_stdin"]:
            raise CommandError("--email and --password-stdin must be given together.", returncode=2)
        plan = loadtest.Plan(
            url=f"{parts.scheme}://{parts.netloc}",
            users=options["users"],
            rate=options["rate"],
            seconds=options["seconds"],
            text=options["text"],
            model=options["model"],
            email=options["email"],
            password=sys.stdin.readline().rstrip("\n") if options["password_stdin"] else "",
        )
        on_progress = (lambda _line: None) if options["json"] else self.stderr.write
        try:
            found = asyncio.run(loadtest.run(plan, on_progress=on_progress))
        except loadtest.RefusedError as error:
            raise CommandError(str(error), returncode=2) from None
        missed = find_missed(found, options)
        if options["json"]:
            self.stdout.write(json.dumps({**found, "missed": missed}))
        else:
            self.stdout.write(describe(found))
            for sentence in missed:
                self.stderr.write(sentence)
        if missed:
            sys.exit(1)


def find_missed(found: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """The limits that were exceeded, each in a sentence."""
    missed = []
    for name, what, (group, percentile) in LIMITS:
        limit = options[name.replace("-", "_")]
        if limit is None:
            continue
        if found[group] is None:
            missed.append(f"Nothing was measured for --{name}.")
        elif found[group][percentile] > limit:
            missed.append(f"{what.capitalize()}: {found[group][percentile]:g} ms, more than {limit:g} ms.")
    if not found["answered"]:
        missed.append("No message was answered.")
    wrong = sum(found["errors"].values()) + found["dropped"] + found["unanswered"]
    if options["max_errors"] is not None and wrong > options["max_errors"]:
        missed.append(f"{wrong} errors, lost answers or answers with missing text, more than {options['max_errors']}.")
    return missed


def describe(found: dict[str, Any]) -> str:
    """The results as text."""

    def times(name: str) -> str:
        return "–" if found[name] is None else f"{found[name]['p50']:g} / {found[name]['p99']:g} ms"

    lines = [
        (
            f"{found['sent']} messages of {found['users']} users in {found['seconds']:g} s,"
            f" {found['answered']} answered, {found['characters_per_second']:g} characters a second"
        ),
        f"first text, p50 / p99    {times('first_words_ms')}",
        f"between two pieces       {times('gap_ms')}",
        f"whole answers            {times('answer_ms')}",
        f"answers with missing text, lost answers   {found['dropped']}, {found['unanswered']}",
        "errors   " + (", ".join(f"{code} {count}" for code, count in found["errors"].items()) or "none"),
    ]
    if found["closes"]:
        lines.append("closed   " + ", ".join(f"{code} {count}" for code, count in found["closes"].items()))
    if found["accounts"]:
        lines.append(f"accounts created   {found['accounts'][0]}" + (" …" if len(found["accounts"]) > 1 else ""))
    return "\n".join(lines)
