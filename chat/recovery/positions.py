"""Tells who waits for a worker how many answers have their turn before theirs (`run.position`, docs/protocol.md)."""

from __future__ import annotations

import time
from typing import Any, Final

from accounts.lib.db import in_db
from accounts.lib.redis import async_redis
from chat.eventlog import store
from chat.eventlog.followers import find_unwatched
from chat.protocol.frames import encode
from chat.runs.fair_order import WaitingRun, waiting_runs, watched_first

SHOWN_SECONDS: Final = 2.0  # who waits for less is told nothing
EVERY_MS: Final = 1_800  # of all processes together
OFTEN: Final = 200  # so many are told each time
SELDOM: Final = 8  # those behind them each eighth time

_ANNOUNCED: Final = "queue:announced"


async def announce_positions(number: int | None = None) -> None:
    """One round (the `number`th), unless another process has just made it. A page that opens later gets the next."""
    if not await async_redis().set(_ANNOUNCED, "1", nx=True, px=EVERY_MS):
        return
    layer, number = store.channel_layer(), int(time.time() / 2) if number is None else number
    waiting = await in_db(waiting_runs, SHOWN_SECONDS)
    unwatched = await find_unwatched(run.conversation_id for run in waiting)
    for before, run in enumerate(watched_first(waiting, unwatched)):
        if run.seconds >= SHOWN_SECONDS and (before < OFTEN or (before + number) % SELDOM == 0):
            await layer.group_send(store.group_name(run.conversation_id), notice(run, before))


def notice(run: WaitingRun, before: int) -> dict[str, Any]:
    """The message of the channel layer to everybody who follows the run's conversation. `before`: how many answers have
    their turn before it.
    """
    frame = {
        "type": "run.position",
        "conversation_id": str(run.conversation_id),
        "run_id": str(run.run_id),
        "message_id": str(run.message_id),
        "before": before,
    }
    return {"type": "ephemeral", "c": run.conversation_id.bytes, "from": "", "frame": encode(frame)}
