"""I7, I8 and I15: who gets anything of a conversation, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tests.history.data import Period, Rows, Viewer

REVOKED_SECONDS = 2.0


def check_access(viewers: Iterable[Viewer], rows: Rows) -> list[str]:
    """Everything that contradicts them, one sentence each."""
    found = []
    for viewer in viewers:
        for socket in viewer.sockets:
            for frame, at in zip(socket.frames, socket.times, strict=True):
                conversation = frame.get("conversation_id")
                if conversation is None:
                    continue
                ends = [viewer.revoked[key] for key in ("*", conversation) if key in viewer.revoked]
                if ends and at > min(ends) + REVOKED_SECONDS and frame["type"] != "reset":
                    found.append(f"I8 {viewer.user} got {frame['type']} {at - min(ends):.1f} s after access ended")
                elif not ends and (conversation, viewer.user) not in rows.members:
                    found.append(f"I7 {viewer.user} got {frame['type']} of {conversation}, and is no member")
                elif not _was_member(viewer.periods.get(conversation), at) and frame["type"] != "reset":
                    found.append(f"I15 {viewer.user} got {frame['type']} of {conversation} when they were no member")
    return found


def _was_member(periods: list[Period] | None, at: float) -> bool:
    """Whether `at` is in one of the periods, or shortly after it. None: this person was a member all the time."""
    return periods is None or any(
        one.start <= at and (one.end is None or at <= one.end + REVOKED_SECONDS) for one in periods
    )
