"""The messages that a live share shows: the path to the newest message. No Django, no Redis, no await."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from chat.eventlog.replay import LogEntry, lengths_before
from chat.shares.shaping import needs_snapshot


class Path:
    """Follows the events of the log, and says which of them concern the path. `messages` are those of a snapshot.

    Events of other branches are not for readers: somebody who edits a question may want the old one unseen.
    """

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages: dict[str, str | None] = {one["id"]: one["parent_id"] for one in messages}  # parents by id
        self.tip: str | None = messages[-1]["id"] if messages else None
        # Run id -> lengths of the texts that the snapshot showed, until the next delta of it: if the log was lost,
        # text between may be missing.
        self.guards: dict[str, dict[str, int]] = {}
        self.runs: set[str] = set()
        for message in messages:
            self._note_run(message)

    def _note_run(self, message: dict[str, Any]) -> None:
        run = message.get("run")
        if run:
            self.runs.add(run["run_id"])
            if message["status"] in ("pending", "streaming"):
                length = run.get("reasoning", {}).get("length", 0)
                self.guards[run["run_id"]] = {"text": run["text_length"], "reasoning": length}

    def follow(self, event: dict[str, Any]) -> bool | None:
        """Whether an event that is no delta is on the path; None if readers need a snapshot after it."""
        kind = event["type"]
        if needs_snapshot(kind):
            return None
        if kind == "message.created":
            return self._extend(event["message"])
        if kind == "message.updated":
            message = event["message"]
            if message["id"] not in self.messages:
                return False
            if run := message.get("run"):
                self.runs.add(run["run_id"])
            return True
        if kind in ("run.queued", "run.started") and event["message_id"] in self.messages:
            self.runs.add(event["run_id"])
        return "run_id" not in event or event["run_id"] in self.runs

    def _extend(self, message: dict[str, Any]) -> bool | None:
        if message["id"] in self.messages:
            return True
        beside = bool(message.get("slot")) and self.tip is not None and message["parent_id"] == self.messages[self.tip]
        if message["parent_id"] != self.tip and not beside:
            return None  # another branch is the newest now
        self.messages[message["id"]] = message["parent_id"]
        self.tip = message["id"]
        return True

    def fits(self, body: bytes) -> bool:
        """Whether an event continues the snapshot's texts exactly."""
        if not self.guards:
            return True
        run_id, lengths = lengths_before(body)
        guard = self.guards.get(run_id, {})
        fits = all(length in (None, guard.pop(kind, length)) for kind, length in lengths.items())
        if lengths and not (guard and fits):
            self.guards.pop(run_id, None)
        return fits

    def created_in(self, entries: Iterable[LogEntry]) -> set[str] | None:
        """The messages of this path that these events announce; None if a reader who missed them needs a snapshot."""
        created: set[str] = set()
        for entry in entries:
            if entry.delta:
                continue
            event = msgspec.json.decode(entry.body)
            if needs_snapshot(event["type"]):
                return None
            if event["type"] == "message.created":
                if event["message"]["id"] not in self.messages:
                    return None
                created.add(event["message"]["id"])
        return created
