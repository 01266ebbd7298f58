"""A process whose clock is wrong by a month moves conversations to the trash, where they stay as long as all others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from chat.conversations import changing, trashing
from chat.models import Conversation
from chat.runs.clock import database_time
from tests.fixtures.conversation_rows import make_conversation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.mark.parametrize("days", [-30, 30])
def test_the_trash_counts_by_the_databases_clock(alice: User, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (make_conversation(alice) for _ in range(3))
    right = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + timedelta(days=days))
    changing.delete(alice.pk, one.pk)
    trashing.delete_many(alice.pk, [two.pk])
    at = trashing.delete_all(alice.pk)["at"]
    for row in Conversation.objects.filter(pk__in=[one.pk, two.pk, three.pk]):
        assert row.deleted_at is not None
        assert abs(database_time() - row.deleted_at) < timedelta(minutes=5)
    assert trashing.restore_many(alice.pk, at=at)["done"] == 1
