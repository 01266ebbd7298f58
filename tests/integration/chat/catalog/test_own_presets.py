"""A user's own presets: who may choose, see and change them, over HTTP, in a turn and in the admin."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import AuditEntry, User
from chat.catalog import own_items
from chat.catalog.own_presets import duplicate_preset, save_as_preset
from chat.catalog.presets import offered_presets
from chat.models import Conversation, Preset
from chat.portability.export import export_user_data
from chat.protocol.errors import Invalid, NotFound
from chat.retention import erasure
from tests.fixtures.people import logged_in, staff_client
from tests.fixtures.run_rows import say
from tests.integration.chat.catalog.presets import FORM, offered

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "two_models")]


def fresh(user: User) -> User:
    """The user without remembered permissions."""
    return User.objects.get(pk=user.pk)


def test_made_edited_duplicated_disabled_and_deleted_on_its_page(alice: User) -> None:
    client = logged_in(alice)
    assert "None yet." in client.get("/presets/").content.decode()
    assert client.post("/presets/new/", FORM).status_code == 302
    preset = Preset.objects.get()
    assert preset.owner == alice
    assert preset.starters == ["Where is the gold?", "Sing a shanty"]
    assert (preset.model, preset.temperature, preset.max_tokens, preset.effort) == ("two", 0.3, 50, "low")
    page = client.get(f"/presets/{preset.pk}/").content.decode()
    assert "Where is the gold?\nSing a shanty</textarea>" in page
    client.post(f"/presets/{preset.pk}/", {**FORM, "name": "Corsair", "starters": ""})
    preset.refresh_from_db()
    assert (preset.name, preset.starters) == ("Corsair", [])
    answer = client.post(f"/presets/{preset.pk}/copy/", follow=True)
    assert "Corsair (copy)" in answer.content.decode()
    client.post(f"/presets/{preset.pk}/copy/")
    assert set(offered(alice)) == {"Corsair", "Corsair (copy)", "Corsair (copy 2)"}
    client.post(f"/presets/{preset.pk}/enable/", {"enabled": "0"})
    assert "Corsair" not in offered(alice)
    assert "Enable Corsair" in client.get("/presets/").content.decode()
    client.post(f"/presets/{preset.pk}/enable/", {"enabled": "1"})
    assert "Corsair" in offered(alice)
    assert "Delete “Corsair”?" in client.get(f"/presets/{preset.pk}/delete/").content.decode()
    assert Preset.objects.filter(pk=preset.pk).exists(), "only asked"
    client.post(f"/presets/{preset.pk}/delete/")
    assert not Preset.objects.filter(pk=preset.pk).exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "Taken"}, "You already have a preset with this name."),
        ({"model": "nowhere"}, "not one of the available choices"),
        ({"temperature": "2.1"}, "less than or equal to 2"),
        ({"temperature": "nan"}, "Enter a number."),
        ({"max_tokens": "0"}, "greater than or equal to 1"),
        ({"effort": "all"}, "not one of the available choices"),
        ({"system_prompt": "x" * 20_001}, "at most 20000 characters"),
        ({"starters": "x" * 201}, "Starter 1 has 201."),
        ({"starters": "\n".join("abcdefg")}, "At most 6 starters are allowed."),
        ({"starters": "a\x00b"}, "Null characters are not allowed."),
    ],
)
def test_what_cannot_be_is_refused_on_the_page(alice: User, values: dict[str, str], words: str) -> None:
    save_as_preset(alice, "Taken")
    answer = logged_in(alice).post("/presets/new/", {**FORM, **values})
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert Preset.objects.count() == 1


def test_a_name_is_once_for_each_owner_and_once_for_staff(alice: User, bob: User) -> None:
    for owner in (alice, bob):
        save_as_preset(owner, "Pirate")
    Preset.objects.create(name="Pirate")
    owners: tuple[User | None, ...] = (alice, None)
    for theirs in owners:
        with pytest.raises(IntegrityError), transaction.atomic():
            Preset.objects.create(owner=theirs, name="Pirate")
    with pytest.raises(Invalid, match="You already have a preset with this name"):
        save_as_preset(alice, " Pirate ")


def test_save_as_preset_checks_its_values(alice: User) -> None:
    with pytest.raises(Invalid, match="not available to you"):
        save_as_preset(alice, "A", model="nowhere")
    with pytest.raises(Invalid, match="Temperature: Ensure this value is less than or equal to 2"):
        save_as_preset(alice, "A", temperature=3)
    with pytest.raises(Invalid, match="At most 6 starters"):
        save_as_preset(alice, "A", starters=["x"] * 7)
    made = save_as_preset(alice, "A\x00", system_prompt="Be\x00 brief.", temperature=0.5, max_tokens=9)
    made.refresh_from_db()
    assert (made.name, made.system_prompt, made.temperature, made.owner) == ("A", "Be brief.", 0.5, alice)


def test_there_are_only_so_many(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(own_items.LIMITS, Preset, 2)
    first = save_as_preset(alice, "A")
    save_as_preset(alice, "B")
    with pytest.raises(Invalid, match="You can have at most 2 presets of your own"):
        save_as_preset(alice, "C")
    client = logged_in(alice)
    assert "at most 2 presets" in client.post("/presets/new/", FORM).content.decode()
    assert "at most 2 presets" in client.post(f"/presets/{first.pk}/copy/", follow=True).content.decode()
    assert client.post(f"/presets/{first.pk}/", {**FORM, "name": "A"}).status_code == 302, "one more is not made"


def test_another_users_preset_is_not_found(alice: User, bob: User, shared: Preset) -> None:
    """Not even one that he may choose can be read, changed, copied or deleted; one that he may not choose has no
    starters either.
    """
    private = save_as_preset(alice, "Private", system_prompt="Secret", starters=["Secret start"])
    client = logged_in(bob)
    for one in (shared, private):
        assert client.get(f"/presets/{one.pk}/").status_code == 404
        assert client.post(f"/presets/{one.pk}/", FORM).status_code == 404
        assert client.get(f"/presets/{one.pk}/delete/").status_code == 404
        for act in ("copy", "enable", "delete"):
            assert client.post(f"/presets/{one.pk}/{act}/", {"enabled": "0"}).status_code == 404
    assert client.get(f"/presets/{private.pk}/starters/").status_code == 404
    assert client.get(f"/presets/{uuid.uuid4()}/starters/").status_code == 404
    assert client.get(f"/presets/{shared.pk}/starters/").json() == {"starters": ["Gold?"]}
    page = client.get("/presets/").content.decode()
    assert "by Alice" in page
    assert "Talk like" not in page
    assert "Private" not in page
    assert Preset.objects.count() == 2
    with pytest.raises(NotFound):
        duplicate_preset(bob, shared.pk)
    with pytest.raises(Invalid, match="no longer available"):
        say(bob, preset_id=private.pk)
    assert Client().get("/presets/").status_code == 302, "to the log-in page"


def test_a_conversation_copies_its_effort(alice: User) -> None:
    say(alice, preset_id=save_as_preset(alice, "Deep", effort="high").pk)
    assert Conversation.objects.get().effort == "high"


def test_erasure_and_export(alice: User, bob: User, shared: Preset) -> None:
    body = json.loads("".join(export_user_data(alice)))
    assert body["presets"] == [
        {
            "name": "Pirate", "description": "", "model": "two", "system_prompt": "Talk like a pirate.",
            "temperature": None, "max_tokens": None, "effort": "", "starters": ["Gold?"], "tools": None,
            "enabled": True,
        }
    ]  # fmt: skip
    assert json.loads("".join(export_user_data(bob)))["presets"] == []
    say(bob, preset_id=shared.pk)
    assert erasure.report(alice)["presets_deleted"] == 1
    erasure.erase(alice)
    assert offered(bob) == []
    assert Conversation.objects.get().preset_id is None, "his conversation stays"


def test_staff_see_filter_disable_and_delete_all(alice: User, shared: Preset) -> None:
    Preset.objects.create(name="Staff's")
    keeper = staff_client("view_preset", "change_preset", "delete_preset")
    listing = "/admin/chat/preset/"
    assert "alice@example.org" in keeper.get(listing).content.decode()
    assert "Staff&#x27;s" not in keeper.get(f"{listing}?made_by=shared").content.decode()
    assert "Pirate" not in keeper.get(f"{listing}?made_by=staff").content.decode()
    page = f"{listing}{shared.pk}/change/"
    shown = keeper.get(page).content.decode()
    assert "Talk like a pirate." not in shown, "without the permission to read what people wrote"
    assert 'name="name"' not in shown, "it is not staff's to change"
    keeper.post(page, {"disabled_by_staff": "on", "name": "Changed"})
    shared.refresh_from_db()
    assert (shared.disabled_by_staff, shared.name, shared.model, shared.starters) == (True, "Pirate", "two", ["Gold?"])
    client = logged_in(alice)
    assert "Disabled by staff" in client.get("/presets/").content.decode()
    client.post(f"/presets/{shared.pk}/enable/", {"enabled": "1"})
    assert offered(alice) == ["Staff's"], "she cannot enable it"
    assert client.post(f"/presets/{shared.pk}/copy/").status_code == 404
    for action, disabled in (("enable_again", False), ("disable", True)):
        keeper.post(listing, {"action": action, "_selected_action": [str(shared.pk)]})
        shared.refresh_from_db()
        assert shared.disabled_by_staff is disabled
    keeper.post(f"{listing}{shared.pk}/delete/", {"post": "yes"})
    assert not Preset.objects.filter(pk=shared.pk).exists()
    entries = AuditEntry.objects.filter(object_id=str(shared.pk)).order_by("id").values_list("verb", "details")
    assert list(entries) == [("change", ""), ("change", "enabled"), ("change", "disabled"), ("delete", "")]


def test_reading_what_a_user_wrote_is_recorded(shared: Preset) -> None:
    reader = staff_client("view_preset", "read_message_body")
    shown = reader.get(f"/admin/chat/preset/{shared.pk}/change/").content.decode()
    assert "Talk like a pirate." in shown
    assert AuditEntry.objects.get(object_id=str(shared.pk)).verb == "read_body"


def test_staffs_presets_have_starters(alice: User) -> None:
    keeper = staff_client("view_preset", "add_preset", "change_preset")
    form: dict[str, Any] = {"name": "Poet", "system_prompt": "Rhyme.", "position": "1", "enabled": "on"}
    assert keeper.post("/admin/chat/preset/add/", {**form, "starters": "An ode\nA sonnet"}).status_code == 302
    preset = Preset.objects.get()
    assert preset.owner is None
    assert offered_presets(alice.pk)[0]["starters"] is True
    assert logged_in(alice).get(f"/presets/{preset.pk}/starters/").json() == {"starters": ["An ode", "A sonnet"]}
    assert "An ode\nA sonnet" in keeper.get(f"/admin/chat/preset/{preset.pk}/change/").content.decode()
    refused = keeper.post("/admin/chat/preset/add/", {**form, "name": "B", "starters": "x" * 201})
    assert "Starter 1 has 201." in refused.content.decode()
    keeper.post("/admin/chat/preset/", {"action": "disable", "_selected_action": [str(preset.pk)]})
    preset.refresh_from_db()
    assert (preset.enabled, preset.disabled_by_staff) == (False, False)
