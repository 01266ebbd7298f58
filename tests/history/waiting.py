"""I11: what was accepted to wait is sent once, or waits, or was removed; in order, and by its author. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.client_view import View, apply_snapshot
from tests.history.data import Rows, Viewer


def check_waiting(viewers: Iterable[Viewer], rows: Rows, snapshots: Iterable[dict[str, Any]]) -> list[str]:
    """Everything that contradicts I11, one sentence each."""
    viewers = list(viewers)
    return [*_kept(viewers, rows), *_rows(rows), *_fresh(viewers, snapshots)]


def is_queued(frame: dict[str, Any]) -> bool:
    """Whether a `message.accepted` is of a message that waits, or was removed from a line."""
    return "queued" in frame


def check_order(view: View, message: dict[str, Any]) -> list[str]:
    """Whether a message that waited is sent before another one of its author, which was ahead of it in this view."""
    sent = view.queued.get(message["id"])
    if sent is None:
        return []
    ahead = [
        one
        for one in view.queued.values()
        if one["author"]["id"] == sent["author"]["id"]
        and one["after_id"] == sent["after_id"]
        and one["position"] < sent["position"]
        and not (one["reason"] or one["steers"] or sent["steers"])
    ]
    found = [f"I11 {message['id']} was sent before {one['id']}, which was ahead of it" for one in ahead]
    if (message["author"] or {}).get("id") != sent["author"]["id"]:
        found.append(f"I11 {message['id']} waited for {sent['author']}, and is by {message['author']}")
    return found


def _kept(viewers: list[Viewer], rows: Rows) -> list[str]:
    """Nothing is lost: neither a message nor a removal."""
    found = []
    submitted = {(row["user"], row["client_id"]): row for row in rows.submissions}
    waiting = {(row["user"], row["client_id"]): row for row in rows.queued}
    for viewer in viewers:
        for socket in viewer.sockets:
            asked = {command["ref"]: command for command in socket.sent if "ref" in command}
            for frame in socket.frames:
                command = asked.get(frame.get("ref", ""))
                if command is None:
                    continue
                if command["type"] == "queue.remove" and frame["type"] == "ok":
                    if command["message_id"] in rows.messages:
                        found.append(f"I11 {command['message_id']} was removed and sent")
                elif frame["type"] == "message.accepted" and is_queued(frame):
                    key = (viewer.user, command["client_id"])
                    row, sent = waiting.get(key), submitted.get(key)
                    if sent is None and row is None:
                        found.append(f"I11 {key} was accepted to wait, and is neither sent nor in the line")
                    elif frame["message_id"] not in (sent and sent["message_id"], row and row["id"]):
                        found.append(f"I11 {key} waited as {frame['message_id']}, is {sent or row}")
                    elif sent is not None:
                        found += _by_its_author(viewer.user, sent, rows)
    return found


def _by_its_author(user: str, sent: dict[str, Any], rows: Rows) -> list[str]:
    message, run = rows.messages[sent["message_id"]], rows.runs[sent["run_id"]]
    if (message["author"], run["requested_by"]) == (user, user):
        return []
    return [f"I11 {user} queued {message}, which {message['author']} wrote and {run['requested_by']} asked"]


def _rows(rows: Rows) -> list[str]:
    """Nothing is sent twice, and nothing waits for nothing."""
    submitted = {(row["user"], row["client_id"]) for row in rows.submissions}
    found = []
    for row in rows.queued:
        if (row["user"], row["client_id"]) in submitted or row["id"] in rows.messages:
            found.append(f"I11 {row['id']} was sent and is still in the line")
        if row["logged"] < row["revision"]:
            found.append(f"I11 the last change of {row['id']} has not reached the log")
        if row["state"] == "waiting" and not row["reason"]:
            found.append(f"I11 {row['id']} waits for nothing")
    return found


def _fresh(viewers: list[Viewer], snapshots: Iterable[dict[str, Any]]) -> list[str]:
    """Events applied one by one give the line that a fresh snapshot gives."""
    found = []
    for frame in snapshots:
        fresh = View()
        apply_snapshot(fresh, frame)
        for viewer in viewers:
            view = viewer.views.get(frame["conversation_id"])
            if view is None or (view.epoch, view.seq) != (fresh.epoch, fresh.seq):
                continue  # it had left before the end
            same = {one: row for one, row in fresh.queued.items() if view.whole or one in view.queued}
            if view.queued != same:  # who came in later has not seen all of it
                found.append(f"I11 {viewer.user} shows {view.queued}, a fresh page {fresh.queued}")
    return found
