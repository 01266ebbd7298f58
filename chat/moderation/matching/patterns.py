"""Finds regular expressions that staff wrote, with RE2: its time is linear in the text, whatever the pattern."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from chat.moderation.matching.linear import RefusedError, expression

MOST_CHARACTERS: Final = 1_000  # of a pattern


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression of rule `rule`, searched for without regard to case."""

    rule: int
    text: str

    def check(self) -> None:
        """Raises `ValueError` with a sentence for staff: refused by RE2, too long, or it matches nothing at all."""
        if len(self.text) > MOST_CHARACTERS:
            raise ValueError(f"a pattern has at most {MOST_CHARACTERS} characters")
        try:
            compiled = expression(self.text, any_case=True)
        except RefusedError as error:
            reason = error.args[0] if error.args else ""
            reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            raise ValueError(f"RE2 refuses the pattern: {reason}") from None
        if compiled.search(""):
            raise ValueError("the pattern matches an empty text, so it would match everything")


class PatternIndex:
    """Raises `ValueError` as `Pattern.check` does. `texts` are the patterns, by number."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        listed = list(patterns)
        for each in listed:
            each.check()
        self.texts = [each.text for each in listed]
        self._rules = [each.rule for each in listed]
        self._compiled = [expression(each.text, any_case=True) for each in listed]

    def find(self, number: int, text: str) -> Iterator[tuple[int, int, int]]:
        """Yields rule, start and end of pattern `number` in `text`, which is in plain form."""
        for match in self._compiled[number].finditer(text):
            if match.end() > match.start():
                yield self._rules[number], match.start(), match.end()
