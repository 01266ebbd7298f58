"""Regular expressions of RE2: time linear in the text, whatever the pattern; nothing on stderr."""

from __future__ import annotations

from typing import Any, Final

import re2

MEMORY: Final = 8 << 20  # bytes that RE2 may use for one expression; a larger one is refused
SET_MEMORY: Final = 64 << 20

RefusedError = re2.error


def expression(pattern: str, *, any_case: bool = False) -> Any:
    """Compiled. Raises `RefusedError`."""
    return re2.compile(pattern, _options(MEMORY, any_case=any_case))


def expressions(patterns: list[str], *, any_case: bool = False) -> Any:
    """A set; its `Match(text)` lists the numbers of those that occur in the text, or returns None for none of them.
    Raises `ValueError` with a sentence for staff if they are too much together.
    """
    made = re2.Set.SearchSet(_options(SET_MEMORY, any_case=any_case))
    try:
        for pattern in patterns:
            made.Add(pattern)
        if patterns:
            made.Compile()
    except RefusedError:
        raise ValueError("all patterns together need more memory than a search may use") from None
    return made


def quoted(text: str) -> str:
    """A pattern that matches `text` only."""
    return str(re2.escape(text))


def _options(memory: int, *, any_case: bool) -> Any:
    options = re2.Options()
    options.max_mem = memory
    options.case_sensitive = not any_case
    options.log_errors = False
    return options
