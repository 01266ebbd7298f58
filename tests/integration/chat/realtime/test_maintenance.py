"""Maintenance mode on sockets and the APIs of a running site: within two seconds, in every process."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.client import session
from tests.fixtures.api_tokens import add_token
from tests.integration.chat.api.rest_client import rest_with
from tests.stack import Stack

pytestmark = pytest.mark.integration
TEXT = "Back at 14:00 UTC."


@pytest.fixture
def maintenance(stack: Stack) -> Iterator[None]:
    stack.manage("maintenance", "on", "--text", TEXT)
    await_all(stack, on=True)
    yield
    end_maintenance(stack)


def end_maintenance(stack: Stack) -> None:
    """Ends it in every process: other tests use the same ones."""
    stack.manage("maintenance", "off", "--text", "")
    await_all(stack, on=False)


def await_all(stack: Stack, *, on: bool) -> None:
    """Waits until each web process knows."""
    for web in stack.webs:
        for _ in range(100):
            if (TEXT in httpx.get(f"{web.url}/accounts/login/").text) is on:
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"{web.name} does not know that maintenance mode is {'on' if on else 'off'}")


async def test_sockets_read_and_do_not_write(stack: Stack) -> None:
    async with session(stack.url) as alice:
        client = await alice.connect()
        send = {"conversation_id": None, "client_id": str(uuid.uuid4()), "text": "hello"}
        try:
            stack.manage("maintenance", "on", "--text", TEXT)
            banner = (await client.next("site.banner"))["banner"]
            assert (banner["text"], banner["maintenance"], banner["kind"]) == (TEXT, True, "warning")
            await client.send("message.send", ref="1", **send)
            refused = await client.next("error", ref="1")
            assert (refused["code"], refused["message"]) == ("maintenance", TEXT)
            await asyncio.to_thread(await_all, stack, on=True)  # the second process learns up to two seconds later
            later = await alice.connect(at=stack.webs[1].url)
            await later.send("message.send", ref="2", **send)
            assert (await later.next("error", ref="2"))["code"] == "maintenance"
        finally:
            await asyncio.to_thread(end_maintenance, stack)
        await client.next("site.banner", banner=None)
        await client.send("message.send", ref="3", **send)
        accepted = await client.next("message.accepted", ref="3")
        await client.send("run.stop", ref="4", run_id=accepted["run_id"])
        await client.next("ok", ref="4")


@pytest.mark.usefixtures("maintenance")
async def test_programs(stack: Stack) -> None:
    with rest_with(stack, add_token(stack, scopes=["conversations", "chat"])) as client:
        assert client.get("conversations").status_code == 200
        refused = client.post("conversations", json={"text": "hello", "model": "small"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "maintenance")
        assert refused.json()["error"]["message"] == TEXT
        assert refused.headers["Retry-After"] == "60"
        asked = client.post(f"{stack.webs[0].url}/v1/chat/completions", json={"model": "small", "messages": []})
        assert (asked.status_code, asked.json()["error"]["code"]) == (503, "maintenance")
        assert client.post("ticket").status_code == 200


@pytest.mark.usefixtures("maintenance")
async def test_staff_go_on(stack: Stack) -> None:
    email = stack.add_user("Keeper", is_staff=True)
    async with session(stack.url, email, fresh=True) as keeper:
        client = await keeper.connect()
        await client.send("message.send", ref="1", conversation_id=None, client_id=str(uuid.uuid4()), text="hello")
        await client.next("message.accepted", ref="1")
