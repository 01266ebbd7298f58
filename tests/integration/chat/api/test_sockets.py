"""A token opens `chat.v1`: by a ticket, in nobody else's name, and for no longer than it works."""

from __future__ import annotations

import asyncio
import uuid

import aiohttp
import httpx
import pytest

from tests.client import Client
from tests.fixtures.api_tokens import add_token
from tests.stack import Stack

pytestmark = pytest.mark.integration
SOCKET = ("conversations",)


def ticket_of(stack: Stack, token: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.post(f"{stack.webs[0].url}/api/v1/ticket", headers=headers, trust_env=False)


async def opened(stack: Stack, http: aiohttp.ClientSession, ticket: str, **headers: str) -> Client:
    ws = await http.ws_connect(
        stack.webs[0].url.replace("http", "ws", 1) + "/ws/", protocols=("chat.v1", f"ticket.{ticket}"), headers=headers
    )
    client = Client(ws)
    await client.next("hello")
    return client


async def test_it_writes_in_a_conversation_and_ends_with_its_token(stack: Stack) -> None:
    email = stack.add_user("Socket")
    token = add_token(stack, email, SOCKET)
    async with aiohttp.ClientSession() as http:
        client = await opened(stack, http, ticket_of(stack, token).json()["ticket"])
        await client.send("message.send", conversation_id=None, client_id=str(uuid.uuid4()), text="by a program")
        accepted = await client.next("message.accepted")
        (member,) = stack.sql(
            "SELECT u.email FROM chat_member m JOIN accounts_user u ON u.id = m.user_id WHERE m.conversation_id = %s",
            uuid.UUID(accepted["conversation_id"]),
        )
        assert member["email"] == email
        await asyncio.to_thread(stack.manage, "api_tokens", "revoke", token.split("_")[1])
        assert await client.closed(2) == 4401
        assert ticket_of(stack, token).status_code == 401


async def test_a_client_that_is_busy_learns_why_its_socket_has_ended(stack: Stack) -> None:
    """It takes what has come only later. Before, the connection was reset after a second, and it saw 1006."""
    token = add_token(stack, stack.add_user("Busy"), SOCKET)
    async with aiohttp.ClientSession() as http:
        ticket = ticket_of(stack, token).json()["ticket"]
        ws = await http.ws_connect(
            stack.webs[0].url.replace("http", "ws", 1) + "/ws/", protocols=("chat.v1", f"ticket.{ticket}")
        )
        await ws.receive()  # hello
        await asyncio.to_thread(stack.manage, "api_tokens", "revoke", token.split("_")[1])
        await asyncio.sleep(3)  # other work: 2 s until the server closes at the latest, and a second
        while not ws.closed:
            await ws.receive()
        assert ws.close_code == 4401


async def test_what_opens_no_socket(stack: Stack) -> None:
    assert ticket_of(stack, add_token(stack, scopes=["models.read", "chat"])).status_code == 403
    assert ticket_of(stack).status_code == 401
    good = add_token(stack, scopes=SOCKET)
    async with aiohttp.ClientSession() as http:
        ticket = ticket_of(stack, good).json()["ticket"]
        await (await opened(stack, http, ticket)).close()
        refused = [
            (ticket, {}),  # used already
            ("x" * 43, {}),
            (ticket_of(stack, good).json()["ticket"], {"Origin": stack.webs[0].url}),  # a page's script
            (ticket_of(stack, good).json()["ticket"], {"Cookie": "sessionid=x"}),
        ]
        for one, headers in refused:
            with pytest.raises(aiohttp.WSServerHandshakeError) as told:
                await opened(stack, http, one, **headers)
            assert told.value.status == 403


async def test_what_a_socket_asks_counts_for_its_token(stack: Stack) -> None:
    email = stack.add_user("Counted")
    token = add_token(stack, email, SOCKET, daily_requests=3)

    def counted() -> int:
        [row] = stack.sql("SELECT day_count FROM accounts_apitoken WHERE prefix = %s", token.split("_")[1])
        return int(row["day_count"])

    async with aiohttp.ClientSession() as http:
        client = await opened(stack, http, ticket_of(stack, token).json()["ticket"])

        async def send(ref: str, **fields: object) -> None:
            await client.send("message.send", ref=ref, client_id=str(uuid.uuid4()), text="hello", **fields)

        await send("1", conversation_id=None)
        accepted = await client.next("message.accepted", ref="1")
        assert counted() == 1
        await send("2", conversation_id=accepted["conversation_id"], ask=False)  # asks nobody
        await client.next("message.accepted", ref="2")
        assert counted() == 1
        await send("3", conversation_id=None, models=["small", "large"])  # two answers
        await client.next("message.accepted", ref="3")
        assert counted() == 3
        await send("4", conversation_id=None)
        refused = await client.next("error", ref="4")
        assert refused["code"] == "quota_exceeded"
        assert 0 < refused["retry_after"] <= 86_400
        assert counted() == 3
