"""What people are told of each other over real sockets: read positions, marks; and how a removed person loses access.

Two web processes: Alice is at the first, Bob at the second.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.client import Client, Session, session
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")


@pytest.fixture
async def alice(stack: Stack) -> AsyncIterator[Session]:
    async with session(stack.url) as logged_in:
        yield logged_in


@pytest.fixture
async def bob(stack: Stack) -> AsyncIterator[Session]:
    async with session(stack.url, "bob@example.org") as logged_in:
        yield logged_in


async def begin(alice: Session, client: Client, text: str = "Hello [[tokens=3]]", *, invite: bool = True) -> str:
    """A conversation of Alice's with an answer, in which Bob is an editor."""
    accepted = await client.say(text)
    await client.ended(accepted["run_id"])
    conversation = str(accepted["conversation_id"])
    if invite:
        answer = await alice.post(f"/c/{conversation}/members/add/", {"email": "bob@example.org", "role": "editor"})
        assert answer.status == 200, await answer.text()
    return conversation


def in_order(client: Client, conversation: str) -> list[str]:
    """The ids of the messages, oldest first: ids made within a millisecond are in no order."""
    return sorted(client.views[conversation].messages, key=lambda one: created(client, conversation, one))


def created(client: Client, conversation: str, message: str) -> str:
    return str(client.views[conversation].messages[message]["created_at"])


def newest(client: Client, conversation: str) -> str:
    return in_order(client, conversation)[-1]


async def subscribe(client: Client, conversation: str) -> None:
    assert (await client.ask("subscribe", conversation_id=conversation))["type"] == "subscribed"


def member_row(stack: Stack, conversation: str, name: str) -> dict[str, Any]:
    query = """
    SELECT m.seen_message_id, m.seen_until, m.user_id FROM chat_member m JOIN accounts_user u ON u.id = m.user_id
    WHERE m.conversation_id = %s AND u.email = %s
    """
    return stack.sql(query, conversation, f"{name}@example.org")[0]


async def test_positions_are_shown_to_others_and_all_devices_agree(stack: Stack, alice: Session, bob: Session) -> None:
    hers, his, phone = await alice.connect(), await bob.connect(at=stack.webs[1].url), await bob.connect()
    conversation = await begin(alice, hers)
    await subscribe(his, conversation)
    await hers.next("presence")
    accepted = await hers.say("And now? [[tokens=2]]", conversation)
    await his.ended(accepted["run_id"])
    await phone.next("unread", conversation_id=conversation, count=2, running=False)
    last = newest(his, conversation)
    await his.send("seen", conversation_id=conversation, message_id=last)
    told = await hers.next("seen", conversation_id=conversation)
    assert (told["user"]["name"], told["message_id"]) == ("Bob", last)
    await phone.next("unread", conversation_id=conversation, count=0)
    assert str(member_row(stack, conversation, "bob")["seen_message_id"]) == last
    # Backwards: nothing happens. Of nowhere: the command is refused.
    first = in_order(his, conversation)[0]
    frames = len(hers.frames)
    await his.send("seen", conversation_id=conversation, message_id=first)
    refused = await his.ask("seen", conversation_id=conversation, message_id=str(uuid.uuid4()))
    assert refused["code"] == "not_found"
    elsewhere = await begin(alice, hers, "Elsewhere [[tokens=2]]", invite=False)
    assert (await his.ask("seen", conversation_id=elsewhere, message_id=last))["code"] == "not_found"
    foreign = newest(hers, elsewhere)
    assert (await his.ask("seen", conversation_id=conversation, message_id=foreign))["code"] == "not_found"
    assert str(member_row(stack, conversation, "bob")["seen_message_id"]) == last
    assert not [frame for frame in hers.frames[frames:] if frame["type"] == "seen"]
    for client in (hers, his, phone):
        await client.close()


async def test_a_flood_of_positions_is_written_now_and_then(stack: Stack, alice: Session, bob: Session) -> None:
    hers, his = await alice.connect(), await bob.connect(at=stack.webs[1].url)
    conversation = await begin(alice, hers)
    await subscribe(his, conversation)
    await hers.next("presence")
    known = in_order(his, conversation)
    began = time.monotonic()
    for number in range(25):
        await his.send("seen", conversation_id=conversation, message_id=known[number % 2])
    await his.send("seen", conversation_id=conversation, message_id=known[-1])
    await his.until(
        lambda: any(frame["type"] == "unread" and frame["count"] == 0 for frame in his.frames), "a mark of his own"
    )
    told = [frame for frame in hers.frames if frame["type"] == "seen"]
    assert len(told) <= 2 + (time.monotonic() - began), "at most one a second"
    await his.close()
    await hers.close()


async def test_signs_of_typing_are_bounded(stack: Stack, alice: Session, bob: Session) -> None:
    hers, his = await alice.connect(), await bob.connect(at=stack.webs[1].url)
    conversation = await begin(alice, hers)
    await subscribe(his, conversation)
    await hers.next("presence")
    began = time.monotonic()
    for _ in range(25):
        await his.send("typing", conversation_id=conversation)
    await hers.next("typing")
    await his.ask("ping")
    told = [frame for frame in hers.frames if frame["type"] == "typing"]
    assert len(told) <= 2 + (time.monotonic() - began)
    await hers.close()
    await his.close()


async def test_a_removed_person_hears_nothing_more_on_any_server(stack: Stack, alice: Session, bob: Session) -> None:
    hers = await alice.connect()
    conversation = await begin(alice, hers)
    other = await begin(alice, hers, "Another [[tokens=2]]")
    his = [await bob.connect(), await bob.connect(at=stack.webs[1].url), await bob.connect(at=stack.webs[1].url)]
    for client in his:
        await subscribe(client, conversation)
    await subscribe(his[2], other)  # this one goes on
    bob_id = member_row(stack, conversation, "bob")["user_id"]
    accepted = await hers.say("A secret [[tokens=400 rate=100]]", conversation)
    for client in his:
        await client.shows(accepted["run_id"], 5)
    answer = await alice.post(f"/c/{conversation}/members/{bob_id}/remove/")
    assert answer.status == 200
    assert [await client.closed() for client in his[:2]] == [4403, 4403]
    listed = await his[2].next("conversation.listed", conversation_id=conversation, deleted=True)
    assert listed["removed"] is True
    await hers.ended(accepted["run_id"])
    later = his[2].frames[his[2].frames.index(listed) :]
    assert not [frame for frame in later if frame.get("conversation_id") == conversation and "seq" in frame]
    assert (await his[2].ask("typing", conversation_id=conversation))["code"] == "not_found"
    last = newest(hers, conversation)
    assert (await his[2].ask("seen", conversation_id=conversation, message_id=last))["code"] == "not_found"
    assert (await his[2].ask("subscribe", conversation_id=conversation))["code"] == "not_found"
    async with bob.http.get(f"{stack.webs[1].url}/c/{conversation}/export/?as=json") as response:
        assert response.status == 404
    await his[2].close()
    await hers.close()
