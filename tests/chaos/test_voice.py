"""Voice under faults: workers that are killed in the middle of a sentence, and web processes that go."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Generator
from typing import Any

import pytest
import redis

from tests.chaos.driving import poll
from tests.client import Client, session
from tests.fakes.asr_openai import FakeRealtime
from tests.fakes.asr_recognisers import KEY as ASR_KEY
from tests.fakes.asr_recognisers import MOONSHINE_INSTALLED, realtime, run_in_thread
from tests.fakes.asr_speech import frames, silence, speak
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.speech_server import FakeSpeech, spoken
from tests.fixtures.stacks import stack_with_model
from tests.integration.workers.speech.recordings import HEADER
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")
KEY = "sk-of-the-speech-server"
SENTENCE = "please open the window and call the doctor"
AUDIO: dict[str, Any] = {"encoding": "pcm_s16le", "sample_rate": 16000, "mode": "auto", "auto_send": False}


@pytest.fixture(scope="module")
def speech() -> Generator[FakeSpeech]:
    with run_in_thread(lambda: FakeSpeech.run(KEY)) as server:
        yield server


@pytest.fixture(scope="module")
def system(speech: FakeSpeech) -> Generator[tuple[Stack, FakeOpenAI]]:
    """With the recogniser that is the default, where it is installed."""
    env = {
        "CHAT_MODELS": "small", "SPEECH_BACKENDS": "openai", "SPEECH_URL": speech.url, "SPEECH_API_KEY": KEY,
        "RECORDINGS_PER_USER": "1", "RECORDINGS_AT_ONCE": "9", "WORKER_DRAIN_SECONDS": "2",
    }  # fmt: skip
    with run_in_thread(lambda: FakeRealtime.run(ASR_KEY)) as hosted:
        env |= {"ASR_BACKENDS": "moonshine"} if MOONSHINE_INSTALLED else realtime(hosted).env
        with stack_with_model(web=2, workers=2, env=env) as running:
            yield running


async def begin(client: Client) -> dict[str, Any]:
    started = await client.ask("audio.start", conversation_id=None, client_id=str(uuid.uuid4()), **AUDIO)
    assert started["type"] == "audio.started", started
    return started


async def say(client: Client, stream: int, pcm: bytes, number: int = 0) -> int:
    """At the pace of speech; the number of the next frame."""
    for chunk in frames(pcm):
        await client.ws.send_bytes(HEADER.pack(1, 0, stream, number) + chunk.ljust(3200, b"\0"))
        number += 1
        await asyncio.sleep(0.08)
    return number


def owner_of(stack: Stack, key: str) -> int:
    """The place of the worker whose id is the value of this key in Redis."""
    value = redis.Redis.from_url(stack.redis.url).get(key)
    assert isinstance(value, bytes), key
    return next(n for n, worker in enumerate(stack.workers) if f":{worker.pid}:" in value.decode())


async def test_v1_a_worker_killed_in_the_middle_of_what_is_said(system: tuple[Stack, FakeOpenAI]) -> None:
    """The speaker is told within seconds, and can speak again at once: no place stays taken, no row stays open."""
    stack, _ = system
    async with session(stack.url) as alice:
        client = await alice.connect()
        started = await begin(client)
        recording = uuid.UUID(started["recording_id"])
        said = silence(300) + speak(SENTENCE)
        number = await say(client, started["stream"], said[: len(said) // 2])
        await client.next("speech.started", recording_id=str(recording))
        victim = stack.workers[await asyncio.to_thread(owner_of, stack, f"recording:{recording.hex}:lease")]
        victim.kill(signal.SIGKILL)
        victim.wait()

        async def go_on() -> None:
            nonlocal number
            while True:
                number = await say(client, started["stream"], silence(500), number)

        speaking = asyncio.create_task(go_on())
        closed = await client.next("audio.closed", recording_id=str(recording), seconds=25)
        speaking.cancel()
        assert closed["reason"] == "worker_lost"
        told = next(frame for frame in client.frames if frame["type"] == "error" and not frame.get("ref"))
        assert told["code"] == "asr_unavailable"
        again = await begin(client)
        await say(client, again["stream"], said + silence(900))
        final = await client.next("transcript.final", recording_id=again["recording_id"], seconds=25)
        assert "open the window" in final["text"].lower() or not MOONSHINE_INSTALLED
        assert (await client.ask("audio.stop", recording_id=again["recording_id"]))["type"] == "ok"
        await client.next("audio.closed", recording_id=again["recording_id"])
        [row] = stack.sql("SELECT status, reason FROM chat_recording WHERE id = %s", recording)
        assert (row["status"], row["reason"]) == ("failed", "worker_lost")
        assert stack.sql("SELECT 1 FROM chat_recording WHERE finished_at IS NULL") == []
        await client.close()
    victim.restart()


async def test_v2_a_worker_killed_in_the_middle_of_what_it_says(
    system: tuple[Stack, FakeOpenAI], speech: FakeSpeech
) -> None:
    """Another worker says the sentence; the listener gets each sample once."""
    stack, _ = system
    sentence = "This sentence is long enough to be interrupted in its middle, whatever happens."
    async with session(stack.url) as alice:
        client = await alice.connect()
        accepted = await client.say(f'Speak [[text="{sentence}"]]')
        message = (await client.ended(accepted["run_id"]))["message_id"]
        speech.delay = 0.15  # 0.1 s of audio each
        started = await client.ask("tts.start", message_id=message)
        speech_id = uuid.UUID(started["speech_id"])
        await client.ask("tts.say", speech_id=str(speech_id), number=0, text=sentence)
        await client.until(lambda: len(client.audio) >= 3, "audio")
        victim = stack.workers[await asyncio.to_thread(owner_of, stack, f"speech:{speech_id.hex}:0:claim")]
        victim.kill(signal.SIGKILL)
        victim.wait()
        speech.delay = 0.0
        end = await client.next("tts.sentence", speech_id=str(speech_id), seconds=25)
        pcm = b"".join(data[HEADER.size :] for data in client.audio)
        assert pcm == spoken(sentence)
        assert end["ms"] == len(pcm) // 48
        assert not [frame for frame in client.frames if frame["type"] == "tts.closed"]
        await client.close()
    victim.restart()


async def test_v3_a_web_process_that_goes_while_somebody_speaks(system: tuple[Stack, FakeOpenAI]) -> None:
    """What was said until then is transcribed, and the next recording can begin at once at the other one."""
    stack, _ = system
    async with session(stack.webs[1].url) as alice:
        client = await alice.connect(at=stack.webs[0].url)
        started = await begin(client)
        await say(client, started["stream"], silence(300) + speak(SENTENCE))
        stack.webs[0].stop()
        await client.closed(20)
        other = await alice.connect(at=stack.webs[1].url)

        async def begin_again() -> dict[str, Any]:
            while True:
                reply = await other.ask("audio.start", conversation_id=None, client_id=str(uuid.uuid4()), **AUDIO)
                if reply.get("code") != "busy":
                    return reply
                await asyncio.sleep(0.1)

        async with asyncio.timeout(10):
            again = await begin_again()
        assert again["type"] == "audio.started"
        query = "SELECT text FROM chat_utterance WHERE recording_id = %s AND text <> ''"
        await poll(lambda: stack.sql(query, started["recording_id"]), "the transcript of what was said")
        await other.ask("audio.cancel", recording_id=again["recording_id"])
        await other.next("audio.closed", recording_id=again["recording_id"])
        await poll(lambda: not stack.sql("SELECT 1 FROM chat_recording WHERE finished_at IS NULL"), "an end of all")
        await other.close()
    stack.webs[0].start()
    await asyncio.to_thread(stack.webs[0].await_ready)
