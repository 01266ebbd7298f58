"""The judge: everything in a history that contradicts I1-I11, I13 and I15. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tests.client_view import DELTAS, TERMINAL, ProtocolViolationError, View, apply_event, apply_snapshot
from tests.history.access import check_access
from tests.history.data import Rows, Viewer
from tests.history.parts import check_parts, check_usage, text_of
from tests.history.steps import check_steps, tokens_of
from tests.history.waiting import check_order, check_waiting, is_queued

ENDINGS = {"done": "complete", "stopped": "stopped", "failed": "failed", "interrupted": "interrupted"}


def find_violations(
    viewers: Iterable[Viewer],
    rows: Rows,
    snapshots: Iterable[dict[str, Any]] = (),
    withheld: Sequence[str] = (),
) -> list[str]:
    """Everything that contradicts these, one sentence each. Pure."""
    viewers, snapshots = list(viewers), list(snapshots)
    found = [*_sends(viewers, rows), *_rows(rows), *check_parts(rows), *check_access(viewers, rows)]
    for viewer in viewers:
        found += _replay(viewer)
    found += [*_same_for_all(viewers), *_endings(viewers), *_texts(viewers, rows)]
    found += [*check_usage(viewers, rows, snapshots), *check_waiting(viewers, rows, snapshots)]
    found += [*_fresh(viewers, snapshots), *check_steps(viewers, rows)]
    return found + (_withheld(viewers, rows, snapshots, withheld) if withheld else [])


def _withheld(viewers: list[Viewer], rows: Rows, snapshots: list[dict[str, Any]], words: Sequence[str]) -> list[str]:
    """Where a word is that nobody may read, also where it came in several pieces."""
    search = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b").search
    texts = {f"message {one}": row["text"] for one, row in rows.messages.items() if row["role"] == "assistant"}
    texts |= {f"what run {one} thought": text for one, text in rows.reasoning.items()}
    texts |= {f"a fresh snapshot of {frame['conversation_id']}": json.dumps(frame) for frame in snapshots}
    for viewer in viewers:
        for socket in viewer.sockets:
            texts |= {f"{viewer.user}'s {frame['type']} {frame}": json.dumps(frame) for frame in socket.frames}
        texts |= {
            f"{viewer.user}'s run {key}": run["text"]
            for view in viewer.views.values()
            for key, run in view.runs.items()
        }
    return [f"I10 {found[0]} is in {where}" for where, text in texts.items() if (found := search(text))]


def _sends(viewers: list[Viewer], rows: Rows) -> list[str]:
    found = []
    made: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows.submissions:
        made.setdefault((row["user"], row["client_id"]), []).append(row)
    found += [f"I1 {key} was submitted {len(same)} times" for key, same in made.items() if len(same) > 1]
    replies: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for viewer in viewers:
        for socket in viewer.sockets:
            asked = {command["ref"]: command for command in socket.sent if "client_id" in command and "ref" in command}
            for frame in socket.frames:
                if frame["type"] == "message.accepted" and frame.get("ref") in asked and not is_queued(frame):
                    key = (viewer.user, asked[frame["ref"]]["client_id"])
                    replies.setdefault(key, []).append(frame)
    for key, accepted in replies.items():
        if len({(frame["message_id"], frame["run_id"], str(frame.get("runs"))) for frame in accepted}) > 1:
            found.append(f"I1 {key} was answered with different messages: {accepted}")
        if sum(not frame["duplicate"] for frame in accepted) > 1:
            found.append(f"I1 {key} was made anew more than once")
        if key not in made:
            found.append(f"I1 {key} was accepted and is not in PostgreSQL")
        elif (accepted[0]["message_id"], accepted[0]["run_id"]) != (made[key][0]["message_id"], made[key][0]["run_id"]):
            found.append(f"I1 {key} was accepted as {accepted[0]['message_id']}, PostgreSQL has {made[key][0]}")
    submitted = {row["message_id"] for row in rows.submissions}
    orphans = [one for one, row in rows.messages.items() if row["role"] == "user" and one not in submitted]
    return found + [f"I1 message {one} was never submitted" for one in orphans]


def _rows(rows: Rows) -> list[str]:
    asked = [row["run_id"] for row in rows.submissions]
    beside, found = _side_by_side(rows, asked)
    for one in rows.runs:
        if (count := asked.count(one)) != (one not in beside):
            found.append(f"I2 run {one} answers {count} submissions")
    for one, message in rows.messages.items():
        parent = rows.messages.get(message["parent_id"] or "")
        if message["parent_id"] and (parent is None or parent["conversation_id"] != message["conversation_id"]):
            found.append(f"I2 message {one} hangs under one of another conversation")
    for one, run in rows.runs.items():
        expected = ENDINGS.get(run["status"])
        if expected is None:
            found.append(f"I2 run {one} is still {run['status']}")
            continue
        answer = rows.messages.get(run["message_id"])
        if (heard := run["heard_chars"]) is not None:
            expected = "stopped" if run["status"] == "done" else expected
            if answer and not len(text_of(rows, one)) == heard < (run["produced_chars"] or 0):
                found.append(f"I3 of run {one} {heard} characters were heard, {len(text_of(rows, one))} are kept")
        if answer is None or (run["latest"] and answer["status"] != expected):
            found.append(f"I2 run {one} is {run['status']}, its answer {answer and answer['status']}")
        if run["lease_expires_at"] is not None:
            found.append(f"I2 run {one} is over and has a lease")
        if not run["ended_in_log"]:
            found.append(f"I5 the end of run {one} has not reached the log")
        bills = [bill for bill in rows.bills if bill["run_id"] == one]
        if run["status"] == "done" and len(bills) != 1:
            found.append(f"I6 run {one} is done and billed {len(bills)} times")
        read, written = tokens_of(rows, one)
        for bill in bills:
            billed = (read + bill["input_tokens"], written + bill["output_tokens"])
            if billed != (run["input_tokens"] or 0, run["output_tokens"] or 0):
                found.append(f"I6 run {one} took {run['output_tokens']} tokens, billed are {bill['output_tokens']}")
    found += [
        f"I6 {bill['run_id']} is billed and does not exist" for bill in rows.bills if bill["run_id"] not in rows.runs
    ]
    return found + [f"I6 something is still reserved for run {one}" for one in rows.reserved]


def _side_by_side(rows: Rows, asked: list[str]) -> tuple[set[str], list[str]]:
    """The runs that a command made beside the one that its submission names, and what is wrong with them."""
    beside: set[str] = set()
    found = []
    for question, comparison in rows.comparisons.items():
        runs = {one: run for one, run in rows.runs.items() if run["prompt_id"] == question and run["slot"]}
        made = [one for one in runs if one not in asked]
        if sorted(runs[one]["slot"] for one in made) != list(range(2, comparison["size"] + 1)):
            found.append(f"I2 question {question} has {len(made) + 1} answers side by side, not {comparison['size']}")
        if (chosen := comparison["chosen_id"]) and chosen not in [run["message_id"] for run in runs.values()]:
            found.append(f"I2 question {question} goes on with {chosen}, which is none of its answers")
        beside.update(made)
    return beside, found


def _replay(viewer: Viewer) -> list[str]:
    """Applies what came, frame by frame, to views that know nothing but the protocol."""
    found: list[str] = []
    views: dict[str, View] = {}
    viewer.views = views
    following: set[str] = set()
    for socket in viewer.sockets:
        following.clear()  # a new socket follows nothing
        for frame in socket.frames:
            one = frame.get("conversation_id", "")
            try:
                if frame["type"] == "subscribed":
                    view = views.setdefault(one, View())
                    if not frame["recovered"]:
                        apply_snapshot(view, frame)
                    elif (view.epoch, view.seq) != (frame["position"]["epoch"], frame["position"]["seq"]):
                        raise ProtocolViolationError(
                            f"recovered at {frame['position']}, not at {view.epoch}:{view.seq}"
                        )
                    following.add(one)
                elif frame["type"] == "message.accepted" and one not in following:
                    view = views.setdefault(one, View())
                    view.epoch, view.seq = frame["position"]["epoch"], frame["position"]["seq"]
                    following.add(one)
                elif frame["type"] == "reset":
                    following.discard(one)
                elif "seq" in frame:
                    if one not in following:
                        raise ProtocolViolationError(f"an event where nothing is followed: {frame}")
                    if frame["type"] == "message.created":
                        found += check_order(views[one], frame["message"])
                    apply_event(views[one], frame)
            except ProtocolViolationError as error:
                kind = "I3" if frame["type"] in TERMINAL or str(error).startswith("delta") else "I4"
                return [*found, f"{kind} {viewer.user}: {error}"]
    return found


def _located(viewers: list[Viewer]) -> Iterable[tuple[Viewer, str, dict[str, Any]]]:
    """Each event with the epoch it came under."""
    for viewer in viewers:
        epochs: dict[str, str] = {}
        for socket in viewer.sockets:
            for frame in socket.frames:
                one = frame.get("conversation_id", "")
                if frame["type"] == "subscribed" or (
                    frame["type"] == "message.accepted" and frame["position"]["epoch"]
                ):
                    epochs[one] = frame["position"]["epoch"]
                elif "seq" in frame:
                    yield viewer, epochs.get(one, ""), frame


def _same_for_all(viewers: list[Viewer]) -> list[str]:
    """One place of the log is one event, whoever reads it (deltas may come merged)."""
    known: dict[tuple[str, str, int], dict[str, Any]] = {}
    found = []
    for _, epoch, frame in _located(viewers):
        if frame["type"] not in DELTAS:
            place = (frame["conversation_id"], epoch, frame["seq"])
            if known.setdefault(place, frame) != frame:
                found.append(f"I4 {place} is {known[place]} for one and {frame} for another")
    return found


def _endings(viewers: list[Viewer]) -> list[str]:
    found = []
    by_attempt: dict[tuple[str, int], str] = {}
    for viewer in viewers:
        seen: dict[tuple[str, str, int], int] = {}
        for _, epoch, frame in _located([viewer]):
            if frame["type"] not in TERMINAL:
                continue
            key = (frame["run_id"], frame["attempt"])
            seen[(epoch, *key)] = seen.get((epoch, *key), 0) + 1
            if by_attempt.setdefault(key, frame["type"]) != frame["type"]:
                found.append(f"I5 attempt {key} ended as {by_attempt[key]} and as {frame['type']}")
        found += [f"I5 {viewer.user} saw {key} end {count} times" for key, count in seen.items() if count > 1]
    return found


def _texts(viewers: list[Viewer], rows: Rows) -> list[str]:
    found = []
    for viewer in viewers:
        for one, view in viewer.views.items():
            if viewer.revoked.keys() & {"*", one}:
                continue
            for run_id, shown in view.runs.items():
                row = rows.runs.get(run_id)
                if row is None:
                    found.append(f"I3 {viewer.user} saw run {run_id}, which PostgreSQL does not have")
                    continue
                thought = rows.reasoning.get(run_id, "")
                seen = len(thought) if shown["ended"] else len(shown["reasoning"])
                if shown["attempt"] == row["attempt"] and thought[:seen] != shown["reasoning"]:
                    found.append(
                        f"I3 {viewer.user} has {shown['reasoning'][-60:]!r} of {run_id}, thought was {thought[-60:]!r}"
                    )
                stored = text_of(rows, run_id)
                if row["heard_chars"] is not None and not shown["cut"]:
                    # It had left before the cut.
                    whole = len(shown["text"]) == row["produced_chars"] or not shown["ended"]
                    if not whole or not (shown["text"].startswith(stored) or stored.startswith(shown["text"])):
                        found.append(
                            f"I3 {viewer.user} saw {shown['text'][-60:]!r} of {run_id}, cut to {stored[-60:]!r}"
                        )
                elif not shown["ended"]:
                    if stored[: len(shown["text"])] != shown["text"] and shown["attempt"] == row["attempt"]:
                        found.append(
                            f"I3 {viewer.user} saw {shown['text'][-60:]!r} of {run_id}, stored is {stored[-60:]!r}"
                        )
                elif shown["text"] != stored:
                    found.append(
                        f"I3 {viewer.user} has {shown['text'][-60:]!r} of {run_id}, stored is {stored[-60:]!r}"
                    )
                elif shown["ended"] != f"run.{row['status']}":
                    found.append(f"I3 {viewer.user} saw {run_id} end as {shown['ended']}, stored is {row['status']}")
    return found


def _fresh(viewers: list[Viewer], snapshots: Iterable[dict[str, Any]]) -> list[str]:
    found = []
    for frame in snapshots:
        fresh = View()
        apply_snapshot(fresh, frame)
        for viewer in viewers:
            view = viewer.views.get(frame["conversation_id"])
            if view is None or view.epoch != fresh.epoch or view.seq != fresh.seq:
                continue  # it had left before the end
            for run_id, run in fresh.runs.items():
                if run_id not in view.runs:
                    continue  # before this viewer's time
                found += [
                    f"I9 run {run_id}: {name} is {view.runs[run_id][name]!r}, fresh {run[name]!r}"
                    for name in ("text", "reasoning", "ended", "attempt")
                    if view.runs[run_id][name] != run[name]
                ]
            if extra := view.messages.keys() - fresh.messages.keys() if not frame["snapshot"].get("has_more") else None:
                found.append(f"I9 {viewer.user} has messages that a snapshot lacks: {sorted(extra)}")
            for one, message in fresh.messages.items():
                shown = view.messages.get(one, {}).get("comparison")
                if shown and shown != message.get("comparison"):
                    found.append(f"I9 {viewer.user} has {shown} at question {one}, fresh {message.get('comparison')}")
            first = view.first_created()
            for one, message in fresh.messages.items():
                if first and message["created_at"] > first and one not in view.messages:
                    found.append(f"I9 {viewer.user} never saw message {one}")
    return found
