"""The tools that a preset names: chosen on its page and in the admin."""

from __future__ import annotations

import json

import pytest

from accounts.models import User
from chat.catalog.presets import offered_presets
from chat.models import KnownTool, Preset
from chat.portability.export import export_user_data
from tests.fixtures.people import logged_in, staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]

FORM = {"name": "Files", "enabled": "on"}


def test_tools_are_chosen_on_its_page_and_in_the_admin(alice: User) -> None:
    KnownTool.objects.create(name="make_file", title="Make a file")
    KnownTool.objects.create(name="calculate", title="Calculator", by_default=False)
    client = logged_in(alice)
    client.post("/presets/new/", FORM)
    preset = Preset.objects.get()
    assert Preset.objects.filter(tools__isnull=True).exists(), "not chosen"
    page = client.get(f"/presets/{preset.pk}/").content.decode()
    assert 'value="make_file" id="id_tools_1" checked' in page, "those that are on by default are marked"
    client.post(f"/presets/{preset.pk}/", {**FORM, "own_tools": "on", "tools": ["calculate"]})
    preset.refresh_from_db()
    assert preset.tools == ["calculate"]
    assert offered_presets(alice.pk)[0]["tools"]
    assert "1 tool" in client.get("/presets/").content.decode()
    KnownTool.objects.filter(name="calculate").update(enabled=False)
    assert "calculate – not available" in client.get(f"/presets/{preset.pk}/").content.decode()
    assert (
        "Select a valid choice"
        in client.post(f"/presets/{preset.pk}/", {**FORM, "own_tools": "on", "tools": ["nothing"]}).content.decode()
    )
    client.post(f"/presets/{preset.pk}/", {**FORM, "own_tools": "on"})
    preset.refresh_from_db()
    assert preset.tools == [], "none at all"
    [row] = json.loads("".join(export_user_data(alice)))["presets"]
    assert row["tools"] == []
    staff = staff_client(superuser=True)
    url = f"/admin/chat/preset/{preset.pk}/change/"
    staff.post(url, {"disabled_by_staff": "on"})
    preset.refresh_from_db()
    assert (preset.disabled_by_staff, preset.tools) == (True, [])
    given = {"name": "Staff's", "position": "1", "enabled": "on", "own_tools": "on", "tools": ["make_file"]}
    answer = staff.post("/admin/chat/preset/add/", given)
    assert answer.status_code == 302, answer.content.decode()
    assert Preset.objects.get(owner=None).tools == ["make_file"]
