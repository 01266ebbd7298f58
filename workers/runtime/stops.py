"""What the workers are notified of: requests to stop a run, and answers without HTML."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from chat.eventlog import store
from chat.eventlog.html_requests import RENDER_GROUP
from chat.turns.stop import STOP_GROUP
from workers.generation.run import Generation

EARLY_SECONDS: Final = 10.0  # how long a stop is remembered for a run that is still being claimed


class StopListener:
    """Stops runs of `active`, which is the process's own table of runs. `on_unrendered` is called when an answer has
    ended without HTML.
    """

    def __init__(self, active: Mapping[uuid.UUID, Generation], on_unrendered: Callable[[], None]) -> None:
        self._active = active
        self._on_unrendered = on_unrendered
        self._early: dict[uuid.UUID, float] = {}  # runs that are not held here, perhaps not yet; when it was requested
        self._channel = ""

    async def subscribe(self) -> None:
        """Subscribes to the messages, unless that is done. To be repeated: the layer may be unreachable at the
        start. Raises `redis.RedisError`.
        """
        if self._channel:
            return
        layer = store.channel_layer()
        channel = await layer.new_channel()
        layer.attach(channel, self._on_message)
        await layer.group_add(STOP_GROUP, channel)
        await layer.group_add(RENDER_GROUP, channel)
        self._channel = channel

    def is_stopped(self, run_id: uuid.UUID) -> bool:
        """Whether a stop arrived before the run was in `active`."""
        return run_id in self._early

    def _on_message(self, message: dict[str, Any]) -> None:
        if message["type"] == "answer.unrendered":
            self._on_unrendered()
        elif message["type"] == "run.stop":
            run_id = uuid.UUID(message["run_id"])
            generation = self._active.get(run_id)
            if generation is not None:
                generation.stop()
            else:
                self._remember(run_id)

    def _remember(self, run_id: uuid.UUID) -> None:
        """A run enters `active` milliseconds after its claim is committed, and later on a busy machine."""
        now = time.monotonic()
        for known, requested in list(self._early.items()):  # oldest first
            if now - requested < EARLY_SECONDS:
                break
            del self._early[known]
        self._early[run_id] = now
