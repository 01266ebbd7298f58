"""The rate limits of a conversation of several people."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from chat.protocol.commands import MessageRegenerate, MessageSend
from chat.realtime.rate_limits import limits_of

ALICE, BOB, SHARED = (uuid.UUID(int=n) for n in (1, 2, 3))


@pytest.fixture(autouse=True)
def _rates(settings: Any) -> None:
    settings.RATE_MESSAGES_PER_MEMBER = "3/m"
    settings.RATE_MESSAGES_PER_CONVERSATION = "9/m"


def names(user: uuid.UUID, conversation: uuid.UUID | None, *, shared: bool = True) -> set[str]:
    command = MessageSend(conversation_id=conversation, client_id=uuid.uuid4(), text="Hi")
    found = limits_of(command, user, "session", "", lambda one: shared and one == SHARED)
    return {limit.name for limit in found if ":member:" in limit.name or ":conversation:" in limit.name}


def test_each_member_has_a_limit_of_their_own_below_the_one_of_all() -> None:
    of_all = f"messages:conversation:{SHARED.hex}"
    assert names(ALICE, SHARED) == {of_all, f"messages:member:{SHARED.hex}:{ALICE.hex}"}
    assert names(BOB, SHARED) == {of_all, f"messages:member:{SHARED.hex}:{BOB.hex}"}


def test_none_for_one_person_or_for_somebody_who_is_not_in_it() -> None:
    assert names(ALICE, None) == names(ALICE, uuid.UUID(int=9)) == names(ALICE, SHARED, shared=False) == set()
    again = MessageRegenerate(message_id=uuid.uuid4(), client_id=uuid.uuid4())
    assert len(limits_of(again, ALICE, "session", "", lambda _: True)) == 2


def test_off(settings: Any) -> None:
    settings.RATE_MESSAGES_PER_MEMBER = settings.RATE_MESSAGES_PER_CONVERSATION = "off"
    assert names(ALICE, SHARED) == set()
