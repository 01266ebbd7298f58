"""Voice input, end to end: real Daphne, Celery and Redis, and pocketsphinx with a grammar of the sentences spoken here.

Where pocketsphinx is not installed, the recogniser is the scripted server of `tests.fakes.asr_recognisers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import uuid
import wave
from collections.abc import AsyncGenerator, Generator
from typing import Any

import psutil
import pytest

from tests.client import FEATURES, Client, Session, session
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_recognisers import Recogniser, needs_pocketsphinx, recogniser
from tests.fakes.asr_speech import BYTES_PER_MS, frames, silence, speak, utterance
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import stack_with_model
from tests.stack import Stack

FIRST, SECOND = SENTENCES
FRAME_BYTES = 100 * BYTES_PER_MS
HEADER = struct.Struct("!BBHI")


@pytest.fixture(scope="module")
def asr(tmp_path_factory: pytest.TempPathFactory) -> Generator[Recogniser]:
    with recogniser(tmp_path_factory.mktemp("grammar")) as chosen:
        yield chosen


@pytest.fixture(scope="module")
def system(asr: Recogniser) -> Generator[tuple[Stack, FakeOpenAI]]:
    env = {"CHAT_MODELS": "small", **asr.env, "RECORDINGS_PER_USER": "2", "RECORDINGS_AT_ONCE": "3"}
    with stack_with_model(web=2, workers=1, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def stack(system: tuple[Stack, FakeOpenAI]) -> Stack:
    return system[0]


@pytest.fixture(scope="module")
def upstream(system: tuple[Stack, FakeOpenAI]) -> FakeOpenAI:
    return system[1]


@contextlib.asynccontextmanager
async def user(stack: Stack, name: str = "alice") -> AsyncGenerator[Session]:
    async with session(stack.url, f"{name}@example.org") as logged_in:
        yield logged_in


class Speaker:
    """A recording of a client."""

    def __init__(self, client: Client, started: dict[str, Any]) -> None:
        self.client = client
        self.id: str = started["recording_id"]
        self.stream: int = started["stream"]
        self.number = 0

    async def frame(self, pcm: bytes, *, number: int | None = None, kind: int = 1, flags: int = 0) -> None:
        if number is None:
            number = self.number
        self.number = number + 1
        await self.client.ws.send_bytes(HEADER.pack(kind, flags, self.stream, number) + pcm)

    async def say(self, pcm: bytes, *, speed: float = 1.4) -> None:
        """At nearly the pace that is allowed."""
        for chunk in frames(pcm):
            await self.frame(chunk.ljust(FRAME_BYTES, b"\0"))
            await asyncio.sleep(len(chunk) / BYTES_PER_MS / 1000 / speed)

    async def stop(self, how: str = "stop") -> dict[str, Any]:
        reply = await self.client.ask(f"audio.{how}", recording_id=self.id)
        assert reply["type"] == "ok", reply
        return await self.client.next("audio.closed", recording_id=self.id)

    def seen(self, kind: str) -> list[dict[str, Any]]:
        return [f for f in self.client.frames if f["type"] == kind and f.get("recording_id") == self.id]


async def start(client: Client, conversation_id: str | None = None, **fields: Any) -> dict[str, Any]:
    options = {"encoding": "pcm_s16le", "sample_rate": 16000, "mode": "auto", "auto_send": False, **fields}
    options.setdefault("client_id", str(uuid.uuid4()))
    return await client.ask("audio.start", conversation_id=conversation_id, **options)


async def recording(client: Client, conversation_id: str | None = None, **fields: Any) -> Speaker:
    started = await start(client, conversation_id, **fields)
    assert started["type"] == "audio.started", started
    return Speaker(client, started)


async def test_words_form_and_the_final_is_kept(stack: Stack, asr: Recogniser) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        assert client.frames[0]["features"] == [*FEATURES, "voice"]
        speaker = await recording(client)
        started = client.frames[-1]
        assert (started["backend"], started["language"]) == (asr.backend, "en")
        assert started["limits"] == {
            "max_utterance_ms": 30_000,
            "max_recording_ms": 600_000,
            "frame_ms": 100,
            "kept_days": 0,
        }
        await speaker.say(utterance(FIRST) + utterance(SECOND))
        closed = await speaker.stop()
        assert closed["reason"] == "stopped"
        finals = speaker.seen("transcript.final")
        assert [(final["utterance"], final["text"]) for final in finals] == [(1, FIRST), (2, SECOND)]
        kinds = [frame["type"] for frame in client.frames if frame.get("recording_id") == speaker.id]
        assert kinds[0] == "audio.started"
        assert kinds[1] == "speech.started"
        assert kinds.index("transcript.partial") < kinds.index("speech.stopped") < kinds.index("transcript.final")
        partials = [p for p in speaker.seen("transcript.partial") if p["utterance"] == 1]
        assert [p["rev"] for p in partials] == sorted({p["rev"] for p in partials})
        assert all(0 <= p["stable_chars"] <= len(p["text"]) for p in partials)
        [row] = stack.sql("SELECT * FROM chat_recording WHERE id = %s", speaker.id)
        assert (row["status"], row["reason"], row["backend"]) == ("done", "stopped", asr.backend)
        assert row["audio_ms"] == closed["audio_ms"] == 100 * speaker.number
        rows = stack.sql("SELECT number, text FROM chat_utterance WHERE recording_id = %s ORDER BY number", speaker.id)
        assert [(r["number"], r["text"]) for r in rows] == [(1, FIRST), (2, SECOND)]
        await client.close()


async def test_what_was_said_is_kept_where_the_plan_says_so(stack: Stack) -> None:
    [plan] = stack.sql(
        "INSERT INTO accounts_plan (name, time_zone, is_default, unwatched_runs, audio_days) "
        "VALUES ('keeps', 'UTC', false, '', 7) RETURNING id"
    )
    stack.sql("UPDATE accounts_user SET plan_id = %s WHERE email = 'bob@example.org'", plan["id"])
    async with user(stack, "bob") as bob:
        client = await bob.connect()
        speaker = await recording(client)
        assert client.frames[-1]["limits"]["kept_days"] == 7
        said = silence(300) + speak(FIRST)
        said += bytes(-len(said) % FRAME_BYTES)
        await speaker.say(said)
        await speaker.stop()
        cancelled = await recording(client)
        await cancelled.say(silence(200))
        await cancelled.stop("cancel")
        await client.close()

    def kept() -> str:
        return str(stack.sql("SELECT audio FROM chat_recording WHERE id = %s", speaker.id)[0]["audio"])

    async with asyncio.timeout(10):
        while not await asyncio.to_thread(kept):
            await asyncio.sleep(0.05)
    with wave.open(str(stack.folder / "var" / "media" / kept())) as file:
        assert file.readframes(file.getnframes()) == said
    assert stack.sql("SELECT audio FROM chat_recording WHERE id = %s", cancelled.id) == [{"audio": ""}]


async def test_spoken_and_answered(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        speaker = await recording(client, auto_send=True)
        await speaker.say(utterance(FIRST))
        accepted = await client.next("message.accepted", recording_id=speaker.id)
        run = await client.ended(accepted["run_id"])
        assert run["ended"] == "run.done"
        view = client.views[accepted["conversation_id"]]
        assert view.messages[accepted["message_id"]]["text"] == FIRST
        await speaker.say(utterance(SECOND))
        final = await client.next("transcript.final", utterance=2)
        assert final["seq"] > 0, "the conversation's log has it, now that there is one"
        await speaker.stop()
        await client.until(
            lambda: [m["text"] for m in view.messages.values() if m["role"] == "user"] == [FIRST, SECOND], "both"
        )
        rows = stack.sql("SELECT message_id FROM chat_utterance WHERE recording_id = %s ORDER BY number", speaker.id)
        assert str(rows[0]["message_id"]) == accepted["message_id"]
        assert rows[1]["message_id"] is not None
        await client.close()


async def test_what_is_said_while_an_answer_is_written_is_sent_after_it(stack: Stack, upstream: FakeOpenAI) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        speaker = await recording(client, auto_send=True)
        await speaker.say(utterance(FIRST))
        accepted = await client.next("message.accepted", recording_id=speaker.id)
        await client.ended(accepted["run_id"])
        slow = await client.say("Take your time [[tokens=250 rate=50]]", accepted["conversation_id"])
        await client.next("run.delta", run_id=slow["run_id"])
        await speaker.say(utterance(SECOND) + utterance(FIRST))
        await speaker.stop()
        said = [f for f in client.frames if f["type"] == "message.created" and f["message"]["role"] == "user"]
        assert said[-1]["message"]["text"] == f"{SECOND} {FIRST}", "one message, in the order it was said"
        ended = next(f for f in client.frames if f["type"] == "run.done" and f["run_id"] == slow["run_id"])
        assert said[-1]["seq"] > ended["seq"]
        await client.close()


async def test_into_a_conversation_that_is_there(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        accepted = await client.say("Hello [[tokens=2]]")
        await client.ended(accepted["run_id"])
        speaker = await recording(client, accepted["conversation_id"])
        await speaker.say(silence(200) + speak(FIRST))
        assert (await client.ask("audio.flush", recording_id=speaker.id))["type"] == "ok"
        final = await client.next("transcript.final", recording_id=speaker.id)
        assert final["text"] == FIRST
        assert final["conversation_id"] == accepted["conversation_id"]
        assert final["seq"] > accepted["position"]["seq"]
        await speaker.stop()
        await client.close()


async def test_a_cancelled_recording_says_nothing_more(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        speaker = await recording(client, auto_send=True)
        await speaker.say(silence(200) + speak(FIRST))
        assert (await speaker.stop("cancel"))["reason"] == "cancelled"
        assert speaker.seen("transcript.final") == []
        assert stack.sql("SELECT 1 FROM chat_utterance WHERE recording_id = %s", speaker.id) == []
        again = await recording(client)
        await again.stop()
        await client.close()


async def test_a_cut_client_finds_its_finals_in_the_log(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        accepted = await client.say("Hello [[tokens=2]]")
        conversation = accepted["conversation_id"]
        await client.ended(accepted["run_id"])
        view = client.views[conversation]
        speaker = await recording(client, conversation)
        await speaker.say(silence(200) + speak(FIRST) + silence(200))
        await client.drop()
        again = await alice.connect(at=stack.webs[1].url)
        position = {"epoch": view.epoch, "seq": view.seq}
        again.views[conversation] = view
        assert (await again.ask("subscribe", conversation_id=conversation, position=position))["recovered"]
        final = await again.next("transcript.final", recording_id=speaker.id)
        assert final["text"] == FIRST
        assert stack.sql("SELECT text FROM chat_utterance WHERE recording_id = %s", speaker.id) == [{"text": FIRST}]
        await again.close()


async def test_bad_frames_are_answered_and_the_recording_goes_on(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        await client.ws.send_bytes(HEADER.pack(1, 0, 0, 0) + silence(100))
        assert (await client.next("error"))["code"] == "invalid"
        speaker = await recording(client)
        await speaker.say(silence(300))
        for bad, code in (
            (HEADER.pack(1, 0, speaker.stream, 9) + bytes(641), "invalid"),  # odd
            (HEADER.pack(1, 0, speaker.stream, 9) + bytes(8_002), "too_large"),
            (HEADER.pack(1, 0, speaker.stream, 1) + silence(100), "invalid"),  # out of order
            (HEADER.pack(2, 0, speaker.stream, 9) + silence(100), "invalid"),  # another kind
            (HEADER.pack(1, 0, speaker.stream + 1, 9) + silence(100), "invalid"),  # another stream
            (b"\x01\x00", "invalid"),
        ):
            await client.ws.send_bytes(bad)
            assert (await client.next("error"))["code"] == code
        await speaker.frame(silence(100), number=speaker.number + 3)
        assert (await client.next("audio.warning"))["code"] == "audio_gap"
        await speaker.say(utterance(FIRST))
        closed = asyncio.ensure_future(client.next("audio.closed", recording_id=speaker.id))
        assert (await client.ask("audio.stop", recording_id=speaker.id))["type"] == "ok"
        await speaker.frame(silence(100))
        assert (await client.next("error"))["code"] == "invalid"
        await closed
        assert [final["text"] for final in speaker.seen("transcript.final")] == [FIRST]
        await client.close()


async def test_faster_than_speech_is_refused(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        speaker = await recording(client)
        for _ in range(60):
            await speaker.frame(silence(100))
        assert (await client.next("error"))["code"] == "rate_limited"
        closed = await speaker.stop()
        assert 3_000 <= closed["audio_ms"] <= 4_500
        await client.close()


async def test_a_recording_ends_where_the_quota_does(stack: Stack) -> None:
    async with user(stack, "mallory") as mallory:
        [row] = stack.sql("SELECT id FROM accounts_user WHERE email = 'mallory@example.org'")
        stack.sql(
            'INSERT INTO accounts_quota (user_id, model, unit, period, "limit", hard, starts_at)'
            " VALUES (%s, '', 'audio_seconds', 'day', 2.5, true, now()) RETURNING id",
            row["id"],
        )
        client = await mallory.connect()
        speaker = await recording(client)
        assert client.frames[-1]["limits"]["max_recording_ms"] == 2_500
        await speaker.say(silence(3_000))
        closed = await client.next("audio.closed", recording_id=speaker.id)
        assert (closed["reason"], closed["audio_ms"]) == ("quota_exceeded", 2_500)
        assert closed["message"] == "You have used up your quota of 2.5 seconds of speech today."
        again = await start(client)
        assert (again["code"], again["message"]) == ("quota_exceeded", closed["message"])
        [left] = stack.sql("SELECT used, reserved FROM accounts_allowance WHERE user_id = %s", row["id"])
        assert (left["used"], left["reserved"]) == (2.5, 0)
        await client.close()


async def test_one_recording_per_socket_and_some_per_server(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "bob") as bob:
        one, two, three = await alice.connect(), await alice.connect(), await alice.connect(at=stack.webs[1].url)
        speakers = [await recording(one), await recording(two)]
        assert (await start(one))["code"] == "busy"
        refused = await start(three)
        assert refused["code"] == "busy"
        assert "another device or tab" in refused["message"]
        his, hers = await bob.connect(), await bob.connect()
        speakers.append(await recording(his))
        full = await start(hers)
        assert (full["code"], full["retry_after"]) == ("busy", 10)
        for speaker in speakers:
            await speaker.stop()
        again = await recording(three)
        await again.stop()
        for client in (one, two, three, his, hers):
            await client.close()


async def test_not_in_somebody_elses_conversation(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "mallory") as mallory:
        client, outsider = await alice.connect(), await mallory.connect()
        accepted = await client.say("Hello [[tokens=2]]")
        assert (await start(outsider, accepted["conversation_id"]))["code"] == "not_found"
        assert (await start(outsider, None, sample_rate=44100))["code"] == "invalid"
        assert (await start(outsider, None, encoding="opus"))["code"] == "invalid"
        speaker = await recording(client)
        assert (await outsider.ask("audio.stop", recording_id=speaker.id))["code"] == "not_found"
        await speaker.stop()
        client_id = str(uuid.uuid4())
        await (await recording(client, client_id=client_id)).stop()
        assert (await start(client, client_id=client_id))["code"] == "conflict"
        await client.close()
        await outsider.close()


@needs_pocketsphinx
async def test_an_unknown_language_is_said_plainly(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        refused = await start(client, language="fr")
        assert refused["code"] == "asr_unavailable"
        assert "English only" in refused["message"]
        await (await recording(client, language="en-GB")).stop()
        await client.close()


async def test_a_lost_worker_is_told_and_frees_the_place(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        speaker = await recording(client)
        await speaker.say(silence(300) + speak(FIRST))
        stack.workers[0].kill()
        try:
            speaking = asyncio.create_task(speaker.say(silence(20_000), speed=1))
            closed = await client.next("audio.closed", recording_id=speaker.id, seconds=20)
            speaking.cancel()
            assert closed["reason"] == "worker_lost"
            error = await client.until(lambda: next((f for f in client.frames if f["type"] == "error"), None))
            assert error["code"] == "asr_unavailable"
            [row] = stack.sql("SELECT status, reason FROM chat_recording WHERE id = %s", speaker.id)
            assert row == {"status": "failed", "reason": "worker_lost"}
        finally:
            stack.workers[0].restart()
        again = await recording(client)
        await again.say(utterance(FIRST))
        await again.stop()
        assert [final["text"] for final in again.seen("transcript.final")] == [FIRST]
        await client.close()


def decoders(stack: Stack) -> list[psutil.Process]:
    """The processes forked for recordings: children of the worker's loaded one."""
    [loaded] = [p for p in psutil.Process(stack.workers[0].pid).children() if "sphinx_process" in " ".join(p.cmdline())]
    forked: list[psutil.Process] = loaded.children()
    return forked


async def test_a_killed_decoder_loses_nothing(stack: Stack, asr: Recogniser) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        speaker = await recording(client)
        spoken = speak(FIRST)
        half = len(spoken) // 64 * 32
        await speaker.say(silence(300) + spoken[:half])
        await client.next("speech.started", recording_id=speaker.id)
        if asr.transcriptions is None:
            [decoder] = decoders(stack)
            decoder.kill()
        else:
            asr.transcriptions.failures = 1
        await speaker.say(spoken[half:] + silence(900))
        await speaker.stop()
        assert [final["text"] for final in speaker.seen("transcript.final")] == [FIRST]
        assert [warning["code"] for warning in speaker.seen("audio.warning")] == ["backend_reconnected"]
        await client.close()


@needs_pocketsphinx
async def test_a_hung_decoder_loses_5_s_at_most_without_a_word(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        speaker = await recording(client)
        await speaker.say(silence(300) + speak(FIRST) + silence(900))
        await client.next("transcript.final", recording_id=speaker.id)
        [decoder] = decoders(stack)
        decoder.suspend()
        await speaker.say(speak(SECOND) + silence(7_500))
        decoder.resume()
        await speaker.say(utterance(FIRST))
        closed = await speaker.stop()
        lost = [warning["ms"] for warning in speaker.seen("audio.warning") if warning["code"] == "audio_dropped"]
        assert lost
        assert all(500 <= ms <= 6_000 for ms in lost)
        assert closed["audio_ms"] == 100 * speaker.number, "what was lost is counted as said"
        assert [final["text"] for final in speaker.seen("transcript.final")][-1] == FIRST
        await client.close()
