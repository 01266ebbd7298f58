"""A notice that ends access and could not be sent is followed by a request to check, as soon as one can be sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from channels.layers import get_channel_layer
from structlog.testing import capture_logs

from accounts.auth import later_checks, revocation
from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations import removal
from chat.models import Member
from chat.protocol.close_codes import Close
from tests.integration.chat.realtime.test_rechecking import log_in
from tests.integration.chat.realtime.test_subscription_limit import Socket, follow, layer, own_conversations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", layer.__name__)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (removal, revocation, later_checks):
        monkeypatch.setattr(module, "SEND_SECONDS", 0.1)
    monkeypatch.setattr(later_checks, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(later_checks, "MOST_SECONDS", 0.1)


class Outage:
    """A channel layer that hangs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tries = 0
        self.over = False
        self.send = get_channel_layer().group_send
        monkeypatch.setattr(get_channel_layer(), "group_send", self.group_send)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.tries += 1
        if not self.over:
            await asyncio.Event().wait()
        await self.send(group, message)


@pytest.fixture
async def socket(alice: User) -> AsyncGenerator[Socket]:
    """Alice's, which follows a conversation."""
    session = await in_db(log_in, alice)
    opened = Socket(alice, session.hash)
    await opened.until("hello")
    await follow(opened, await in_db(own_conversations, alice, 1))
    yield opened
    await opened.close()


async def tried(outage: Outage, times: int) -> None:
    async with asyncio.timeout(20):
        while outage.tries < times:
            await asyncio.sleep(0.02)


async def test_a_removal_reaches_the_socket_after_the_outage(socket: Socket, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = Outage(monkeypatch)
    with capture_logs() as lines:
        await in_db(lambda: Member.objects.get().delete())
    assert "removal_not_published" in [line["event"] for line in lines]
    await tried(outage, 4)
    assert socket.open
    outage.over = True
    assert await socket.closed() == Close.ACCESS_REMOVED


async def test_who_is_a_member_again_by_then_stays(
    socket: Socket, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(monkeypatch)
    member = await in_db(Member.objects.get)
    await in_db(lambda: Member.objects.get().delete())
    await in_db(Member.objects.create, conversation_id=member.conversation_id, user=alice, role=member.role)
    await tried(outage, 3)
    outage.over = True
    count = outage.tries
    await tried(outage, count + 1)
    await asyncio.sleep(0.5)
    assert socket.open


async def test_the_end_of_a_session_reaches_its_sockets(
    socket: Socket, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(monkeypatch)
    await in_db(revocation.end_all_sessions, alice)
    await tried(outage, 3)
    assert socket.open
    outage.over = True
    assert await socket.closed() == Close.SESSION_ENDED


async def test_it_is_given_up_when_sockets_have_checked_by_themselves(
    socket: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later_checks, "GIVE_UP_SECONDS", 0.5)
    Outage(monkeypatch)
    with capture_logs() as lines:
        await in_db(lambda: Member.objects.get().delete())
        async with asyncio.timeout(20):
            while "access_checks_given_up" not in [line["event"] for line in lines]:
                await asyncio.sleep(0.05)
    assert later_checks._later._thread is None
