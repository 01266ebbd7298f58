"""A tool, a call of it and a conversation with both, for the tests of requests."""

from __future__ import annotations

from workers.providers.base import (
    ChatTurn,
    RequestedCall,
    ToolSpec,
)

CLOCK = ToolSpec("current_time", "Tells the time.", {"type": "object", "properties": {"zone": {"type": "string"}}})
CALL = RequestedCall("call_1", "current_time", '{"zone": "UTC"}')
ASKED = ChatTurn("user", "What time is it?")
CALLED = ChatTurn("assistant", "", calls=(CALL,))
RESULT = ChatTurn("tool", "12:00", call_id="call_1", name="current_time")
LOOP = (ASKED, CALLED, RESULT)
