"""Names, titles, presets, prompts and instructions are screened before they are stored."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from accounts.models import User
from chat.catalog.own_presets import save_as_preset
from chat.catalog.prompt_files import import_prompts
from chat.conversations.changing import rename
from chat.models import Conversation, Instructions, ModerationCase, Preset, Prompt
from chat.protocol.errors import Moderated
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.run_rows import say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "clean_redis")]


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_a_title_is_masked_or_refused(alice: User, page: Client) -> None:
    conversation_id = say(alice).conversation_id
    add_rule("mask", "badger", ["named"])
    add_rule("hold", "walrus", ["named"], notice="No walruses.")
    assert rename(alice.pk, conversation_id, "About a badger") == "About a ***"
    case = ModerationCase.objects.get()
    assert (case.target, case.target_id, case.original) == ("title", conversation_id, "About a badger")
    reply = page.post(f"/c/{conversation_id}/rename/", {"title": "About a walrus"})
    assert (reply.status_code, reply.json()["code"], reply.json()["message"]) == (400, "moderated", "No walruses.")
    assert reply.json()["case_id"] == str(case.pk)
    assert Conversation.objects.get().title == "About a ***"
    case.refresh_from_db()
    assert case.action == "block"


def test_the_name_of_a_person(alice: User, page: Client) -> None:
    add_rule("mask", "badger", ["named"])
    add_rule("block", "walrus", ["named"], notice="No walruses.")
    page.post("/accounts/settings/account/", {"name": "Alice Badger"})
    alice.refresh_from_db()
    assert alice.name == "Alice ***"
    refused = page.post("/accounts/settings/account/", {"name": "Alice Walrus"})
    assert b"No walruses." in refused.content
    assert b'href="/cases/"' in refused.content
    alice.refresh_from_db()
    assert alice.name == "Alice ***"
    assert set(ModerationCase.objects.values_list("target", "target_id")) == {("name", alice.pk)}


def test_a_flagged_name_is_stored_and_has_a_case(alice: User, page: Client) -> None:
    add_rule("flag", "badger", ["named"])
    page.post("/accounts/settings/account/", {"name": "Alice Badger"})
    alice.refresh_from_db()
    assert (alice.name, ModerationCase.objects.get().action) == ("Alice Badger", "flag")


def test_presets(alice: User) -> None:
    add_rule("mask", "badger", ["named", "asked"])
    add_rule("block", "walrus", ["named", "asked"])
    preset = save_as_preset(alice, "Badger", system_prompt="You are a badger.", starters=["Ask the badger"])
    assert (preset.name, preset.system_prompt, preset.starters) == ("***", "You are a ***.", ["Ask the ***"])
    assert ModerationCase.objects.get().target_id == preset.pk
    for fields in (
        {"name": "Walrus"},
        {"name": "x", "system_prompt": "A walrus"},
        {"name": "x", "starters": ["Walrus"]},
    ):
        with pytest.raises(Moderated):
            save_as_preset(alice, **fields)
    assert Preset.objects.count() == 1


def test_the_page_of_a_prompt(alice: User, page: Client) -> None:
    add_rule("mask", "badger", ["named", "asked"])
    add_rule("hold", "walrus", ["asked"], notice="No walruses.")
    page.post("/prompts/new/", {"name": "badger", "title": "A badger", "text": "Be a badger."})
    prompt = Prompt.objects.get()
    assert (prompt.name, prompt.title, prompt.text) == ("xxx", "A ***", "Be a ***.")
    refused = page.post("/prompts/new/", {"name": "other", "title": "", "text": "Be a walrus."})
    assert b"No walruses." in refused.content
    assert Prompt.objects.count() == 1
    assert ModerationCase.objects.filter(original="Be a walrus.", action="block").exists()


def test_a_file_of_prompts_is_refused_as_a_whole(alice: User) -> None:
    add_rule("block", "walrus", ["asked"])
    with pytest.raises(Moderated):
        import_prompts(alice, b'[{"command": "a", "content": "Fine."}, {"command": "b", "content": "A walrus"}]')
    assert not Prompt.objects.exists()


def test_instructions_and_a_conversations_system_prompt(alice: User, page: Client) -> None:
    conversation_id = say(alice).conversation_id
    add_rule("mask", "badger", ["asked"])
    add_rule("block", "walrus", ["asked"], notice="No walruses.")
    page.post("/accounts/instructions/", {"text": "I am a badger.", "enabled": "on"})
    assert Instructions.objects.get().text == "I am a ***."
    assert b"No walruses." in page.post("/accounts/instructions/", {"text": "I am a walrus.", "enabled": "on"}).content
    assert Instructions.objects.get().text == "I am a ***."
    url = f"/c/{conversation_id}/parameters/"
    assert page.post(url, {"system_prompt": "Be a badger."}).json()["values"]["system_prompt"] == "Be a ***."
    assert page.post(url, {"system_prompt": "Be a walrus."}).json()["code"] == "moderated"
    assert Conversation.objects.get().system_prompt == "Be a ***."
    outsiders = page.post(f"/c/{uuid.uuid4()}/parameters/", {"system_prompt": "Be a walrus."})
    assert outsiders.status_code == 404
