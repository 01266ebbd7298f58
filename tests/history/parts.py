"""Answers that were continued: the runs of one answer, what each of them wrote, and their usage. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.client_view import TERMINAL
from tests.history.data import Rows, Viewer

COUNTED = ("input_tokens", "output_tokens")


def parts_of(rows: Rows, message_id: str) -> list[dict[str, Any]]:
    """The runs of an answer, the first part first."""
    found = [run for run in rows.runs.values() if run["message_id"] == message_id]
    return sorted(found, key=lambda run: int(run["part"]))


def text_of(rows: Rows, run_id: str) -> str:
    """What PostgreSQL has of an answer as of a run's end: all of it, or what the next run continued."""
    run = rows.runs[run_id]
    text = str(rows.messages[run["message_id"]]["text"])
    after = [one for one in parts_of(rows, run["message_id"]) if one["part"] > run["part"]]
    return text[: after[0]["base_chars"]] if after else text


def check_parts(rows: Rows) -> list[str]:
    """I2: whether each answer has a run for each of its parts, in order."""
    found = []
    for one, message in rows.messages.items():
        if message["role"] != "assistant":
            continue
        parts = parts_of(rows, one)
        if [run["part"] for run in parts] != [*range(1, max(1, len(parts)) + 1)]:
            found.append(f"I2 answer {one} has the runs {[run['part'] for run in parts]}")
        elif [run["latest"] for run in parts] != [False] * (len(parts) - 1) + [True]:
            found.append(f"I2 of answer {one} not just the last of {len(parts)} runs is the latest")
        lengths = [run["base_chars"] for run in parts]
        if lengths != sorted(lengths) or (lengths and (lengths[0] != 0 or lengths[-1] > len(message["text"]))):
            found.append(f"I3 the runs of answer {one} begin at {lengths}, it has {len(message['text'])} characters")
    return found


def check_usage(viewers: Iterable[Viewer], rows: Rows, snapshots: Iterable[dict[str, Any]]) -> list[str]:
    """I6: whether the usage that is said of an answer is that of all its runs."""
    found = []
    for viewer in viewers:
        for socket in viewer.sockets:
            for frame in socket.frames:
                run = rows.runs.get(frame.get("run_id", "")) if frame["type"] in TERMINAL else None
                if run is None or frame.get("next_attempt") or frame["attempt"] != run["attempt"]:
                    continue
                said = frame.get("message_usage")
                if said is None and run["part"] > 1 and run["latest"]:
                    found.append(f"I6 {viewer.user} was not told the usage of all runs of {run['message_id']}")
                elif said is not None:
                    parts = [one for one in parts_of(rows, run["message_id"]) if one["part"] <= run["part"]]
                    found += _compare(run["message_id"], said, parts)
    for frame in snapshots:
        for message in frame["snapshot"]["messages"]:
            if said := message.get("usage"):
                found += _compare(message["id"], said, parts_of(rows, message["id"]))
    return found


def _compare(message_id: str, said: dict[str, Any], parts: list[dict[str, Any]]) -> list[str]:
    sums = {name: sum(run[name] or 0 for run in parts) for name in COUNTED}
    told = {name: said[name] or 0 for name in COUNTED}
    if (said["runs"], told) != (len(parts), sums):
        return [f"I6 answer {message_id} is said to have taken {said}, its {len(parts)} runs took {sums}"]
    return []
