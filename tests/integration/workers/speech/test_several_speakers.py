"""Several people speak in one conversation: each microphone is an author, and the transcript names them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from tests.client import Client, Session
from tests.fakes.asr_ears import SENTENCES
from tests.fakes.asr_speech import silence, speak, utterance
from tests.integration.workers.speech.recordings import asr as asr  # a fixture
from tests.integration.workers.speech.recordings import recording, start, user
from tests.integration.workers.speech.recordings import stack as stack  # a fixture
from tests.integration.workers.speech.recordings import system as system  # a fixture
from tests.stack import Stack

FIRST, SECOND = SENTENCES


async def shared(stack: Stack, alice: Session, bob: Session) -> tuple[Client, Client, str]:
    """A conversation of the two, which both follow."""
    client, other = await alice.connect(), await bob.connect()
    accepted = await client.say("Hello [[tokens=2]]")
    conversation: str = accepted["conversation_id"]
    await client.ended(accepted["run_id"])
    script = (
        "from accounts.models import User; from chat.models import Member; "
        f"Member.objects.create(conversation_id={conversation!r}, role='editor', "
        "user=User.objects.get(email='bob@example.org'))"
    )
    await asyncio.to_thread(stack.manage, "shell", "--no-imports", "-c", script)
    assert (await other.ask("subscribe", conversation_id=conversation))["type"] == "subscribed"
    return client, other, conversation


async def test_two_microphones_are_two_authors(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "bob") as bob:
        client, other, conversation = await shared(stack, alice, bob)
        mine = await recording(client, conversation, auto_send=True)
        theirs = await recording(other, conversation, auto_send=True)
        await asyncio.gather(mine.say(utterance(FIRST)), theirs.say(utterance(FIRST) + utterance(SECOND)))
        await asyncio.gather(mine.stop(), theirs.stop())
        for one in (client, other):
            finals = [frame for frame in one.frames if frame["type"] == "transcript.final"]
            told = sorted((frame["author"]["name"], frame["utterance"], frame["text"]) for frame in finals)
            assert told == [("Alice", 1, FIRST), ("Bob", 1, FIRST), ("Bob", 2, SECOND)]
            view = one.views[conversation]
            await one.until(partial(has_all, view), "all that was said")
            assert said(view)["Alice"] == ["Hello [[tokens=2]]", FIRST]
            assert " ".join(said(view)["Bob"]) == f"{FIRST} {SECOND}", "as one message or as two"
        rows = stack.sql(
            "SELECT u.email, t.text FROM chat_utterance t JOIN chat_recording r ON r.id = t.recording_id"
            " JOIN accounts_user u ON u.id = r.user_id JOIN chat_message m ON m.id = t.message_id"
            " WHERE r.conversation_id = %s AND m.author_id = r.user_id ORDER BY u.email, t.number",
            conversation,
        )
        assert [(row["email"][:3], row["text"]) for row in rows] == [("ali", FIRST), ("bob", FIRST), ("bob", SECOND)]
        await client.close()
        await other.close()


def has_all(view: Any) -> bool:
    return " ".join(said(view).get("Bob", [])).endswith(SECOND) and len(said(view)["Alice"]) == 2


def said(view: Any) -> dict[str, list[str]]:
    """What each person wrote or said, in order."""
    found: dict[str, list[str]] = {}
    for message in sorted(view.messages.values(), key=lambda one: one["created_at"]):
        if message["role"] == "user":
            found.setdefault(message["author"]["name"], []).append(message["text"])
    return found


async def test_a_draft_that_is_spoken_is_its_speaker_s(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "bob") as bob:
        client, other, conversation = await shared(stack, alice, bob)
        speaker = await recording(client, conversation, auto_send=False)
        await speaker.say(silence(200) + speak(FIRST) + silence(900))
        final = await client.next("transcript.final", recording_id=speaker.id)
        assert (final["text"], "seq" in final) == (FIRST, False)
        await speaker.stop()
        written = await client.say("Written afterwards [[tokens=2]]", conversation)
        await other.next("message.created", seconds=15)
        await other.ended(written["run_id"])
        assert [frame for frame in other.frames if frame["type"].startswith("transcript")] == []
        await client.close()
        await other.close()


async def test_others_see_that_somebody_speaks(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "bob") as bob:
        client, other, conversation = await shared(stack, alice, bob)
        await other.send("typing", conversation_id=conversation, speaking=True)
        sign = await client.next("typing")
        assert (sign["user"]["name"], sign["speaking"]) == ("Bob", True)
        await client.close()
        await other.close()


async def test_the_speaker_ends_a_recording_from_another_connection(stack: Stack) -> None:
    """As after a connection that was lost, perhaps with its web process: the last words come at once."""
    async with user(stack) as alice:
        lost, other = await alice.connect(), await alice.connect(at=stack.webs[1].url)
        speaker = await recording(lost)
        await speaker.say(silence(200) + speak(FIRST))
        assert (await other.ask("audio.cancel", recording_id=speaker.id))["code"] == "not_found"
        assert (await other.ask("audio.stop", recording_id=speaker.id))["type"] == "ok"
        final = await other.next("transcript.final", recording_id=speaker.id)
        assert final["text"] == FIRST
        assert (await lost.next("audio.closed", recording_id=speaker.id))["reason"] == "stopped"
        assert (await other.ask("audio.stop", recording_id=speaker.id))["code"] == "not_found"
        await (await recording(lost)).stop()
        for client in (lost, other):
            await client.close()


async def test_the_next_recording_can_begin_at_once(stack: Stack) -> None:
    """Two at once are allowed here. The worker may be busy with the end of the one before."""
    async with user(stack) as alice:
        tabs = [await alice.connect() for _ in range(3)]
        kept, closed = await recording(tabs[0]), await recording(tabs[1])
        refused = await start(tabs[2])
        assert (refused["type"], refused["code"]) == ("error", "busy")
        await closed.say(silence(200) + speak(FIRST))
        assert (await tabs[1].ask("audio.stop", recording_id=closed.id))["type"] == "ok"
        began = await recording(tabs[2])  # not even the rest of the sentence is waited for
        assert (await tabs[1].next("audio.closed", recording_id=closed.id))["reason"] == "stopped"
        assert [final["text"] for final in closed.seen("transcript.final")] == [FIRST]
        for speaker in (kept, began):
            await speaker.stop()
        assert stack.sql("SELECT 1 FROM chat_recording WHERE finished_at IS NULL") == []
        for tab in tabs:
            await tab.close()
