"""A client that comes in by speaking knows what is written from then on; a change of something older says no more."""

from __future__ import annotations

from typing import Any

from tests.client_view import View, apply_event


def event(seq: int, kind: str, number: int) -> dict[str, Any]:
    message = {"id": f"m{number}", "created_at": f"2026-01-01T00:00:0{number}Z", "text": "", "role": "user"}
    return {"type": f"message.{kind}", "conversation_id": "c", "seq": seq, "message": message}


def test_a_change_of_an_older_message_is_not_the_beginning() -> None:
    view = View(epoch="e", seq=3)
    assert view.first_created() == ""
    apply_event(view, event(4, "created", 5))
    apply_event(view, event(5, "updated", 1))
    assert view.first_created() == "2026-01-01T00:00:05Z"
    apply_event(view, event(6, "updated", 5))
    assert view.first_created() == "2026-01-01T00:00:05Z"


def test_an_older_message_that_is_announced_later_is_not_the_beginning() -> None:
    view = View(epoch="e", seq=3, came_in="2026-01-01T00:00:04Z")
    apply_event(view, event(4, "created", 1))
    assert view.first_created() == "2026-01-01T00:00:04Z"
    apply_event(view, event(5, "created", 5))
    assert view.first_created() == "2026-01-01T00:00:04Z"
