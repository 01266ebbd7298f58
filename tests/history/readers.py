"""I12: who reads by a share link gets what the link shows, in order, and nothing after it has ended. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.client_view import DELTAS, TERMINAL
from tests.history.data import Rows
from tests.history.parts import text_of

REVOKED_SECONDS = 2.0
PRIVATE = ("usage", "cost", "context", "parameters", "client_id", "case_id", "reason", "conversation_id")


@dataclass
class Reader:
    """A reader of one conversation's live share: its events with their times, over all its streams."""

    conversation: str
    events: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    names: bool = True  # whether the link shows who wrote
    ended_at: float | None = None  # when the link ended, by the monotonic clock


def find_reader_violations(readers: Iterable[Reader], rows: Rows, withheld: Sequence[str] = ()) -> list[str]:
    """Everything that contradicts I12, one sentence each. `withheld`: words that nobody may be shown."""
    readers = list(readers)
    found = [sentence for reader in readers for sentence in _violations(reader, rows)]
    sent = json.dumps([reader.events for reader in readers])
    whole = [word for word in withheld if re.search(rf"\b{re.escape(word)}\b", sent)]
    return found + [f"I12 a reader got {word!r}, which is withheld" for word in whole]


def _violations(reader: Reader, rows: Rows) -> list[str]:
    found = [*_order(reader), *_access(reader, rows)]
    texts: dict[str, str] = {}
    attempts: dict[str, int] = {}
    ended: set[tuple[str, int]] = set()
    for event in reader.events:
        kind = event["type"]
        for message in event.get("messages", [event["message"]] if "message" in event else []):
            if (run := message.get("run")) and (kind == "snapshot" or run["run_id"] not in texts):
                texts[run["run_id"]], attempts[run["run_id"]] = message["text"], run["attempt"]
        if kind == "snapshot":
            ended.clear()
        if not kind.startswith("run.") or kind == "run.reasoning":
            continue
        run_id, attempt = event["run_id"], event["attempt"]
        if attempt > attempts.get(run_id, 0):
            base = rows.runs.get(run_id, {}).get("base_chars", 0)
            texts[run_id], attempts[run_id] = texts.get(run_id, "")[:base], attempt
        if kind in DELTAS:
            if event["index"] != len(texts.get(run_id, "")):
                found.append(f"I12 a reader got text {event['index']} of {run_id} after {len(texts.get(run_id, ''))}")
            texts[run_id] = texts.get(run_id, "")[: event["index"]] + event["text"]
        elif kind in TERMINAL:
            if (run_id, attempt) in ended:
                found.append(f"I12 a reader saw attempt {attempt} of {run_id} end twice")
            ended.add((run_id, attempt))
    for run_id, text in texts.items():
        if run_id not in rows.runs:
            found.append(f"I12 a reader saw run {run_id}, which PostgreSQL does not have")
        elif (run_id, rows.runs[run_id]["attempt"]) in ended and text != text_of(rows, run_id):
            found.append(f"I12 a reader has {text[-60:]!r} of {run_id}, stored is {text_of(rows, run_id)[-60:]!r}")
    return found


def _order(reader: Reader) -> list[str]:
    found = []
    epoch, seq = "", 0
    for event in reader.events:
        if not event.get("id"):
            continue
        new, _, number = event["id"].rpartition(".")
        if event["type"] != "snapshot" and (new != epoch or int(number) <= seq):
            found.append(f"I12 a reader got {event['type']} {event['id']} after {epoch}.{seq}")
        epoch, seq = new, int(number)
    return found


def _access(reader: Reader, rows: Rows) -> list[str]:
    found = []
    for event, at in zip(reader.events, reader.times, strict=True):
        if reader.ended_at is not None and at > reader.ended_at + REVOKED_SECONDS and event["type"] != "end":
            found.append(f"I12 a reader got {event['type']} {at - reader.ended_at:.1f} s after the link ended")
        for message in event.get("messages", [event["message"]] if "message" in event else []):
            row = rows.messages.get(message["id"])
            if row is None or row["conversation_id"] != reader.conversation:
                found.append(f"I12 a reader got message {message['id']} of another conversation")
            if message.get("author") and (not reader.names or "id" in message["author"]):
                found.append(f"I12 a reader got who wrote {message['id']}: {message['author']}")
        if "run_id" in event and rows.runs.get(event["run_id"], {}).get("conversation_id") != reader.conversation:
            found.append(f"I12 a reader got run {event['run_id']} of another conversation")
        found += [f"I12 a reader got {name!r} in {event['type']}" for name in _private_in(event)]
    return found


def _private_in(event: dict[str, Any]) -> list[str]:
    text = json.dumps(event)
    return [name for name in PRIVATE if f'"{name}":' in text and event["type"] != "end"]
