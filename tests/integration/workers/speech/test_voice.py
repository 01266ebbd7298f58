"""Voice input, end to end: real Daphne, Celery and Redis, and pocketsphinx with a grammar of the sentences spoken here.

Where pocketsphinx is not installed, the recogniser is the scripted server of `tests.fakes.asr_recognisers`.
"""

from __future__ import annotations

import asyncio
import wave

from tests.client import FEATURES
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_recognisers import Recogniser
from tests.fakes.asr_speech import silence, speak, utterance
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.workers.speech.recordings import FRAME_BYTES, recording, user
from tests.integration.workers.speech.recordings import asr as asr  # a fixture
from tests.integration.workers.speech.recordings import stack as stack  # a fixture
from tests.integration.workers.speech.recordings import system as system  # a fixture
from tests.integration.workers.speech.recordings import upstream as upstream  # a fixture
from tests.stack import Stack

FIRST, SECOND = SENTENCES


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
