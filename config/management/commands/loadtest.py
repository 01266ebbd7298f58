"""`manage.py loadtest`: people who talk to a running server, and how it was for them."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.stack.ports import is_loopback

LIMITS = (
    ("first-words-p99-ms", "the slowest 1 % of first words", ("first_words_ms", "p99")),
    ("gap-p99-ms", "the longest 1 % of pauses between two pieces of text", ("gap_ms", "p99")),
)


class Command(BaseCommand):
    help = (
        "Opens sockets to a running server, sends messages at an even rate and says how long people waited. It makes"
        " accounts for itself (up to 15, loadtest-…@example.org; `manage.py erase_user` ends them), or logs in with"
        " --email. Messages cost what your model costs. The server's limits hold: 30 messages a minute for each person,"
        " unless RATE_… says otherwise. Ends with 1 when a limit given here was missed, with 2 when there was no test."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", help="where the site is, e.g. http://127.0.0.1:8000")
        parser.add_argument("--users", type=int, default=10, help="sockets (default: 10)")
        parser.add_argument("--rate", type=float, default=2.0, help="messages a second, of all users (default: 2)")
        parser.add_argument("--seconds", type=float, default=30.0, help="so long is sent (default: 30)")
        parser.add_argument("--text", default="Tell me about the sea, in three sentences.")
        parser.add_argument("--model", default="", help="default: the server's")
        parser.add_argument("--email", default="", help="log in with this account")
        parser.add_argument("--password-stdin", action="store_true", help="read its password from standard input")
        parser.add_argument("--json", action="store_true", help="one JSON object, and nothing else")
        parser.add_argument("--yes-i-own-it", action="store_true", help="needed for any machine but this one")
        parser.add_argument("--max-errors", type=int, help="errors, lost answers and missing text, in all")
        for name, what, _ in LIMITS:
            parser.add_argument(f"--{name}", type=float, help=f"limit of {what}")

    def handle(self, *_args: object, **options: Any) -> None:
        from config.ops import loadtest  # here: it brings an HTTP client

        parts = urlsplit(options["url"])
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError("That is not an address such as http://127.0.0.1:8000.", returncode=2)
        if not is_loopback(parts.hostname) and not options["yes_i_own_it"]:
            said = f"{parts.hostname} is another machine: a load test of somebody else's is an attack. --yes-i-own-it"
            raise CommandError(said, returncode=2)
        if options["users"] < 1 or options["rate"] <= 0 or options["seconds"] <= 0:
            raise CommandError("--users, --rate and --seconds are above 0.", returncode=2)
        if bool(options["email"]) != options["password_stdin"]:
            raise CommandError("--email and --password-stdin come together.", returncode=2)
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
        tell = (lambda _line: None) if options["json"] else self.stderr.write
        try:
            found = asyncio.run(loadtest.run(plan, say=tell))
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
    """The limits that were asked for and do not hold, each in a sentence."""
    missed = []
    for name, what, (group, percentile) in LIMITS:
        limit = options[name.replace("-", "_")]
        if limit is None:
            continue
        if found[group] is None:
            missed.append(f"Nothing was measured for --{name}.")
        elif found[group][percentile] > limit:
            missed.append(f"{what.capitalize()}: {found[group][percentile]:g} ms, more than {limit:g} ms.")
    wrong = sum(found["errors"].values()) + found["dropped"] + found["unanswered"]
    if options["max_errors"] is not None and wrong > options["max_errors"]:
        missed.append(f"{wrong} errors, lost answers or answers with missing text, more than {options['max_errors']}.")
    return missed


def describe(found: dict[str, Any]) -> str:
    """For a person."""

    def times(name: str) -> str:
        return "–" if found[name] is None else f"{found[name]['p50']:g} / {found[name]['p99']:g} ms"

    lines = [
        (
            f"{found['sent']} messages of {found['users']} users in {found['seconds']:g} s,"
            f" {found['answered']} answered, {found['characters_per_second']:g} characters a second"
        ),
        f"first words, p50 / p99   {times('first_words_ms')}",
        f"between two pieces       {times('gap_ms')}",
        f"whole answers            {times('answer_ms')}",
        f"answers with text missing, lost   {found['dropped']}, {found['unanswered']}",
        "errors   " + (", ".join(f"{code} {count}" for code, count in found["errors"].items()) or "none"),
    ]
    if found["closes"]:
        lines.append("closed   " + ", ".join(f"{code} {count}" for code, count in found["closes"].items()))
    if found["accounts"]:
        lines.append(f"accounts made   {found['accounts'][0]}" + (" …" if len(found["accounts"]) > 1 else ""))
    return "\n".join(lines)
