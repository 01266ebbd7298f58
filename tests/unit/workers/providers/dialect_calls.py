"""Requests and answers for the tests of the dialects."""

from __future__ import annotations

import json
from typing import Any

from workers.providers.base import ChatTurn, Chunk, Effort
from workers.providers.http.dialect import Dialect, Wanted
from workers.providers.http.reader import AnswerReader

TURNS = (ChatTurn("user", "Hello?"),)


def wanted(*refused: str, effort: Effort | None = None, **more: Any) -> Wanted:
    fields: dict[str, Any] = {"model": "m", "turns": TURNS, "stream": True, "temperature": None, "max_tokens": None}
    return Wanted(**{**fields, **more}, effort=effort, refused=lambda name: name in refused)


def read(dialect: Dialect, *events: object, end: bool = True) -> tuple[AnswerReader, list[Chunk], list[str]]:
    """What a reader makes of events, and what it reports."""
    reported: list[str] = []
    reader = dialect.reader((), lambda kind, _found: reported.append(kind))
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    data = b"".join(line + b"\n" if reader.json_lines else b"data: " + line + b"\n\n" for line in lines)
    chunks = reader.feed(data)
    if end and not reader.done and reader.failure is None:
        chunks += reader.end()
    return reader, chunks, reported
