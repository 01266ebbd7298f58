"""The last part of a traced run's way: from its first words in the log until a client has acknowledged its end."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from chat.eventlog.delivery_trace import PATIENCE_SECONDS
from chat.realtime.connection import Socket
from chat.telemetry import tracing

LOOK_SECONDS: Final = 0.02


async def follow_delivery(socket: Socket, life: tracing.Span, message: dict[str, Any]) -> None:
    """One span per socket that follows the run's conversation; it ends with the client's ack, or without one."""
    conversation, seq = message["c"], message["seq"]
    cursor = socket.cursors.get(conversation)
    if cursor is None or cursor.epoch != message["epoch"]:
        return
    named = {"antiphon.connection.id": socket.connection_id}
    with tracing.span("deliver", parent=message["traceparent"], start_time=message["shown"], attributes=named) as span:
        tracing.add_link(life, span)
        deadline, sent = time.monotonic() + PATIENCE_SECONDS, False
        while socket.cursors.get(conversation) is cursor and time.monotonic() < deadline:
            if not sent and cursor.seq >= seq and socket.is_idle():
                sent = True
                span.add_event("last_frame_sent")
            if cursor.acked >= seq:
                span.add_event("acknowledged")
                return
            await asyncio.sleep(LOOK_SECONDS)
        tracing.mark_failed(span, "not_acknowledged")
