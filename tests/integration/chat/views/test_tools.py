"""Which tools models may call in a conversation: read and chosen over HTTP, and with a message."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from chat.models import Conversation, KnownTool, Member, Message, Preset, Role, Run, ToolPolicy, ToolServer, ToolSwitch
from chat.protocol.commands import MessageSend, TurnOptions
from chat.runs import tool_switch
from chat.turns.accept import accept
from chat.views.tools import has_server_prompts, has_tools, tools_shown
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "one_model")]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    tool_switch.forget()
    has_tools.cache_clear()
    has_server_prompts.cache_clear()
    yield
    tool_switch.forget()
    has_tools.cache_clear()
    has_server_prompts.cache_clear()


@pytest.fixture
def conversation(alice: User, bob: User) -> Conversation:
    KnownTool.objects.create(name="search_web", title="Search the web", effect="reads")
    KnownTool.objects.create(name="make_file", title="Make a file", by_default=False)
    made = Conversation.objects.create(title="x")
    Member.objects.create(conversation=made, user=alice, role=Role.OWNER)
    Member.objects.create(conversation=made, user=bob, role=Role.VIEWER)
    return made


def on(shown: dict[str, Any]) -> list[str]:
    return [tool["key"] for tool in shown["tools"] if tool["on"]]


def test_they_are_read_chosen_and_given_back(alice: User, bob: User, conversation: Conversation) -> None:
    client, path = logged_in(alice), f"/c/{conversation.pk}/tools/"
    shown = client.get(path).json()
    assert on(shown) == ["search_web"]
    assert (shown["chosen"], shown["may_change"], shown["stopped"]) == (None, True, None)
    shown = client.post(path, {"tools": json.dumps(["make_file"])}).json()
    assert (on(shown), shown["chosen"]) == (["make_file"], ["make_file"])
    viewing = logged_in(bob)
    assert on(viewing.get(path).json()) == ["make_file"]
    assert not viewing.get(path).json()["may_change"]
    assert viewing.post(path, {"tools": ""}).status_code == 403
    assert on(client.post(path, {"tools": "[]"}).json()) == []
    shown = client.post(path, {"tools": ""}).json()
    assert (on(shown), shown["chosen"]) == (["search_web"], None)
    assert on(client.get("/tools/").json()) == ["search_web"]


@pytest.mark.parametrize(
    "given", ['["rm_rf"]', "{}", "[1]", "make_file", json.dumps(["x"] * 201), '["' + "x" * 201 + '"]']
)
def test_only_tools_that_one_may_use_are_chosen(alice: User, conversation: Conversation, given: str) -> None:
    answer = logged_in(alice).post(f"/c/{conversation.pk}/tools/", {"tools": given})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert Conversation.objects.get().tools is None


def test_tools_of_other_members_stay(alice: User, conversation: Conversation) -> None:
    Conversation.objects.update(tools=["hers", "make_file"])
    logged_in(alice).post(f"/c/{conversation.pk}/tools/", {"tools": '["search_web"]'})
    assert Conversation.objects.get().tools == ["search_web", "hers"]


def test_what_staff_have_switched_off_is_not_offered(alice: User, conversation: Conversation) -> None:
    client, path = logged_in(alice), f"/c/{conversation.pk}/tools/"
    ToolPolicy.objects.create(tool="make_file", rule="off")
    assert [tool["key"] for tool in client.get(path).json()["tools"]] == ["search_web"]
    ToolSwitch.objects.create(stopped=True, reason="One is broken.")
    tool_switch.forget()
    assert client.get(path).json()["stopped"] == "Tools are switched off for now. One is broken."
    page = client.get(f"/c/{conversation.pk}/").content.decode()
    assert 'id="tools-button"' in page
    KnownTool.objects.update(enabled=False)
    has_tools.cache_clear()
    page = client.get(f"/c/{conversation.pk}/").content.decode()
    assert page.split('id="tools-button"')[1].split(">")[0].endswith("hidden")


def test_a_message_brings_them(alice: User, conversation: Conversation) -> None:
    """The first of a conversation for all answers, a later one for its own."""
    first = MessageSend(
        conversation_id=None, client_id=uuid.uuid4(), text="?", options=TurnOptions(tools=["make_file"])
    )
    begun = accept(alice.pk, first)
    assert Conversation.objects.get(pk=begun.conversation_id).tools == ["make_file"]
    Run.objects.update(status="done", finished_at=timezone.now())
    Message.objects.update(status="complete")
    later = MessageSend(
        conversation_id=begun.conversation_id, client_id=uuid.uuid4(), text="!", options=TurnOptions(tools=[])
    )
    accepted = accept(alice.pk, later)
    assert Run.objects.get(pk=accepted.run_id).parameters == {"asked": {"tools": []}}
    assert Conversation.objects.get(pk=begun.conversation_id).tools == ["make_file"]


def test_a_preset_says_which(alice: User, conversation: Conversation) -> None:
    """What it names that somebody cannot use is left out, and counted; another choice stands until it is reset."""
    client = logged_in(alice)
    preset = Preset.objects.create(owner=alice, name="Files", tools=["make_file", "gone/tool"])
    shown = client.get(f"/tools/?preset={preset.pk}").json()
    assert (on(shown), shown["preset"], shown["missing"]) == (["make_file"], "Files", 1)
    for nothing in ("", uuid.uuid4(), "x"):
        shown = client.get(f"/tools/?preset={nothing}").json()
        assert (on(shown), shown["preset"], shown["missing"]) == (["search_web"], "", 0)
    accept(alice.pk, MessageSend(client_id=uuid.uuid4(), conversation_id=None, text="Hello", preset_id=preset.pk))
    begun = Conversation.objects.get(preset=preset)
    assert begun.tools == ["make_file", "gone/tool"]
    path = f"/c/{begun.pk}/tools/"
    assert on(client.get(path).json()) == ["make_file"]
    assert on(client.post(path, {"tools": json.dumps(["search_web"])}).json()) == ["search_web"]
    shown = client.post(path, {"tools": ""}).json()
    assert (on(shown), shown["chosen"], shown["usual"]) == (["make_file"], preset.tools, preset.tools)


def test_a_message_overrides_its_preset(alice: User, conversation: Conversation) -> None:
    preset = Preset.objects.create(owner=alice, name="Files", tools=["make_file"])
    options = TurnOptions(tools=[])
    accept(
        alice.pk,
        MessageSend(client_id=uuid.uuid4(), conversation_id=None, text="Hello", preset_id=preset.pk, options=options),
    )
    assert Conversation.objects.get(preset=preset).tools == []


def test_people_read_the_first_paragraph(alice: User, conversation: Conversation) -> None:
    KnownTool.objects.update(description="Makes a file\nfor you.\n\nUse it only when the person asks for a file.")
    shown = logged_in(alice).get(f"/c/{conversation.pk}/tools/").json()
    assert "Makes a file for you." not in {tool["description"] for tool in shown["tools"]}, (
        "ours have texts of their own"
    )
    KnownTool.objects.filter(name="make_file").update(name="make_sheet")
    shown = logged_in(alice).get(f"/c/{conversation.pk}/tools/").json()
    described = {tool["key"]: tool["description"] for tool in shown["tools"]}
    assert described["make_sheet"] == "Makes a file for you."


def test_whether_servers_have_prompts(alice: User) -> None:
    server = ToolServer.objects.create(slug="a", title="A", address="https://a.example", prompts=[])
    for prompts, enabled, said in (([], True, False), ([{"name": "x"}], True, True), ([{"name": "x"}], False, False)):
        ToolServer.objects.filter(pk=server.pk).update(prompts=prompts, enabled=enabled)
        has_server_prompts.cache_clear()
        assert tools_shown(None)["prompts"] is said
