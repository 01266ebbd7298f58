"""What `StreamingChannelLayer` was configured with, as the layers of the event loops need it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from .channel import Message


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LayerOptions:
    """The constructor's arguments (see `StreamingChannelLayer`), and what follows from them. Times in seconds."""

    hosts: tuple[dict[str, Any], ...]  # redis-py's connection options, one dict per server
    prefix: str
    timeout: float
    ping_interval: float
    max_pending_bytes: int
    reset_type: str | None
    on_disconnect: Callable[[], Any] | str | None
    on_reconnect: Callable[[], Any] | str | None
    capacity_of: Callable[[str], int]  # the length of a channel's queue, by the channel's name
    serialize: Callable[[Message], bytes]
    deserialize: Callable[[bytes], Message]
