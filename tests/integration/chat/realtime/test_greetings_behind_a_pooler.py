"""What sockets read when they open, where statements cannot be prepared: DATABASE_POOLER, or within a transaction."""

from __future__ import annotations

import pytest

from accounts.models import User
from chat.models import Preset
from chat.realtime import greeting
from tests.integration.accounts.auth.listening import Browser

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.mark.parametrize("resumes", [False, True])
def test_sockets_open(alice: User, bob: User, *, resumes: bool) -> None:
    Preset.objects.create(name="Poet", owner=alice)
    sockets = [greeting.Asked(user.pk, Browser(user).hash, "en", resumes) for user in (alice, bob)]
    first, second = greeting.read(sockets)
    assert (first.refusal, second.refusal) == (None, None)
    assert [one["name"] for one in first.offers["presets"]] == ["Poet"]
    assert second.offers.get("presets", []) == []
