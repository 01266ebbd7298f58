"""Every command of the protocol has a rate; who sends too many is told so by its `ref`, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import time
import typing
import uuid
from typing import Any

import msgspec
import pytest

from accounts.lib.db import in_db
from accounts.lib.redis import sync_redis
from accounts.models import User
from chat.protocol.commands import Ack, AnyCommand, AudioInterrupt, Deltas, Ping, Pong, RunStop, parse_command
from chat.protocol.speaking import SpeechStop
from chat.realtime.command_runner import AT_ONCE
from chat.realtime.rate_limits import limits_of
from tests.integration.chat.realtime.test_subscription_limit import Socket, layer, opened, own_conversations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", layer.__name__)]

ALLOWED, SENT = 3, 12
STOPS = (RunStop, AudioInterrupt, SpeechStop)  # which a rate of their own counts
COMMANDS = sorted(typing.get_args(AnyCommand), key=lambda one: str(one.__struct_config__.tag))
WANTED = {
    "text": "Hello", "encoding": "pcm_s16le", "sample_rate": 16000, "mode": "auto", "auto_send": False, "seq": 0,
    "decision": "deny", "heard_chars": 0, "value": 1, "visible": True, "number": 0, "ms": 0,
    "short": True,
}  # fmt: skip


def frame_of(command: type[msgspec.Struct], conversation: uuid.UUID) -> dict[str, Any]:
    """The smallest frame of this command, about things that do not exist, but for the conversation."""
    frame: dict[str, Any] = {"type": command.__struct_config__.tag}
    for field in msgspec.structs.fields(command):
        if field.required:
            frame[field.name] = WANTED.get(field.name, str(uuid.uuid4()))
    if "conversation_id" in frame:
        frame["conversation_id"] = str(conversation)
    return frame


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: str(one.__struct_config__.tag))
def test_every_command_counts_under_a_rate(command: Any, settings: Any) -> None:
    """Those that are handled at once count as frames only (below)."""
    settings.RATE_COMMANDS = "1/h"
    parsed = parse_command(json.dumps(frame_of(command, uuid.uuid4())))
    assert type(parsed) is command
    counted = [limit.name for limit in limits_of(parsed, uuid.UUID(int=1), "s", "192.0.2.1")]
    whose = "stops:s" if command in STOPS else "commands:s"
    assert command in AT_ONCE or whose in counted


async def flood(socket: Socket, frame: dict[str, Any]) -> list[dict[str, Any]]:
    """Sends the frame twelve times at once, then asks once more; every reply to the twelve."""
    refs = [f"flood-{number}" for number in range(SENT)]
    for ref in refs:
        again = {**frame, "ref": ref} | ({"client_id": str(uuid.uuid4())} if "client_id" in frame else {})
        socket.send(again)
    async with asyncio.timeout(30):
        while sum(one.get("code") == "rate_limited" for one in socket.frames) < SENT - ALLOWED:
            await asyncio.sleep(0.01)
    return [one for one in socket.frames if one.get("ref") in refs]


async def test_a_flood_of_each_command_is_told_and_stops_nobody(
    alice: User, bob: User, settings: Any, layer: None
) -> None:
    settings.RATE_COMMANDS = f"{ALLOWED}/h"
    [hers], [his] = await in_db(own_conversations, alice, 1), await in_db(own_conversations, bob, 1)
    for command in COMMANDS:
        if command in AT_ONCE:
            continue
        await in_db(sync_redis().flushall)
        async with opened(alice) as socket, opened(bob, session="his") as other:
            replies = await flood(socket, frame_of(command, hers))
            name = command.__struct_config__.tag
            refused = [one for one in replies if one.get("code") == "rate_limited"]
            assert len(refused) == SENT - ALLOWED, name
            assert all(one["retry_after"] > 0 and one["message"] for one in refused), name
            assert len({one["ref"] for one in replies}) == len(replies), f"{name}: one reply each"
            began = time.monotonic()
            assert (await other.ask("subscribe", conversation_id=str(his)))["type"] == "subscribed", name
            assert time.monotonic() - began < 5, name
            if command not in STOPS:  # a stop is still taken
                assert (await socket.ask("run.stop", run_id=str(uuid.uuid4())))["code"] == "not_found", name


@pytest.mark.parametrize("command", [Ack, Ping, Pong, Deltas], ids=["ack", "ping", "pong", "deltas"])
async def test_a_flood_of_what_is_handled_at_once(
    alice: User, bob: User, settings: Any, command: Any, layer: None
) -> None:
    [hers], [his] = await in_db(own_conversations, alice, 1), await in_db(own_conversations, bob, 1)
    settings.RATE_FRAMES = f"{ALLOWED}/h"
    async with opened(alice) as socket:
        settings.RATE_FRAMES = "off"
        async with opened(bob, session="his") as other:
            replies = await flood(socket, frame_of(command, hers))
            refused = [one["ref"] for one in replies if one.get("code") == "rate_limited"]
            assert refused == [f"flood-{number}" for number in range(ALLOWED, SENT)]
            assert (await other.ask("subscribe", conversation_id=str(his)))["type"] == "subscribed"
