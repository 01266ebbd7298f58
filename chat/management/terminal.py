"""What management commands share: examples below their help, options of those that delete, a progress bar."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

import click
from django.core.management.base import CommandError, CommandParser, DjangoHelpFormatter


class _Formatter(DjangoHelpFormatter):
    """Django's, with examples on lines of their own."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("Examples:"):
            return "\n".join(indent + line for line in text.splitlines())
        return super()._fill_text(text, width, indent)


def show_examples(parser: CommandParser, *examples: tuple[str, str]) -> None:
    """Ends a command's --help with examples: pairs of what to type after `manage.py`, and what it does."""
    width = max(len(typed) for typed, _ in examples)
    lines = [f"  manage.py {typed.ljust(width)}   {purpose}".rstrip() for typed, purpose in examples]
    parser.formatter_class = _Formatter
    parser.epilog = "\n".join(["Examples:", *lines])


def add_deletion_options(
    parser: CommandParser, *, preview: str = "only show what would be done", report: str = "the report as JSON",
    asks: bool = False,
) -> None:  # fmt: skip
    """--dry-run and --json of a command that deletes, and --yes of one that asks first (`confirm`)."""
    parser.add_argument("--dry-run", action="store_true", help=preview)
    if asks:
        parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help=report)


def confirm(question: str, answer: str, *, refused: str, otherwise: str) -> None:
    """Has `answer` typed. Raises `CommandError`: `refused` after another answer; without a terminal, `otherwise`."""
    if not sys.stdin.isatty():
        raise CommandError(f"No terminal to ask for confirmation: {otherwise}")
    if input(f"{question} ") != answer:
        raise CommandError(refused)


class Bar:
    """A progress bar per label, on standard error. Prints nothing where that is not a terminal.

    with Bar() as bar:
        bar.show("messages", 10, 250)
    """

    def __init__(self) -> None:
        self._label = ""
        self._bar: Any = None
        self._counting = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.render_finish()
        if self._counting:
            click.echo(file=sys.stderr)

    def count(self, label: str, size: int) -> None:
        """Shows a number of bytes, where the total is unknown."""
        if sys.stderr.isatty():
            click.echo(f"\r{label} {size / 2**20:.1f} MB", file=sys.stderr, nl=False)
            self._counting = True

    def show(self, label: str, done: int, total: int) -> None:
        """Shows `done` of `total`. Another label begins another bar."""
        if not sys.stderr.isatty():
            return
        if self._bar is None or label != self._label:
            if self._bar is not None:
                self._bar.render_finish()
            self._label = label
            self._bar = click.progressbar(length=max(total, 1), label=label, file=sys.stderr, show_pos=True)
        self._bar.update(min(done, max(total, 1)) - self._bar.pos)
