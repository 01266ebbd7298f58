"""Frames of waiting lines, and that a message is known again whatever it said of waiting."""

from __future__ import annotations

import json
import uuid

import pytest

from chat.protocol.commands import MessageSend, QueuedSend, parse_command
from chat.protocol.errors import Invalid
from chat.protocol.queue import QueueEdit, QueueMove, QueueRemove, QueueSendNow
from chat.turns.accepted import fingerprint_of

ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)


def frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields}, default=str)


def test_the_commands_of_a_line() -> None:
    assert parse_command(frame("queue.edit", message_id=ONE, text="x")) == QueueEdit(message_id=ONE, text="x")
    assert parse_command(frame("queue.remove", message_id=ONE)) == QueueRemove(message_id=ONE)
    assert parse_command(frame("queue.send_now", message_id=ONE)) == QueueSendNow(message_id=ONE)
    assert parse_command(frame("queue.move", message_id=ONE, before=TWO)) == QueueMove(message_id=ONE, before=TWO)
    for wrong in (frame("queue.edit", message_id=ONE), frame("queue.move", before=TWO)):
        with pytest.raises(Invalid):
            parse_command(wrong)


def test_when_busy_has_three_values() -> None:
    fields = {"conversation_id": ONE, "client_id": TWO, "text": "x"}
    for value in ("refuse", "queue", "steer"):
        command = parse_command(frame("message.send", when_busy=value, **fields))
        assert isinstance(command, MessageSend)
        assert command.when_busy == value
    with pytest.raises(Invalid, match="when_busy"):
        parse_command(frame("message.send", when_busy="later", **fields))
    with pytest.raises(Invalid, match="queued_id"):  # no frame says that a message waited
        parse_command(frame("message.send", queued_id=ONE, fingerprint="", **fields))


def test_a_fingerprint_does_not_say_whether_it_waited() -> None:
    plain = MessageSend(conversation_id=ONE, client_id=TWO, text="x")
    waits = MessageSend(conversation_id=ONE, client_id=TWO, text="x", when_busy="queue")
    sent = QueuedSend(
        conversation_id=ONE, client_id=TWO, text="edited", queued_id=ONE, fingerprint=fingerprint_of(waits)
    )
    assert fingerprint_of(plain) == fingerprint_of(waits) == fingerprint_of(sent)
