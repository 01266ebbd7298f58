"""A `traceparent` is what W3C Trace Context says, or refused."""

from __future__ import annotations

import json
import uuid

import pytest

from chat.protocol.commands import MessageSend, parse_command
from chat.protocol.errors import Invalid
from chat.telemetry.tracing import new_traceparent, trace_id, with_traceparent

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def send(**fields: object) -> MessageSend:
    frame = {"type": "message.send", "conversation_id": None, "client_id": str(uuid.uuid4()), "text": "Hello", **fields}
    command = parse_command(json.dumps(frame))
    assert isinstance(command, MessageSend)
    return command


@pytest.mark.parametrize("traceparent", [GOOD, GOOD[:-2] + "00", None])
def test_good(traceparent: str | None) -> None:
    assert send(traceparent=traceparent).traceparent == traceparent


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        GOOD + "\n",
        GOOD.upper(),
        GOOD + "-01",
        "01" + GOOD[2:],
        "ff" + GOOD[2:],
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        GOOD.replace("-", "_"),
        "٠" * 55,
        7,
        {"a": GOOD},
    ],
)
def test_bad(traceparent: object) -> None:
    with pytest.raises(Invalid):
        send(traceparent=traceparent)


def test_other_commands_take_none() -> None:
    with pytest.raises(Invalid):
        parse_command(json.dumps({"type": "ping", "traceparent": GOOD}))


def test_who_sends_none_gets_one() -> None:
    assert with_traceparent(send(traceparent=GOOD)).traceparent == GOOD
    made = with_traceparent(send()).traceparent
    assert send(traceparent=made).traceparent == made
    assert send(traceparent=new_traceparent()).traceparent != made
    assert len(trace_id(made)) == 32
    assert trace_id(None) == ""
