"""Presets that their owners share with groups: who may share, and who sees them."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group, Permission

from accounts.models import User
from accounts.roles import create_roles, ordinary_permissions
from chat.catalog.access import clear_rules_cache
from chat.catalog.own_presets import save_as_preset
from chat.catalog.presets import offered_presets
from chat.models import Conversation, KnownModel, Preset
from chat.models.presets import SHARE
from chat.protocol.errors import Forbidden, Invalid
from tests.fixtures.people import logged_in, staff_client
from tests.fixtures.run_rows import say
from tests.integration.chat.catalog.presets import FORM, offered

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "two_models")]


def test_members_of_its_group_can_choose_a_shared_preset(alice: User, bob: User, crew: Group, shared: Preset) -> None:
    assert offered_presets(alice.pk) == [
        {"id": str(shared.pk), "name": "Pirate", "description": "", "model": "two", "starters": True, "own": True}
    ]
    [theirs] = offered_presets(bob.pk)
    assert theirs["owner"] == "Alice"
    assert "own" not in theirs
    assert "pirate." not in json.dumps(theirs), "what it tells the model is its owner's"
    say(bob, preset_id=shared.pk)
    assert Conversation.objects.get().system_prompt == "Talk like a pirate."


@pytest.mark.parametrize("end", ["he leaves", "she leaves", "unshared", "disabled", "by staff", "account disabled"])
def test_sharing_ends(alice: User, bob: User, crew: Group, shared: Preset, end: str) -> None:
    match end:
        case "he leaves":
            bob.groups.remove(crew)
        case "she leaves":
            alice.groups.remove(crew)
        case "unshared":
            shared.groups.clear()
        case "disabled":
            Preset.objects.update(enabled=False)
        case "by staff":
            Preset.objects.update(disabled_by_staff=True)
        case "account disabled":
            User.objects.filter(pk=alice.pk).update(is_active=False)
    assert offered(bob) == []
    with pytest.raises(Invalid, match="no longer available"):
        say(bob, preset_id=shared.pk)
    assert (offered(alice) == ["Pirate"]) == (end not in ("disabled", "by staff"))


def test_sharing_needs_the_permission_and_the_membership(alice: User, crew: Group) -> None:
    others = Group.objects.create(name="others")
    client = logged_in(alice)
    page = client.get("/presets/new/").content.decode()
    assert ">crew<" in page.replace(" crew</label>", ">crew<")
    assert "others" not in page
    refused = client.post("/presets/new/", {**FORM, "groups": [str(others.pk)]})
    assert "not one of the available choices" in refused.content.decode()
    client.post("/presets/new/", {**FORM, "groups": [str(crew.pk)]})
    preset = Preset.objects.get()
    assert list(preset.groups.all()) == [crew]

    crew.permissions.clear()
    second = Group.objects.create(name="second")
    alice.groups.add(second)
    page = client.get(f"/presets/{preset.pk}/").content.decode()
    assert "crew" in page, "it can be taken away"
    assert " second</label>" not in page
    refused = client.post(f"/presets/{preset.pk}/", {**FORM, "groups": [str(second.pk)]})
    assert "not one of the available choices" in refused.content.decode()
    client.post(f"/presets/{preset.pk}/", FORM)
    assert not preset.groups.exists()


def test_roles_and_new_groups_may_share() -> None:
    create_roles()
    for name in ("support", "moderator", "billing", "administrator"):
        assert Group.objects.get(name=name).permissions.filter(codename="share_preset").exists()
    assert [one.codename for one in ordinary_permissions()] == [SHARE.partition(".")[2]]
    page = staff_client(superuser=True).get("/admin/auth/group/add/").content.decode()
    number = Permission.objects.get(codename="share_preset").pk
    assert f'<option value="{number}" selected>' in page


def test_a_model_that_its_user_may_not_use_is_refused(alice: User, bob: User, crew: Group, shared: Preset) -> None:
    limited = KnownModel.objects.create(name="two", limited=True)
    limited.groups.add(Group.objects.create(name="few"))
    clear_rules_cache()
    with pytest.raises(Forbidden, match="only for certain groups"):
        say(bob, preset_id=shared.pk)
    say(bob, preset_id=shared.pk, model="one")  # another one can be chosen with it
    assert "two: not available to you" in logged_in(bob).get("/presets/").content.decode()
    refused = logged_in(bob).post("/presets/new/", FORM)
    assert "not one of the available choices" in refused.content.decode()
    with pytest.raises(Invalid, match="not available to you"):
        save_as_preset(bob, "B", model="two")
