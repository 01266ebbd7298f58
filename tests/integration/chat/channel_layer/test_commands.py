"""Single commands to the server of REDIS_URL."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
import redis
from pytest_django.fixtures import Settings

from accounts.lib.redis import Script, async_redis, send_command
from chat.channel_layer import commands


async def connected() -> None:
    """Returns when commands are pipelined."""
    async with asyncio.timeout(10):
        while not commands._publisher()[0].is_connected:  # no command says which way it went
            await send_command("PING")


async def test_replies_are_those_of_their_commands() -> None:
    await connected()
    await send_command("SET", "commands:one", b"\x00\xff", "EX", 60)
    asked = [send_command("GET", "commands:one"), send_command("EXISTS", "commands:none")]
    assert await asyncio.gather(*asked) == [b"\x00\xff", 0]
    assert await send_command("DEL", "commands:one") == 1
    assert await send_command("GET", "commands:one") is None


async def test_a_script_that_the_server_does_not_know() -> None:
    await connected()
    await async_redis().script_flush()
    assert await Script("return ARGV[1]").run_with(send_command, 0, "here") == b"here"


async def test_an_error_is_raised_and_the_next_command_is_answered() -> None:
    await connected()
    with pytest.raises(redis.ResponseError):
        await send_command("GET")
    assert await send_command("EXISTS", "commands:none") == 0


async def test_a_connection_that_was_cut() -> None:
    """A command that is on its way when the connection ends is sent once more."""
    await connected()
    name = await send_command("CLIENT", "ID")
    assert await asyncio.gather(send_command("CLIENT", "KILL", "ID", name, "SKIPME", "no"), send_command("PING"))
    assert await send_command("CLIENT", "ID") != name


async def test_without_a_server(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9"  # the discard port: nobody answers
    with pytest.raises(redis.RedisError):
        await send_command("PING")


def test_the_connection_is_closed_with_its_loop() -> None:
    async def ask() -> Any:
        await connected()
        return await commands.execute("CLIENT", "ID")

    name = asyncio.run(ask())
    gc.collect()

    async def is_connected() -> bool:
        return f"id={name} ".encode() in await commands.execute("CLIENT", "LIST")

    assert not asyncio.run(is_connected())
