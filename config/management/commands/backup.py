"""`manage.py backup`: the database in one file, or a set of files in a folder with what users stored."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.management.terminal import Bar, show_examples
from config.ops import upkeep
from config.stack.backup_sets import BackupSet, check_set, write_set
from config.stack.dump import DumpError, dump


class Command(BaseCommand):
    help = (
        "Writes a consistent copy of the database to FILE while the program runs (pg_dump's custom format). Where FILE "
        "is a folder, it writes a set there, named by the time: the dump, with --files also an archive of the stored "
        "files (recordings, attachments), and the checksums of both; --keep N then removes all but the newest N sets. "
        "--check reads a backup again instead. Sessions "
        "are left out, so that nobody can log in with a stolen backup. Only its owner can read the files; an "
        "incomplete one is removed. Keep SECRET_KEY (or var/secret_key) apart from it: with both, a thief can read "
        "the keys of endpoints. Redis needs no backup. "
        "Exit code: 0, or 1 if the backup failed or --check found something."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--keep", type=int, metavar="N", help="in a folder: how many sets to keep, this one included"
        )
        parser.add_argument("--files", action="store_true", help="in a folder: the stored files, too")
        parser.add_argument("--check", action="store_true", help="reads a backup again and says whether it is whole")
        parser.add_argument("--json", action="store_true", help='for scripts: {"file": ..., "bytes": ...}')
        show_examples(
            parser,
            ("backup /backup --files --keep 14", "every night: a set of files; the newest 14 stay"),
            ("backup /backup/before-upgrade.dump", "the database alone; an existing file is never overwritten"),
            ("backup --check /backup/before-upgrade.dump", "can it be read, and has it changed?"),
            ("backup /backup/before-upgrade.dump --json", "from a script"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        file: Path = options["file"]
        if options["check"]:
            self._check(file, options["json"])
            return
        if not file.is_dir() and (options["files"] or options["keep"]):
            raise CommandError(f"--files and --keep need a folder, and {file} is none.")
        if options["keep"] is not None and options["keep"] < 1:
            raise CommandError("--keep must be 1 or more.")
        began = time.monotonic()
        try:
            with Bar() as bar:

                def on_written(written: int) -> None:
                    bar.count("written", written)

                if file.is_dir():
                    made = write_set(file, with_files=options["files"], keep=options["keep"], on_written=on_written)
                else:
                    made = BackupSet(file, None, dump(file, on_written=on_written), None, [])
        except DumpError as error:
            upkeep.record_backup(began, {}, str(error))
            raise CommandError(str(error)) from None
        report = {"file": made.dump.name, "bytes": made.bytes, "stored": made.stored}
        if failed := upkeep.record_backup(began, report):
            self.stderr.write(f"The backup is whole, but its time could not be recorded ({failed}).")
        if options["json"]:
            found = {"file": str(made.dump), "bytes": made.bytes, "archive": str(made.archive or "") or None}
            self.stdout.write(
                json.dumps({**found, "stored": made.stored, "removed": [str(one) for one in made.removed]})
            )
            return
        stored = "" if made.stored is None else f", with {made.stored} stored files"
        self.stdout.write(f"{made.bytes / 2**20:.1f} MB in {made.dump}{stored}.")
        if made.removed:
            self.stdout.write(f"{len(made.removed)} older files were removed.")

    def _check(self, file: Path, as_json: bool) -> None:
        wrong = check_set(file)
        if as_json:
            self.stdout.write(json.dumps({"file": str(file), "wrong": wrong}))
        elif wrong:
            self.stderr.write("\n".join(wrong))
        else:
            self.stdout.write(f"{file} is whole.")
        if wrong:
            sys.exit(1)
