"""What staff decide is known to a process before a message asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import OperationalError

from accounts.lib.refreshing import REFRESH_SECONDS
from chat.catalog import access
from chat.catalog.refreshing import read_rules_again
from chat.models import KnownModel, ModerationRule
from chat.models.moderation import Direction
from chat.moderation import rules

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_caches() -> Iterator[None]:
    rules.clear_rules_cache()
    access.clear_rules_cache()
    yield
    rules.clear_rules_cache()
    access.clear_rules_cache()


def is_known() -> tuple[bool, bool | None]:
    """Whether there are rules of moderation, and what staff say of a model's tools, as far as this process knows."""
    return bool(rules.rules_in_force(Direction.ANSWERED).known), access.said_of("small", "tools")


def decide() -> None:
    ModerationRule.objects.create(name="One", enabled=True, action="mask", directions=["answered"], words="damn")
    KnownModel.objects.create(name="small", label="Small", tools=False)


def test_what_staff_decide_is_read_without_an_answer() -> None:
    assert is_known() == (False, None)
    decide()
    read_rules_again()
    assert is_known() == (True, False)


def test_without_postgresql_what_was_known_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    decide()
    assert is_known() == (True, False)

    def fail(*_: object, **__: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(ModerationRule.objects, "filter", fail)
        patch.setattr(KnownModel.objects, "filter", fail)
        for refresh in (rules.refresh_rules, access.refresh_rules):
            with pytest.raises(OperationalError):
                refresh()
    assert is_known() == (True, False)


def test_they_are_read_before_the_caches_end() -> None:
    assert min(access.CACHED_SECONDS, rules.RELOAD_SECONDS) > REFRESH_SECONDS
