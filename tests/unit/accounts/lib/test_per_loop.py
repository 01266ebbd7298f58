"""One object per event loop, made when it is first asked for and closed with the loop."""

from __future__ import annotations

import asyncio
import gc

from accounts.lib.per_loop import PerLoop


class Thing:
    closed = False

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed = True


def test_each_loop_has_one_of_its_own() -> None:
    thing = PerLoop(Thing)

    async def ask() -> tuple[Thing, Thing]:
        return thing(), thing()

    first, second = asyncio.run(ask()), asyncio.run(ask())
    assert first[0] is first[1]
    assert second[0] is second[1]
    assert first[0] is not second[0]


def test_it_is_closed_while_its_loop_still_runs() -> None:
    thing = PerLoop(Thing, close=Thing.close)

    async def ask() -> Thing:
        made = thing()
        await asyncio.sleep(0)
        assert not made.closed
        return made

    assert asyncio.run(ask()).closed


def test_it_is_forgotten_with_its_loop() -> None:
    thing = PerLoop(object, close=lambda _: asyncio.sleep(0))

    async def ask() -> None:
        thing()

    asyncio.run(ask())
    gc.collect()
    assert len(thing._made) == 0
