"""A socket looks by itself whether its session and its memberships are still there, in case no notification came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.lib.db import in_db
from accounts.models import Session, User
from chat.models import Member
from chat.protocol.close_codes import Close
from chat.realtime import upkeep
from tests.integration.chat.realtime.test_subscription_limit import Socket, follow, layer, own_conversations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", layer.__name__)]


def log_in(user: User) -> Session:
    Client().force_login(user)
    return Session.objects.get(user=user)


def taken(rows: type[Session] | type[Member]) -> int:
    """Deletes rows as a restored backup would: nobody is notified."""
    return int(rows._default_manager.all()._raw_delete("default"))


def expired(_: object) -> int:
    return Session.objects.update(expire_date="2020-01-01T00:00Z")


def disabled(_: object) -> int:
    return User.objects.update(is_active=False)


ENDS: dict[str, tuple[Callable[..., int], object, Close]] = {
    "its session is gone": (taken, Session, Close.SESSION_ENDED),
    "its session has expired": (expired, None, Close.SESSION_ENDED),
    "its account is disabled": (disabled, None, Close.SESSION_ENDED),
    "its membership is gone": (taken, Member, Close.ACCESS_REMOVED),
}


@pytest.mark.parametrize(("end", "of", "code"), ENDS.values(), ids=ENDS.keys())
async def test_it_is_closed_without_a_notification(
    alice: User, monkeypatch: pytest.MonkeyPatch, end: Callable[..., int], of: object, code: Close
) -> None:
    monkeypatch.setattr(upkeep, "CHECK_SECONDS", 0.3)
    monkeypatch.setattr(upkeep, "TICK_SECONDS", 0.1)
    session = await in_db(log_in, alice)
    [conversation] = await in_db(own_conversations, alice, 1)
    socket = Socket(alice, session.hash)
    try:
        await socket.until("hello")
        await follow(socket, [conversation])
        await asyncio.sleep(1)
        assert socket.open, "it looks several times, and all is well"
        assert await in_db(end, of) == 1
        assert await socket.closed() == code
    finally:
        await socket.close()
