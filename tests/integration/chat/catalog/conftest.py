"""Models and presets, some of them for a group only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, Permission

from accounts.models import User
from chat.catalog import offered_models
from chat.catalog.access import clear_rules_cache
from chat.catalog.own_presets import save_as_preset
from chat.catalog.presets import clear_presets_cache
from chat.models import Preset
from tests.fixtures.offered_models import forget_models
from tests.integration.chat.catalog.limited_models import SECRET, forget, publish


@pytest.fixture
def three_models(clean_redis: str) -> Iterator[None]:
    forget()
    publish(
        {"id": "open", "label": "Open"},
        {"id": SECRET, "label": "Secret", "endpoint_name": "Vault", "host": "vault", "window": 131_072, "thinks": True},
        {"id": "other", "label": "Other"},
    )
    yield
    forget()


@pytest.fixture
def two_models(clean_redis: str) -> Iterator[None]:
    offered_models.publish_models([{"id": "one", "label": "One"}, {"id": "two", "label": "Two"}])
    for clear in (forget_models, clear_presets_cache, clear_rules_cache):
        clear()
    yield
    for clear in (forget_models, clear_presets_cache, clear_rules_cache):
        clear()


@pytest.fixture
def crew(alice: User, bob: User) -> Group:
    """A group of Alice and Bob, whose members may share."""
    group = Group.objects.create(name="crew")
    group.permissions.set(Permission.objects.filter(codename="share_preset"))
    alice.groups.add(group)
    bob.groups.add(group)
    return group


@pytest.fixture
def shared(alice: User, crew: Group) -> Preset:
    preset = save_as_preset(alice, "Pirate", system_prompt="Talk like a pirate.", model="two", starters=["Gold?"])
    preset.groups.add(crew)
    return preset
