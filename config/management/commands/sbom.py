"""`manage.py sbom`: a bill of materials of what is installed, as CycloneDX JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.management.terminal import show_examples
from config.ops.bill_of_materials import make_bill


class Command(BaseCommand):
    help = (
        "Lists the Python packages that are installed in this environment, with versions, licenses and what each one "
        "needs, as CycloneDX 1.6 JSON. No server and no network is needed. Exit code 0, or 1 if the file cannot be "
        "written."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", metavar="FILE", help="a file; without it, the standard output")
        show_examples(parser, ("sbom --output antiphon.cdx.json", "for a scanner of vulnerabilities"))

    def handle(self, *_args: object, **options: Any) -> None:
        """Exits with 1 when the file cannot be written."""
        text = json.dumps(make_bill(), indent=2, ensure_ascii=False) + "\n"
        if not options["output"]:
            sys.stdout.write(text)
            return
        try:
            Path(options["output"]).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from None
