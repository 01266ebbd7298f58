"""The collections of staff's presets: which are offered in the admin, and who gets answers from them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.models import User
from chat.models import Collection, Conversation, Preset
from tests.fixtures.people import staff_client
from tests.fixtures.run_rows import say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "one_model")]

FORM: dict[str, Any] = {"name": "Desk", "system_prompt": "Help.", "position": "1", "enabled": "on"}


@pytest.fixture
def handbook(alice: User) -> Collection:
    """Alice's, shared with the group of everybody."""
    made = Collection.objects.create(owner=alice, name="Handbook")
    group = Group.objects.create(name="everybody")
    group.user_set.add(alice)
    made.groups.add(group)
    return made


def test_staff_choose_from_those_that_are_shared_with_them(alice: User, bob: User, handbook: Collection) -> None:
    private = Collection.objects.create(owner=bob, name="Diary")
    keeper = staff_client("view_preset", "add_preset", "change_preset")
    Group.objects.get(name="everybody").user_set.add(User.objects.get(is_staff=True))
    page = keeper.get("/admin/chat/preset/add/").content.decode()
    assert "Handbook" in page
    assert "Diary" not in page
    refused = keeper.post("/admin/chat/preset/add/", {**FORM, "collections": [str(private.pk)]})
    assert refused.status_code == 200
    assert not Preset.objects.exists()
    assert keeper.post("/admin/chat/preset/add/", {**FORM, "collections": [str(handbook.pk)]}).status_code == 302
    preset = Preset.objects.get()
    assert list(preset.collections.all()) == [handbook]
    made = say(alice, "When is it open?", preset_id=preset.pk)
    assert list(Conversation.objects.get(pk=made.conversation_id).collections.all()) == [handbook]


def test_one_that_another_member_of_staff_chose_stays_without_its_name(bob: User) -> None:
    private = Collection.objects.create(owner=bob, name="Diary")
    preset = Preset.objects.create(name="Desk", system_prompt="Help.")
    preset.collections.add(private)
    keeper = staff_client("view_preset", "change_preset")
    page = keeper.get(f"/admin/chat/preset/{preset.pk}/change/").content.decode()
    assert "Diary" not in page
    assert f"Collection {private.pk}, of {bob.email}" in page
    saved = keeper.post(f"/admin/chat/preset/{preset.pk}/change/", {**FORM, "collections": [str(private.pk)]})
    assert saved.status_code == 302
    assert list(preset.collections.all()) == [private]


def test_at_most_twenty(alice: User) -> None:
    keeper = staff_client("view_preset", "add_preset")
    staff = User.objects.get(is_staff=True)
    rows = [Collection.objects.create(owner=staff, name=f"{number}") for number in range(21)]
    refused = keeper.post("/admin/chat/preset/add/", {**FORM, "collections": [str(row.pk) for row in rows]})
    assert "at most 20 collections" in refused.content.decode()
