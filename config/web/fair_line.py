"""The order in which requests get a thread: by turns, so that whoever asks for much waits for themselves.

One person can ask for pages as fast as they like, and a page takes a good part of a second. In the order in which they
come, sixty of them at once would have everybody else wait for all sixty.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class FairLine:
    """A number of places, for networks by turns, and within a network for its visitors by turns. For one event loop.

    Whoever waits has the next place but those of the networks that had their last turn before theirs.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        # Who waits: the visitors of each network, and the requests of each of them. Whoever had a turn goes to the end.
        self._networks: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, network: str, visitor: str) -> AsyncIterator[None]:
        """Waits for a place, and keeps it."""
        await self._wait(network, visitor)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, network: str, visitor: str) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._networks.setdefault(network, {}).setdefault(visitor, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn came at the same moment
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Gives a place that has become free to whose turn it is."""
        while (turn := self._take()) is not None:
            if not turn.done():  # else its client has gone
                turn.set_result(None)
                return
        self._free += 1

    def _take(self) -> asyncio.Future[None] | None:
        if not self._networks:
            return None
        network, visitors = next(iter(self._networks.items()))
        visitor, waiting = next(iter(visitors.items()))
        turn = waiting.popleft()
        del visitors[visitor], self._networks[network]
        if waiting:
            visitors[visitor] = waiting
        if visitors:
            self._networks[network] = visitors
        return turn
