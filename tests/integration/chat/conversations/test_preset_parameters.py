"""A preset's parameters beside the conversation's own."""

from __future__ import annotations

import json
import uuid

import pytest
from django.contrib.auth.models import Group

from accounts.models import User
from chat.models import Conversation, Preset, Run, RunStatus
from chat.protocol.commands import TurnOptions
from chat.runs.claims import Claim
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import say
from tests.integration.chat.conversations.parameters import answered, claimed, post, shown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "one_model_offered")]


class TestPresets:
    @pytest.fixture
    def preset(self) -> Preset:
        return Preset.objects.create(name="Poet", system_prompt="Rhyme.", temperature=0.9, max_tokens=50)

    def test_its_values_are_the_defaults(self, alice: User, preset: Preset) -> None:
        first = say(alice, preset_id=preset.pk, options=TurnOptions(temperature=0.1))
        assert answered(first) == {"temperature": 0.1, "max_tokens": 50, "effort": "", "system_prompt": "Rhyme."}
        found = shown(alice, first.conversation_id)
        assert found["preset"] == "Poet"
        assert found["defaults"] == {"system_prompt": "Rhyme.", "temperature": 0.9, "max_tokens": 50, "effort": ""}
        assert found["values"] == {"system_prompt": None, "temperature": 0.1, "max_tokens": None, "effort": None}
        reset = dict.fromkeys(("system_prompt", "temperature", "max_tokens", "effort"), "")
        assert set(post(alice, first.conversation_id, **reset).json()["values"].values()) == {None}
        assert answered(say(alice, "And?", first.conversation_id))["temperature"] == 0.9

    def test_a_reset_takes_what_it_says_by_now(self, alice: User, preset: Preset) -> None:
        first = say(alice, preset_id=preset.pk)
        preset.system_prompt = "Rhyme in French."
        preset.save()
        assert shown(alice, first.conversation_id)["values"]["system_prompt"] == "Rhyme.", "it has kept the old one"
        post(alice, first.conversation_id, system_prompt="")
        assert claimed(first.run_id).system_prompt == "Rhyme in French."
        preset.delete()
        post(alice, first.conversation_id, temperature="")
        assert claimed_again(first.run_id).temperature is None

    def test_what_it_becomes_later_is_for_those_who_may_still_choose_it(self, alice: User, preset: Preset) -> None:
        first = say(alice, preset_id=preset.pk)
        Preset.objects.filter(pk=preset.pk).update(system_prompt="Not for Alice.")
        preset.groups.add(Group.objects.create(name="poets"))
        found = shown(alice, first.conversation_id)
        assert "Not for Alice." not in json.dumps(found)
        assert (found["preset"], found["values"]["system_prompt"]) == ("", "Rhyme."), "its own by now"
        assert post(alice, first.conversation_id, system_prompt="").json()["values"]["system_prompt"] is None
        assert Conversation.objects.get().system_prompt == ""

    def test_before_the_first_message(self, alice: User, preset: Preset) -> None:
        found = logged_in(alice).get("/parameters/", {"preset": str(preset.pk)}).json()
        assert (found["preset"], found["defaults"]["system_prompt"], found["may_change"]) == ("Poet", "Rhyme.", True)
        preset.enabled = False
        preset.save()
        for chosen in (str(preset.pk), "no-id", ""):
            found = logged_in(alice).get("/parameters/", {"preset": chosen}).json()
            assert (found["preset"], found["defaults"]["system_prompt"]) == ("", "")


def claimed_again(run_id: uuid.UUID) -> Claim:
    Run.objects.filter(pk=run_id).update(status=RunStatus.QUEUED, lease_expires_at=None)
    return claimed(run_id)
