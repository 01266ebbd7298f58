"""Commands with values that no page sends: each is refused with a reason to its sender or carried out, and none fails.

Fixed trials, a sample of all; `FUZZ=all` runs every one.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Message, Run
from chat.protocol.commands import parse_command
from chat.protocol.errors import ChatError
from tests.fuzzing import some
from tests.integration.chat.realtime.test_command_floods import COMMANDS, frame_of
from tests.integration.chat.realtime.test_command_grid import SILENT
from tests.integration.chat.realtime.test_subscription_limit import Socket, layer, opened

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", layer.__name__),
]  # fmt: skip

TEXTS = (
    "", "a\0b", "\ud800", "\u202e\x1b[31m\x85\u200b", "9" * 400, "-1", "NaN", "x" * 49_000, "../../etc/passwd", "en-US",
    "small", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", str(uuid.UUID(int=0)),
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    *TEXTS, None, True, False, -1, 0, 1, 2**31, 2**63, 10**40, 0.5, 1e308, [], {}, ["a\0"], [None], [[]] * 50,
    ["small", "small"], [str(uuid.UUID(int=7))] * 21, {"a": {"b": []}}, {"temperature": 1e308}, {"max_tokens": -5},
    {"tools": ["x\0"] * 200}, {"system_prompt": "\ud800" * 300, "collections": [str(uuid.UUID(int=7))] * 20},
    {"epoch": "x\0" * 900, "seq": 2**62}, {"epoch": "", "seq": 0}, {"tools": [""]}, {"effort": "high"},
)  # fmt: skip
MALFORMED = (
    "", "null", "[]", "{}", "x" * 70_000, "[" * 50_000,
    '{"type": "ping", "ref": "r"', '{"type": "no such", "ref": "r"}',
    '{"type": "ping", "type": ["x"], "ref": "r"}', '{"ref": "r", "type": NaN}', '{"type": "\\ud800", "ref": "r"}',
)  # fmt: skip


def frames(ids: dict[str, str]) -> Iterator[tuple[type[msgspec.Struct], dict[str, Any]]]:
    """Each command with each value in each of its fields; the other fields are good. Those that are no command are
    refused before anything is done (below).
    """
    for command in COMMANDS:
        good = frame_of(command, uuid.UUID(ids["conversation_id"]))
        good |= {name: value for name, value in ids.items() if name in good}
        for field in msgspec.structs.fields(command):
            for value in VALUES:
                frame = {**good, field.name: value}
                if field.name != "ref" and is_command(frame):
                    yield command, frame


def is_command(frame: dict[str, Any]) -> bool:
    try:
        parse_command(json.dumps(frame))
    except ChatError:
        return False
    return True


async def answered(socket: Socket, frame: dict[str, Any], ref: str) -> dict[str, Any]:
    again = {"client_id": str(uuid.uuid4())} if "client_id" in frame else {}
    socket.send({**frame, **again, "ref": ref})
    return await socket.until("", ref)


async def test_no_command_fails(alice: User, layer: None, settings: Any) -> None:
    settings.RATE_MESSAGES_PER_USER = settings.RATE_MESSAGES_PER_ADDRESS = settings.RATE_MESSAGES_PER_CONVERSATION = (
        "off"
    )
    settings.RATE_STOPS = settings.RATE_RECORDINGS = settings.RATE_SPEECH = "off"
    settings.ASR_BACKENDS = []  # no worker is here: a recording would wait for one
    async with opened(alice) as socket:
        accepted = await socket.say("Hello")
        run_id = accepted["run_id"]
        answer = await in_db(Run.objects.values_list("message_id", flat=True).get, pk=run_id)
        ids = {"conversation_id": accepted["conversation_id"], "message_id": str(answer), "run_id": run_id}
        trials = some(frames(ids), 150)
        assert len(trials) >= 150
        failed: dict[str, Any] = {}
        for number, (command, frame) in enumerate(trials):
            if command.__struct_config__.tag in SILENT:
                socket.send({**frame, "ref": f"junk-{number}"})
                continue
            said = await answered(socket, frame, f"junk-{number}")
            if said.get("code") == "internal" or (said["type"] == "error" and not said["message"]):
                failed.setdefault(command.__name__, (str(frame)[:300], said))
        assert failed == {}
        assert (await socket.ask("ping"))["type"] == "pong"
        assert "internal" not in {frame.get("code") for frame in socket.frames}
        assert socket.open
        assert await in_db(Message.objects.filter(pk=answer).exists)


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_no_command_is_refused_with_a_reason(alice: User, layer: None, text: str) -> None:
    async with opened(alice) as socket:
        socket._incoming.put_nowait({"type": "websocket.receive", "text": text})
        error = await socket.until("error")
        assert (error["code"] != "internal", bool(error["message"])) == (True, True)
        is_json = text.endswith("}") and "NaN" not in text
        assert error.get("ref") == ("r" if is_json and '"r"' in text else None)
        assert (await socket.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\xff" * 7, b"\x01\xff\xff\xff\xff\xff\xff\xff", b"\x01\0\0\0\0\0\0\0" + b"\0" * 9_000]
)
async def test_audio_that_belongs_to_nothing_is_refused_with_a_reason(alice: User, layer: None, data: bytes) -> None:
    async with opened(alice) as socket:
        socket._incoming.put_nowait({"type": "websocket.receive", "bytes": data})
        error = await socket.until("error")
        assert error["code"] in ("invalid", "too_large")
        assert error["message"]
        assert (await socket.ask("ping"))["type"] == "pong"


async def test_several_bad_frames_harm_no_other_socket(alice: User, bob: User, layer: None) -> None:
    async with opened(alice) as socket, opened(bob, session="his") as other:
        for text in MALFORMED[:10]:
            socket._incoming.put_nowait({"type": "websocket.receive", "text": text})
        assert await socket.closed() >= 4000
        assert (await asyncio.wait_for(other.ask("ping"), 20))["type"] == "pong"
