"""Signs of typing: however many members type at once, one process sends a bounded number into a conversation."""

from __future__ import annotations

import uuid

from chat.realtime.typing_limit import PER_CONVERSATION, REMEMBERED, TypingRoom


def test_two_hundred_who_type_at_once() -> None:
    room, crowded, quiet = TypingRoom(), uuid.uuid4(), uuid.uuid4()
    sent = 0
    for second in range(10):
        for member in range(200):
            sent += room.try_acquire(crowded, 100 + second + member / 200) == 0
    assert sent <= PER_CONVERSATION.count * 11
    assert sent >= PER_CONVERSATION.count * 9, "those who go on typing are shown"
    assert room.try_acquire(quiet, 110) == 0, "another conversation has its own"


def test_only_so_many_conversations_are_remembered() -> None:
    room = TypingRoom()
    for _ in range(REMEMBERED * 2):
        assert room.try_acquire(uuid.uuid4(), 1.0) == 0
    assert len(room._buckets) == REMEMBERED
