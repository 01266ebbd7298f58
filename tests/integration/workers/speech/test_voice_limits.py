"""What a recording may not do, and lost workers and decoders: through real processes."""

from __future__ import annotations

import asyncio
import uuid

import psutil

from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_recognisers import Recogniser, needs_pocketsphinx
from tests.fakes.asr_speech import silence, speak, utterance
from tests.integration.workers.speech.recordings import HEADER, recording, start, user
from tests.integration.workers.speech.recordings import asr as asr  # a fixture
from tests.integration.workers.speech.recordings import stack as stack  # a fixture
from tests.integration.workers.speech.recordings import system as system  # a fixture
from tests.integration.workers.speech.recordings import upstream as upstream  # a fixture
from tests.stack import Stack

FIRST, SECOND = SENTENCES


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
        assert "does not know that language" in refused["message"]
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
