"""One network cannot hold all places for recordings."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from accounts.models import User
from chat.protocol.commands import AudioStart
from chat.protocol.errors import Busy
from chat.voice import recordings
from tests.conftest import make_user

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _four_places(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RECORDINGS_AT_ONCE, settings.RECORDINGS_PER_ADDRESS = 4, 2
    monkeypatch.setattr(recordings, "enqueue_transcription", lambda _id: None)


def begin(user: User, address: str) -> uuid.UUID:
    start = AudioStart(
        conversation_id=None, client_id=uuid.uuid4(), encoding="pcm_s16le", sample_rate=16000, mode="auto",
        auto_send=False,
    )  # fmt: skip
    return async_to_sync(recordings.begin)(user.pk, start, address)


def test_four_accounts_of_one_network_leave_places_for_others() -> None:
    users = [make_user(f"User{number}") for number in range(5)]
    first = begin(users[0], "203.0.113.1")
    begin(users[1], "203.0.113.1")
    with pytest.raises(Busy):
        begin(users[2], "203.0.113.1")
    begin(users[3], "198.51.100.1")
    async_to_sync(recordings.release)(users[0].pk, first)
    begin(users[4], "203.0.113.1")  # the ended one counts no longer


def test_this_machine_s_own_address_is_exempt() -> None:
    for number in range(4):
        begin(make_user(f"User{number}"), "")
