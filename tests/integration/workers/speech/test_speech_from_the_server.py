"""Answers spoken by the server, end to end: sentences go to a worker, their audio comes over the same socket."""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Generator
from typing import Any

import pytest
import redis

from tests.client import Client
from tests.fakes.asr_recognisers import run_in_thread
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.speech_server import FakeSpeech, spoken
from tests.fixtures.stacks import stack_with_model
from tests.integration.workers.speech.recordings import user
from tests.stack import Stack

KEY = "sk-of-the-speech-server"
HEADER = struct.Struct("!BBHI")
FIRST, SECOND = "First things first.", "Then there is more of it."


@pytest.fixture(scope="module")
def server() -> Generator[FakeSpeech]:
    with run_in_thread(lambda: FakeSpeech.run(KEY)) as running:
        yield running


@pytest.fixture(scope="module")
def system(server: FakeSpeech) -> Generator[tuple[Stack, FakeOpenAI]]:
    env = {
        "CHAT_MODELS": "small", "SPEECH_BACKENDS": "openai", "SPEECH_URL": server.url, "SPEECH_API_KEY": KEY,
        "SPEECH_VOICES": "nova,coral", "SPEECH_MODEL": "tts-test",
    }  # fmt: skip
    with stack_with_model(web=1, workers=1, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def stack(system: tuple[Stack, FakeOpenAI]) -> Stack:
    return system[0]


@pytest.fixture(autouse=True)
def fresh(server: FakeSpeech) -> None:
    server.requests.clear()
    server.delay, server.status = 0.0, 200


async def answered(client: Client, text: str = f"{FIRST} {SECOND}") -> str:
    """A new answer; its message's id."""
    accepted = await client.say(f'Speak [[text="{text}"]]')
    run = await client.ended(accepted["run_id"])
    return str(run["message_id"])


async def start(client: Client, message_id: str, **fields: Any) -> dict[str, Any]:
    started = await client.ask("tts.start", message_id=message_id, **fields)
    assert started["type"] == "tts.started", started
    return started


def audio(client: Client, stream: int) -> list[tuple[int, int, bytes]]:
    """(flags, number, PCM) of the frames of a stream."""
    found = [(*HEADER.unpack_from(data), data[HEADER.size :]) for data in client.audio]
    return [(flags, number, pcm) for kind, flags, one, number, pcm in found if kind == 2 and one == stream]


async def test_sentences_are_spoken_in_order_and_counted(stack: Stack, server: FakeSpeech) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        assert "speech" in client.frames[0]["features"]
        message = await answered(client)
        started = await start(client, message, voice="coral", speed=1.5, language="en")
        assert (started["sample_rate"], started["encoding"], started["voice"]) == (24_000, "pcm_s16le", "coral")
        speech = started["speech_id"]
        second = await client.ask("tts.say", speech_id=speech, number=1, text=SECOND)
        first = await client.ask("tts.say", speech_id=speech, number=0, text=FIRST)
        assert (first["type"], second["type"]) == ("ok", "ok")
        ends = [await client.next("tts.sentence", speech_id=speech) for _ in range(2)]
        lengths = [len(spoken(text, 1.5)) // 48 for text in (FIRST, SECOND)]
        assert [(end["number"], end["ms"]) for end in ends] == [(0, lengths[0]), (1, lengths[1])]
        frames = audio(client, started["stream"])
        assert [number for _, number, _ in frames] == list(range(len(frames)))
        assert b"".join(pcm for _, _, pcm in frames) == spoken(FIRST, 1.5) + spoken(SECOND, 1.5)
        assert max(len(pcm) for _, _, pcm in frames) <= 8_000
        assert [number for number, (flags, _, _) in enumerate(frames) if flags] == [
            next(i for i, (flags, _, _) in enumerate(frames) if flags), len(frames) - 1,
        ]  # fmt: skip
        assert sorted(server.texts) == sorted([FIRST, SECOND])
        assert {(r.body["voice"], r.body["speed"]) for r in server.requests} == {("coral", 1.5)}
        again = await client.ask("tts.say", speech_id=speech, number=1, text=SECOND)
        assert (again["type"], again["code"]) == ("error", "invalid")
        await client.send("tts.played", speech_id=speech, number=1, ms=100)
        assert (await client.ask("tts.stop", speech_id=speech))["type"] == "ok"
        closed = await client.next("tts.closed", speech_id=speech)
        assert (closed["reason"], closed["sent_ms"], closed["played_ms"]) == (
            "stopped", sum(lengths), lengths[0] + 100,
        )  # fmt: skip
        counted = (
            "SELECT * FROM accounts_usageentry WHERE purpose = 'speech'"
            " AND conversation_id = (SELECT conversation_id FROM chat_message WHERE id = %s)"
        )
        async with asyncio.timeout(10):
            while len(rows := stack.sql(counted, message)) < 2:
                await asyncio.sleep(0.05)
        assert sum(row["audio_seconds"] for row in rows) * 1000 == sum(lengths)
        assert {row["model"] for row in rows} == {"tts-test"}
        await client.close()


async def test_spoken_before_is_not_asked_for_again(stack: Stack, server: FakeSpeech) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        text = "Said twice, asked for once."
        message = await answered(client, text)
        for _ in range(2):
            started = await start(client, message)
            await client.ask("tts.say", speech_id=started["speech_id"], number=0, text=text)
            await client.next("tts.sentence", speech_id=started["speech_id"])
            assert b"".join(pcm for _, _, pcm in audio(client, started["stream"])) == spoken(text)
        assert server.texts == [text]
        await client.close()


async def test_nothing_is_sent_far_ahead_nor_after_the_stop(stack: Stack, server: FakeSpeech) -> None:
    long = "word " * 110  # 22 s
    async with user(stack) as alice:
        client = await alice.connect()
        message = await answered(client, long)
        started = await start(client, message)
        speech, ahead = started["speech_id"], started["limits"]["ahead_ms"]

        def sent() -> int:
            return sum(len(pcm) for _, _, pcm in audio(client, started["stream"])) // 48

        await client.ask("tts.say", speech_id=speech, number=0, text=long)
        await client.until(lambda: client.audio, "audio")
        async with asyncio.timeout(10):
            while sent() < ahead:
                await asyncio.sleep(0.02)
        await client.ask("tts.start", message_id=str(uuid.uuid4()))  # refused; a moment passes
        assert ahead <= sent() <= ahead + 400
        await client.send("tts.played", speech_id=speech, number=0, ms=5_000)
        async with asyncio.timeout(10):
            while sent() < ahead + 5_000:
                await asyncio.sleep(0.02)
        assert (await client.ask("tts.stop", speech_id=speech))["type"] == "ok"
        until = sent()
        await client.send("tts.played", speech_id=speech, number=0, ms=13_000)
        gone = await client.ask("tts.say", speech_id=speech, number=1, text="More.")
        assert (gone["code"], sent()) == ("not_found", until)
        await client.close()


async def test_a_barge_in_ends_the_worker_s_request_too(stack: Stack, server: FakeSpeech) -> None:
    server.delay = 0.05
    async with user(stack) as alice:
        client = await alice.connect()
        accepted = await client.say(f'Go on [[text="{FIRST * 30}" rate=5]]')
        await client.shows(accepted["run_id"], 10)
        [row] = stack.sql("SELECT message_id FROM chat_run WHERE id = %s", accepted["run_id"])
        started = await start(client, str(row["message_id"]))
        await client.ask("tts.say", speech_id=started["speech_id"], number=0, text=FIRST * 20)
        async with asyncio.timeout(10):
            while not client.audio:
                await asyncio.sleep(0.02)
        reply = await client.ask("audio.interrupt", run_id=accepted["run_id"], heard_chars=5)
        assert reply["type"] == "ok"
        assert (await client.next("tts.closed"))["reason"] == "interrupted"
        async with asyncio.timeout(10):
            while not server.requests[0].broken_off:
                await asyncio.sleep(0.02)
        await client.close()


async def test_what_is_withheld_or_not_theirs_is_not_spoken(stack: Stack, server: FakeSpeech) -> None:
    async with user(stack) as alice, user(stack, "bob") as bob:
        client, other = await alice.connect(), await bob.connect()
        message = await answered(client)
        assert (await other.ask("tts.start", message_id=message))["code"] == "not_found"
        assert (await client.ask("tts.start", message_id=message, voice="unknown"))["code"] == "invalid"
        started = await start(client, message)
        stack.sql('UPDATE chat_message SET moderation = \'{"action": "withdrawn"}\' WHERE id = %s', message)
        refused = await client.ask("tts.say", speech_id=started["speech_id"], number=0, text=FIRST)
        assert refused["code"] == "moderated"
        assert (await client.ask("tts.start", message_id=message))["code"] == "moderated"
        assert server.requests == []
        await client.close()
        await other.close()


async def test_a_server_that_fails_is_reported(stack: Stack, server: FakeSpeech) -> None:
    server.status = 503
    async with user(stack) as alice:
        client = await alice.connect()
        started = await start(client, await answered(client, "It fails here."))
        await client.ask("tts.say", speech_id=started["speech_id"], number=0, text="It fails here.")
        error = await client.next("error")
        assert (error["code"], error.get("ref")) == ("speech_unavailable", None)
        assert (await client.next("tts.closed"))["reason"] == "failed"
        await client.close()


async def test_a_quota_of_seconds_ends_it(stack: Stack, server: FakeSpeech) -> None:
    async with user(stack, "mallory") as mallory:
        client = await mallory.connect()
        message = await answered(client, "Some more words here.")
        [person] = stack.sql("SELECT id FROM accounts_user WHERE email = 'mallory@example.org'")
        stack.sql(
            'INSERT INTO accounts_quota (user_id, model, unit, period, "limit", hard, starts_at)'
            " VALUES (%s, '', 'audio_seconds', 'day', 0.1, true, now()) RETURNING id",
            person["id"],
        )
        started = await start(client, message)
        assert (await client.ask("tts.say", speech_id=started["speech_id"], number=0, text="Some more."))[
            "type"
        ] == "ok"
        await client.next("tts.sentence")
        async with asyncio.timeout(5):
            while not stack.sql(
                "SELECT id FROM accounts_usageentry WHERE user_id = %s AND purpose = 'speech'", person["id"]
            ):
                await asyncio.sleep(0.05)
        refused = await client.ask("tts.say", speech_id=started["speech_id"], number=1, text="Words here.")
        assert (refused["type"], refused["code"]) == ("error", "quota_exceeded")
        assert (await client.ask("tts.start", message_id=message))["code"] == "quota_exceeded"
        await client.close()


async def test_one_user_hears_three_answers_at_once(stack: Stack, server: FakeSpeech) -> None:
    """Workers speak the sentences of all people in turn: twenty tabs of one would be twenty before everybody else's."""
    server.delay = 60.0
    async with user(stack) as alice:
        clients = [await alice.connect() for _ in range(5)]
        message = await answered(clients[0])
        started = [(await start(client, message))["speech_id"] for client in clients]  # in silence any number
        for client, speech in zip(clients[:3], started, strict=False):
            await client.ask("tts.say", speech_id=speech, number=0, text=FIRST)
        keys = redis.Redis.from_url(stack.redis.url)
        async with asyncio.timeout(15):
            while sum(keys.zcard(key) for key in keys.scan_iter("*speeches:user:*")) < 3:
                await asyncio.sleep(0.05)
        await clients[3].ask("tts.say", speech_id=started[3], number=0, text=FIRST)
        assert "several answers" in (await clients[3].next("error", code="busy"))["message"]
        assert (await clients[3].next("tts.closed", speech_id=started[3]))["reason"] == "failed"
        await clients[0].ask("tts.stop", speech_id=started[0])
        async with asyncio.timeout(15):
            while sum(keys.zcard(key) for key in keys.scan_iter("*speeches:user:*")) > 2:
                await asyncio.sleep(0.05)
        server.delay = 0.0
        await clients[4].ask("tts.say", speech_id=started[4], number=0, text=SECOND)
        assert (await clients[4].next("tts.sentence", speech_id=started[4]))["number"] == 0
