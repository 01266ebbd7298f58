"""A conversation that is shared, for the tests of links."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.models import User
from chat.models import Conversation, ShareLink
from chat.shares.links import Wanted, create_share
from chat.shares.reading import read_shared
from tests.fixtures.conversation_rows import make_conversation

CANARY = "kanarienvogel"


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return make_conversation(alice, messages=4)


def tip_of(conversation: Conversation) -> uuid.UUID:
    assert conversation.tip_id is not None
    return conversation.tip_id


def share(owner: User, conversation: Conversation, **wanted: Any) -> tuple[ShareLink, str]:
    return create_share(owner.pk, conversation.pk, Wanted(**wanted))


def texts(link: ShareLink) -> list[str]:
    return [message["text"] for message in read_shared(link).messages]
