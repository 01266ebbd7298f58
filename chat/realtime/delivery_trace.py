"""The last part of a traced run's way: from its first words in the log until a client has acknowledged its end."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any, Final

from chat import log, traces
from chat.sockets import Socket

PATIENCE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.02


async def announce_end(conversation_id: uuid.UUID, end: log.Appended, *, traceparent: str, shown: int | None) -> None:
    """Tells the sockets of a conversation that a traced run's closing event is in the log. `shown`: when its first
    words were, ns since 1970.
    """
    await log.channel_layer().group_send(
        log.group_name(conversation_id),
        {
            "type": "run.traced",
            "c": conversation_id.bytes,
            "epoch": end.epoch,
            "seq": end.seq,
            "traceparent": traceparent,
            "shown": shown or time.time_ns(),
        },
    )


async def follow_delivery(socket: Socket, life: traces.Span, message: dict[str, Any]) -> None:
    """One span per socket that follows the run's conversation; it ends with the client's ack, or without one."""
    conversation, seq = message["c"], message["seq"]
    cursor = socket.cursors.get(conversation)
    if cursor is None or cursor.epoch != message["epoch"]:
        return
    named = {"antiphon.connection.id": socket.connection_id}
    with traces.span("deliver", parent=message["traceparent"], began=message["shown"], attributes=named) as span:
        life.link(span)
        deadline, sent = time.monotonic() + PATIENCE_SECONDS, False
        while socket.cursors.get(conversation) is cursor and time.monotonic() < deadline:
            if not sent and cursor.seq >= seq and socket.is_idle():
                sent = True
                span.event("last_frame_sent")
            if cursor.acked >= seq:
                span.event("acknowledged")
                return
            await asyncio.sleep(LOOK_SECONDS)
        span.fail("not_acknowledged")
