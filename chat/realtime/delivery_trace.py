"""The last span of a traced run: from its first text in the event log until a client acknowledged its end."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from chat.eventlog.delivery_trace import ACK_SECONDS
from chat.realtime.connection import Connection
from chat.telemetry import tracing

LOOK_SECONDS: Final = 0.02


async def follow_delivery(connection: Connection, connection_span: tracing.Span, message: dict[str, Any]) -> None:
    """Records one span for a connection that follows the run's conversation, until the client's ack or a timeout."""
    conversation, seq = message["c"], message["seq"]
    cursor = connection.cursors.get(conversation)
    if cursor is None or cursor.epoch != message["epoch"]:
        return
    named = {"antiphon.connection.id": connection.connection_id}
    with tracing.span("deliver", parent=message["traceparent"], start_time=message["shown"], attributes=named) as span:
        tracing.add_link(connection_span, span)
        deadline, sent = time.monotonic() + ACK_SECONDS, False
        while connection.cursors.get(conversation) is cursor and time.monotonic() < deadline:
            if not sent and cursor.seq >= seq and connection.is_idle():
                sent = True
                span.add_event("last_frame_sent")
            if cursor.acked >= seq:
                span.add_event("acknowledged")
                return
            await asyncio.sleep(LOOK_SECONDS)
        tracing.mark_failed(span, "not_acknowledged")
