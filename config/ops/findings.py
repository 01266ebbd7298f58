"""What a check of `manage.py doctor` and `manage.py health` returns."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Level(enum.StrEnum):
    OK = "ok"
    WARN = "warn"  # it works, but somebody should look at it
    FAIL = "fail"  # it does not work, or soon will not


@dataclass(frozen=True)
class Finding:
    """The result of one check: `said` states a fact, `advice` says what to do about it. `cause`: the check that failed
    before, so that this one was not made; empty if it was.
    """

    name: str
    level: Level
    said: str
    advice: str = ""
    cause: str = ""


Found = tuple[Level, str, str]  # of a Finding: level, said, advice
OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
