"""Announces the end of a traced run, so that connections record when it was delivered."""

from __future__ import annotations

import time
import uuid
from typing import Final

from chat.eventlog import store

ACK_SECONDS: Final = 30.0  # the longest a span waits for a client's ack


async def announce_end(conversation_id: uuid.UUID, end: store.Appended, *, traceparent: str, shown: int | None) -> None:
    """Notifies the sockets of a conversation that a traced run's closing event is in the log. `shown`: when its first
    text was, ns since 1970.
    """
    await store.channel_layer().group_send(
        store.group_name(conversation_id),
        {
            "type": "run.traced",
            "c": conversation_id.bytes,
            "epoch": end.epoch,
            "seq": end.seq,
            "traceparent": traceparent,
            "shown": shown or time.time_ns(),
        },
    )
