"""`manage.py audit`: exports the audit log, and checks whether it was changed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import audit_chain
from accounts.audit import record_command
from accounts.models import AuditEntry
from chat.management.terminal import show_examples

Link = tuple[int, str, dict[str, Any] | None]


class Command(BaseCommand):
    help = (
        "The audit log. `export` writes it as JSON lines, each with its number and hash in the chain. `verify` "
        "computes the chain anew and says which entries were changed or removed since they were sealed; with --file "
        "those of an export, for which no database is needed. Entries are sealed within two minutes. "
        "Exit code 0, or 1 if something is wrong."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        export = verbs.add_parser("export", help="the sealed entries, oldest first")
        export.add_argument("file", type=Path)
        verify = verbs.add_parser("verify", help="checks the hash chain")
        verify.add_argument("--file", type=Path, help="an export; without it, the database")
        verify.add_argument("--head", default="", help="the last hash that you noted before: it must be in the chain")
        verify.add_argument("--json", action="store_true", help="for scripts: an object with `wrong`, a list")
        show_examples(
            parser,
            ("audit export /backup/audit-$(date +%F).jsonl", "to keep elsewhere"),
            ("audit verify", "is it as it was written?"),
            ("audit verify --file audit.jsonl", "of an export, on any machine"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        if options["verb"] == "export":
            self._export(options["file"])
            return
        links = _of_file(options["file"]) if options["file"] else _of_database()
        heads: set[str] = set()
        count, head, wrong = audit_chain.check(_noting(links, heads))
        if options["head"] and options["head"] not in heads:
            wrong.append(f"The hash {options['head']} is not in the chain.")
        waiting = 0 if options["file"] else audit_chain.unsealed().count()
        if options["json"]:
            self.stdout.write(json.dumps({"sealed": count, "waiting": waiting, "head": head, "wrong": wrong}))
        else:
            for sentence in wrong:
                self.stdout.write(sentence)
            self.stdout.write(f"{count} entries are sealed, {waiting} wait for their seal. The last hash is {head}.")
        if wrong:
            self.stdout.flush()
            sys.exit(1)

    def _export(self, file: Path) -> None:
        record_command("export", AuditEntry, details=str(file))
        try:
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}.") from None
        count = 0
        try:
            with os.fdopen(opened, "w") as out:
                for number, hash_, facts in _of_database():
                    line = {"number": number, "hash": hash_, "entry": facts}
                    out.write(json.dumps(line, ensure_ascii=False) + "\n")
                    count += 1
        except BaseException as error:
            file.unlink()  # half an export is none
            if isinstance(error, OSError):
                raise CommandError(f"{file}: {error.strerror}.") from None
            raise
        self.stdout.write(f"{count} entries to {file}.")


def _of_database() -> Iterator[Link]:
    for number, hash_, entry in audit_chain.chained():
        yield number, hash_, audit_chain.as_facts(entry) if entry else None


def _of_file(file: Path) -> Iterator[Link]:
    try:
        with file.open() as lines:
            for line in lines:
                link = json.loads(line)
                yield int(link["number"]), str(link["hash"]), link["entry"]
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise CommandError(f"{file} is no export of the audit log, or is cut off.") from None


def _noting(links: Iterator[Link], heads: set[str]) -> Iterator[Link]:
    for link in links:
        heads.add(link[1])
        yield link
