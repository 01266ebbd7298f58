"""What one task does for all sockets of a process: their sessions and memberships are looked at together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import OperationalError, transaction

from accounts.auth.api_tokens import create_token, token_hash
from accounts.auth.sessions import still_valid_of
from accounts.lib.db import in_db
from accounts.models import Session, TokenScope, User
from chat.conversations.membership import memberships, open_conversations
from chat.models import Member
from chat.protocol.close_codes import Close
from chat.realtime import upkeep
from tests.integration.chat.realtime.test_rechecking import log_in
from tests.integration.chat.realtime.test_subscription_limit import Socket, follow, layer, own_conversations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", layer.__name__)]


async def test_many_sockets_are_looked_at_in_one_query(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """After a restart of Redis every socket is, at the same time."""
    settings.RATE_CONNECTIONS_PER_USER = settings.RATE_CONNECTIONS_PER_ADDRESS = 0
    looked: list[int] = []
    look, away = upkeep._look, [OperationalError("PostgreSQL is away"), None]

    def count(asked: Sequence[Any], pairs: Sequence[Any]) -> Any:
        looked.append(len(asked))
        if error := away.pop(0) if away else None:
            raise error
        return look(asked, pairs)

    monkeypatch.setattr(upkeep, "_look", count)
    monkeypatch.setattr(upkeep, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(upkeep, "TICK_SECONDS", 0.1)
    theirs, his = await in_db(log_in, alice), await in_db(log_in, bob)
    [conversation, other] = await in_db(own_conversations, alice, 2)
    sockets = [Socket(alice, theirs.hash) for _ in range(6)]
    ended, removed = Socket(bob, his.hash), Socket(alice, theirs.hash)
    try:
        for socket in (*sockets, ended, removed):
            await socket.until("hello")
        await follow(sockets[0], [conversation])
        await follow(removed, [other])
        assert await in_db(Session.objects.filter(user=bob)._raw_delete, "default") == 1  # nobody is told
        assert await in_db(Member.objects.filter(conversation=other)._raw_delete, "default") == 1
        for one in list(upkeep.upkeep()._due):
            upkeep.upkeep().check_soon(one)
        assert await ended.closed() == Close.SESSION_ENDED
        assert await removed.closed() == Close.ACCESS_REMOVED
        assert looked[:2] == [8, 8], "and once more, as soon as PostgreSQL is back"
        assert all(socket.open for socket in sockets)
    finally:
        await asyncio.gather(*(socket.close() for socket in (*sockets, ended, removed)))


@pytest.mark.parametrize("prepared", [True, False])
def test_what_is_asked_for_many_is_told_of_each(alice: User, bob: User, *, prepared: bool) -> None:
    with contextlib.nullcontext() if prepared else transaction.atomic():  # within a transaction nothing is prepared
        one, two = own_conversations(alice, 2)
        Member.objects.create(conversation_id=two, user=bob, role="viewer")
        asked = [(alice.pk, one), (bob.pk, one), (bob.pk, two), (alice.pk, two)]
        found = open_conversations(asked)
        assert [opened and opened.shared for opened in found] == [False, None, True, True]
        assert found[2] == (bob.display_name, True, None)
        assert memberships(asked) == {(alice.pk, one), (bob.pk, two), (alice.pk, two)}


def test_sockets_of_programs_are_looked_at_with_those_of_pages(alice: User) -> None:
    session = log_in(alice)
    token, _ = create_token(alice, "bot", [TokenScope.SOCKET.value], days=None)
    other, _ = create_token(alice, "no sockets", [TokenScope.CHAT.value], days=None)
    named = [token_hash(other.pk), session.hash, "of nobody", token_hash(token.pk)]
    assert still_valid_of([(alice.pk, hash_) for hash_ in named]) == {1, 3}
