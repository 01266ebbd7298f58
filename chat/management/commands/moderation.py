"""`manage.py moderation`: lists, exports, imports and tries rules; figures of cases, and claims that are given back."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.audit import record_command
from accounts.models.fields import LONGEST_DAYS
from chat.management.terminal import show_examples
from chat.models import ModerationRule
from chat.models.moderation import Direction
from chat.moderation.claims import requeue_stale, stale_claims
from chat.moderation.judging import judge_all_now
from chat.moderation.portable import ImportRefused, export_rules, import_rules, import_starter_rules
from chat.moderation.rules import compile_rules
from chat.moderation.stats import figures_of


class Command(BaseCommand):
    help = (
        "Rules and cases of moderation. Exit code 0, or 1 if a file is refused or there is no such rule; "
        "`moderation test` has exit code 0 whether or not something is found."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        rules = verbs.add_parser("rules", help="the rules: list, export, import")
        what = rules.add_subparsers(dest="what", required=True)
        listed = what.add_parser("list", help="one line for each rule")
        listed.add_argument("--json", action="store_true", help="for scripts: a list")
        exported = what.add_parser("export", help="writes rules as JSON to standard output")
        exported.add_argument("name", nargs="*", help="default: all")
        imported = what.add_parser("import", help="adds the rules of a file, or changes those of the same name")
        imported.add_argument("file", nargs="?", help='"-" is standard input')
        imported.add_argument("--starter", action="store_true", help="the rules that ship; those there already stay")
        imported.add_argument("--enable", action="store_true", help="switch rules on that are new")
        test = verbs.add_parser("test", help="what the rules find in a text")
        test.add_argument("text", help='"-" is standard input')
        test.add_argument("--direction", choices=Direction.values, default=Direction.ASKED.value)
        test.add_argument("--all", action="store_true", help="also rules that are switched off")
        test.add_argument("--json", action="store_true", help="for scripts: an object")
        stats = verbs.add_parser("stats", help="the queue, and what was found and decided")
        stats.add_argument("--days", type=int, default=7, help="of cases, decisions and reports; default: 7")
        stats.add_argument("--json", action="store_true", help="for scripts: an object")
        requeue = verbs.add_parser("requeue", help="gives claimed cases back to the queue that nobody has decided")
        requeue.add_argument("--hours", type=float, default=24.0, help="claimed longer ago than this; default: 24")
        requeue.add_argument("--dry-run", action="store_true", help="only count them")
        requeue.add_argument("--json", action="store_true", help="for scripts: an object")
        again = verbs.add_parser("judge-again", help="has the texts judged now that wait for a judge that was away")
        again.add_argument("--json", action="store_true", help="for scripts: an object")

        show_examples(
            parser,
            ("moderation rules list", "all rules, with their versions"),
            ("moderation rules export > rules.json", "to keep, or for another server"),
            ("moderation rules import rules.json", "new rules are switched off"),
            ("moderation stats --days 30", "how many cases, of what, and how they were decided"),
            ("moderation requeue --hours 8", "when a reviewer has left cases behind"),
            ("moderation judge-again", "when a judge has been mended after a long time"),
            ("moderation rules import --starter", "adds the rules that ship"),
            ('moderation test "mail me at ana@example.org" --all', "what would be found, and masked"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        match options["verb"], options.get("what"):
            case "rules", "list":
                self.list_rules(as_json=options["json"])
            case "rules", "export":
                self.export(options["name"])
            case "rules", "import" if options["starter"]:
                record_command("import", ModerationRule, details="starter set")
                added, known = import_starter_rules()
                self.stdout.write(f"{added} added, switched off; {known} were there already.")
            case "rules", "import" if not options["file"]:
                raise CommandError("Name a file, or --starter.")
            case "rules", "import":
                self.import_file(options["file"], enable=options["enable"])
            case "stats", _:
                self.show_stats(options["days"], as_json=options["json"])
            case "requeue", _:
                self.requeue(options["hours"], dry_run=options["dry_run"], as_json=options["json"])
            case "judge-again", _:
                self.judge_again(as_json=options["json"])
            case _:
                self.test(options)

    def list_rules(self, *, as_json: bool) -> None:
        rules = list(ModerationRule.objects.all())
        if as_json:
            shown = ("id", "name", "version", "enabled", "action", "category", "severity", "directions")
            rows = [{name: getattr(rule, name) for name in shown} for rule in rules]
            self.stdout.write(json.dumps(rows, default=str))
            return
        for rule in rules:
            state = "on " if rule.enabled else "off"
            self.stdout.write(f"{state} {rule.action:5} {', '.join(rule.directions):28} {rule.name} (v{rule.version})")
        if not rules:
            self.stdout.write("There are no rules.")

    def export(self, names: list[str]) -> None:
        rules = ModerationRule.objects.prefetch_related("groups", "plans")
        if names:
            rules = rules.filter(name__in=names)
            if missing := set(names) - {rule.name for rule in rules}:
                raise CommandError(f"There is no rule {min(missing)}.")
        self.stdout.write(json.dumps(export_rules(rules), indent=2, ensure_ascii=False))

    def import_file(self, path: str, *, enable: bool) -> None:
        try:
            text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
            with transaction.atomic():
                added, changed = import_rules(json.loads(text), enable=enable)
                record_command("import", ModerationRule, details=f"{path}: {added} added, {changed} changed")
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, ImportRefused) as error:
            raise CommandError(f"Nothing was imported. {error}") from None
        self.stdout.write(f"{added} added, {changed} changed. Servers use them within 5 seconds.")

    def show_stats(self, days: int, *, as_json: bool) -> None:
        if not 1 <= days <= LONGEST_DAYS:
            raise CommandError(f"--days: a number from 1 to {LONGEST_DAYS}.")
        figures = figures_of(days)
        if as_json:
            self.stdout.write(json.dumps(figures))
            return
        waits = f", the oldest for {figures['oldest_seconds'] / 3600:.1f} h" if figures["open"] else ""
        self.stdout.write(f"{figures['open']} not decided{waits}{_listed(figures['by_status'])}")
        if figures["unjudged"]:
            oldest = figures["unjudged_oldest_seconds"] / 3600
            self.stdout.write(f"{figures['unjudged']} texts wait for a judge, the oldest for {oldest:.1f} h")
        self.stdout.write(f"{figures['cases']} opened in {days} day{'' if days == 1 else 's'}")
        for name in ("by_origin", "by_direction", "by_action", "by_category", "decisions", "reports"):
            if figures[name]:
                self.stdout.write(f"  {name.removeprefix('by_'):10}{_listed(figures[name])}")

    def requeue(self, hours: float, *, dry_run: bool, as_json: bool) -> None:
        if not 0 <= hours <= 24 * LONGEST_DAYS:
            raise CommandError("--hours: a number of hours, 0 or more.")
        number = stale_claims(hours).count() if dry_run else requeue_stale(hours)
        if as_json:
            self.stdout.write(json.dumps({"requeued": 0 if dry_run else number, "found": number}))
            return
        verb = "would go" if dry_run else "went"
        self.stdout.write(f"{number} case{'' if number == 1 else 's'} {verb} back to the queue.")

    def judge_again(self, *, as_json: bool) -> None:
        number = judge_all_now()
        if as_json:
            self.stdout.write(json.dumps({"unjudged": number}))
            return
        texts = "1 text waits" if number == 1 else f"{number} texts wait"
        self.stdout.write(f"{texts} for a judge. The workers ask it within seconds.")

    def test(self, options: dict[str, Any]) -> None:
        text = sys.stdin.read() if options["text"] == "-" else options["text"]
        rows = ModerationRule.objects.filter(directions__contains=[options["direction"]])
        rows = rows.prefetch_related("groups", "plans").order_by("pk")
        rules = compile_rules(rows if options["all"] else rows.filter(enabled=True))
        started = time.perf_counter()
        hits = rules.matcher.find(text)
        ms = (time.perf_counter() - started) * 1000
        found = [(rules.known[hit.rule], hit) for hit in hits]
        if options["json"]:
            shown = [
                {"rule": rule.name, "action": hit.action.name.lower(), "start": hit.start, "end": hit.end}
                for rule, hit in found
            ]
            self.stdout.write(json.dumps({"hits": shown, "ms": round(ms, 3)}))
            return
        for rule, hit in found:
            self.stdout.write(f"{hit.action.name.lower():5} {rule.name}: {text[hit.start : hit.end]!r}")
        rated = f"{len(rules.known)} rule{'' if len(rules.known) == 1 else 's'}, {ms:.2f} ms"
        self.stdout.write(f"{len(found) or 'No'} hit{'' if len(found) == 1 else 's'} ({rated}).")


def _listed(numbers: dict[str, int]) -> str:
    return f" ({', '.join(f'{name} {number}' for name, number in numbers.items())})" if numbers else ""
