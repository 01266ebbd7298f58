"""The rule for readers of share links must find what it is there for: a good history, and a bad one for each way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.history import Reader, Rows, find_reader_violations

MESSAGE: dict[str, Any] = {"id": "a", "role": "assistant", "text": "", "author": None, "run": None}
ROWS = Rows(
    messages={
        "q": {"conversation_id": "c", "role": "user", "text": "hi", "parent_id": None},
        "a": {"conversation_id": "c", "role": "assistant", "text": "Good day", "parent_id": "q"},
        "x": {"conversation_id": "other", "role": "user", "text": "no", "parent_id": None},
    },
    runs={
        "r": {"conversation_id": "c", "message_id": "a", "attempt": 1, "part": 1, "base_chars": 0, "latest": True},
        "y": {"conversation_id": "other", "message_id": "x", "attempt": 1, "part": 1, "base_chars": 0, "latest": True},
    },
)


def good() -> Reader:
    events: list[dict[str, Any]] = [
        {"type": "snapshot", "id": "e.1", "messages": [{**MESSAGE, "id": "q", "author": {"name": "Alice"}}]},
        {"type": "message.created", "id": "e.2", "message": MESSAGE},
        {"type": "run.started", "id": "e.4", "run_id": "r", "attempt": 1},
        {"type": "run.delta", "id": "e.5", "run_id": "r", "attempt": 1, "index": 0, "text": "Good "},
        {"type": "run.delta", "id": "e.7", "run_id": "r", "attempt": 1, "index": 5, "text": "day"},
        {"type": "run.done", "id": "e.8", "run_id": "r", "attempt": 1, "text_length": 8},
        {"type": "end", "id": "", "reason": "link_ended"},
    ]
    return Reader("c", events, [float(number) for number in range(len(events))])


def change(number: int, **fields: Any) -> Callable[[Reader], None]:
    return lambda reader: reader.events[number].update(fields)


def test_a_good_one() -> None:
    assert find_reader_violations([good()], ROWS) == []


BAD: dict[str, Callable[[Reader], None]] = {
    "sent twice": change(4, id="e.5"),
    "another epoch without a snapshot": change(4, id="f.7"),
    "text missing": change(4, index=6),
    "another text": change(4, text="dax"),
    "ended twice": lambda reader: reader.events.__setitem__(6, {**reader.events[5], "id": "e.9"}),
    "a message of another conversation": change(1, message={**MESSAGE, "id": "x"}),
    "a run of another conversation": change(2, run_id="y"),
    "a run that is nowhere": change(2, run_id="z"),
    "a person's id": change(0, messages=[{**MESSAGE, "id": "q", "author": {"name": "Alice", "id": "1"}}]),
    "a hidden name": lambda reader: setattr(reader, "names", False),
    "what it cost": change(5, cost="1.00"),
    "why it was withheld": change(1, message={**MESSAGE, "moderation": {"action": "mask", "reason": "x"}}),
    "after the link ended": lambda reader: setattr(reader, "ended_at", 1.0),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_one(how: str) -> None:
    reader = copy.deepcopy(good())
    BAD[how](reader)
    assert find_reader_violations([reader], ROWS)


def test_a_withheld_word() -> None:
    assert find_reader_violations([good()], ROWS, ["Good"])
    assert not find_reader_violations([good()], ROWS, ["Goo"]), "rules mask whole words"
