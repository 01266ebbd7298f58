"""I13: answers with tools. Each call has one result, what writes happens once, nothing runs without its approval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.history.data import Rows, Viewer

ENDED = ("ok", "error", "denied", "cancelled", "unknown")


def tokens_of(rows: Rows, run_id: str) -> tuple[int, int]:
    """The input and output tokens that the steps of a run have booked before its end."""
    mine = [step for step in rows.steps if step["run_id"] == run_id and step["kind"] == "model"]
    return sum(step["input_tokens"] or 0 for step in mine), sum(step["output_tokens"] or 0 for step in mine)


def check_steps(viewers: Iterable[Viewer], rows: Rows) -> list[str]:
    """What contradicts it, one sentence each."""
    return [*_rows(rows), *_results(viewers, rows)]


def _rows(rows: Rows) -> list[str]:
    found = []
    over = {one for one, run in rows.runs.items() if run["status"] in ("done", "stopped", "failed", "interrupted")}
    numbers: dict[str, list[int]] = {}
    for step in rows.steps:
        numbers.setdefault(step["run_id"], []).append(step["number"])
        if step["run_id"] in over and step["status"] == "running":
            found.append(f"I13 run {step['run_id']} is over, its step {step['number']} is not")
    for run, made in numbers.items():
        if sorted(made) != list(range(1, len(made) + 1)):
            found.append(f"I13 the steps of run {run} are numbered {sorted(made)}")
    for call in rows.calls.values():
        ended = call["status"] in ENDED
        if call["run_id"] in over and not ended:
            found.append(f"I13 run {call['run_id']} is over, its call {call['id']} is {call['status']}")
        if call["effect"] == "writes" and call["tries"] > 1 + call["waits"]:
            found.append(f"I13 call {call['id']} writes, and was tried {call['tries']} times without being asked about")
    return found


def _results(viewers: Iterable[Viewer], rows: Rows) -> list[str]:
    """Whoever read a call's result read the one that PostgreSQL has, and of each call first that it was asked for."""
    found = []
    for viewer in viewers:
        asked: set[str] = set()
        # Runs seen from their beginning: who comes in by speaking sees the rest of the others.
        begun: set[str | None] = {None}
        results: dict[str, dict[str, Any]] = {}
        for socket in viewer.sockets:
            for frame in socket.frames:
                for call in _calls_of(frame):
                    asked.add(call["call_id"])
                    if call.get("status") in ENDED:
                        found += _compare(viewer, results, call, rows)
                if frame["type"] == "tool.approval":
                    row = rows.calls.get(frame["call_id"])
                    if row and row["status"] in ("ok", "error") and row["decision"] in ("", "deny"):
                        found.append(f"I13 call {row['id']} waited for a person and was made without a decision")
                if frame["type"] in ("run.queued", "run.started"):
                    begun.add(frame["run_id"])
                elif snapshot := frame.get("snapshot"):
                    known = [*snapshot.get("runs", []), *(one.get("run") or {} for one in snapshot["messages"])]
                    begun |= {run.get("run_id") for run in known}
                if frame["type"] == "tool.result":
                    if frame["call_id"] not in asked and frame.get("run_id") in begun:
                        found.append(f"I13 {viewer.user} saw the result of {frame['call_id']} before the call")
                    found += _compare(viewer, results, frame, rows)
    return found


def _calls_of(frame: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The calls that a frame says were asked for."""
    if frame["type"] == "tool.call":
        yield frame
    messages = frame.get("snapshot", {}).get("messages", []) if frame["type"] == "subscribed" else []
    if frame["type"] == "message.updated":
        messages = [frame["message"]]
    for message in messages:
        for step in (message.get("run") or {}).get("steps", []):
            yield from step.get("calls", [])


def _compare(viewer: Viewer, results: dict[str, dict[str, Any]], shown: dict[str, Any], rows: Rows) -> list[str]:
    known = results.setdefault(shown["call_id"], shown)
    if (known["status"], known.get("output")) != (shown["status"], shown.get("output")):
        return [f"I13 {viewer.user} saw two results of {shown['call_id']}: {known} and {shown}"]
    row = rows.calls.get(shown["call_id"])
    if row is None or row["status"] != shown["status"]:
        return [f"I13 {viewer.user} saw {shown['call_id']} end as {shown['status']}, stored is {row and row['status']}"]
    return []
