"""Which tools a model may call for whom: what exists, what staff allow, and what the conversation chose."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from django.contrib.auth.models import Group

from accounts.lib.db import in_db
from accounts.models import User
from chat.catalog.access import clear_rules_cache
from chat.catalog.tools import OfferedTool, offered_tools
from chat.models import Conversation, KnownModel, KnownTool, Member, Role, ToolPolicy, ToolSwitch
from chat.runs import tool_switch
from workers.models import SearchProvider
from workers.tools import registry
from workers.tools.publishing import publish_own_tools
from workers.tools.registry import Wanted

pytestmark = pytest.mark.usefixtures("db")
URL = "https://example.org/news"


def keys(user: User) -> set[str]:
    return {tool.key for tool in offered_tools(user)}


def wanted(user: User, tools: list[OfferedTool], **choice: object) -> set[str]:
    asked = Wanted(user.pk, user.pk, **choice)  # type: ignore[arg-type]
    return {tool.key for tool in tools if registry._is_wanted(tool, asked)}


def test_our_tools_are_published_and_staffs_decisions_kept(alice: User) -> None:
    publish_own_tools()
    assert "current_time" in keys(alice)
    KnownTool.objects.filter(name="current_time").update(enabled=False, title="Old")
    KnownTool.objects.create(name="once_ours", title="Gone")
    KnownTool.objects.create(server="wiki", name="search", title="Another's")
    publish_own_tools()
    row = KnownTool.objects.get(name="current_time")
    assert (row.enabled, row.title) == (False, "Current time")
    assert KnownTool.objects.get(name="once_ours").gone_at is not None
    assert KnownTool.objects.get(server="wiki").gone_at is None
    assert not {"current_time", "once_ours"} & keys(alice)


def test_the_web_is_searched_only_where_a_provider_is_set_up(alice: User) -> None:
    publish_own_tools()
    assert "search_web" not in keys(alice)
    provider = SearchProvider.objects.create(name="Ours", kind="searxng", address="http://127.0.0.1:8080")
    publish_own_tools()
    assert "search_web" in keys(alice)
    provider.enabled = False
    provider.save()
    publish_own_tools()
    assert "search_web" not in keys(alice)


def test_the_most_specific_policy_counts(alice: User) -> None:
    publish_own_tools()
    group = Group.objects.create(name="Pupils")
    other = Group.objects.create(name="Club")
    alice.groups.add(group, other)
    ToolPolicy.objects.create(server="", tool="", rule="off")
    assert not keys(alice)
    ToolPolicy.objects.create(server="", tool="", group=group, rule="ask")
    assert {tool.rule for tool in offered_tools(alice)} == {"ask"}
    ToolPolicy.objects.create(server="", tool="calculate", rule="off")
    assert "calculate" not in keys(alice)
    assert "current_time" in keys(alice)
    ToolPolicy.objects.create(server="", tool="current_time", group=group, rule="never")
    ToolPolicy.objects.create(server="", tool="current_time", group=other, rule="always")
    assert {tool.rule for tool in offered_tools(alice) if tool.key == "current_time"} == {"always"}


def test_a_policy_for_all_tools(alice: User) -> None:
    publish_own_tools()
    ToolPolicy.objects.create(server="*", tool="", rule="off")
    assert not keys(alice)
    ToolPolicy.objects.create(server="", tool="calculate", rule="never")
    assert keys(alice) == {"calculate"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["removed", "reads only", "disabled"])
async def test_who_lost_access_during_a_wait_gives_no_log_in_to_tools(alice: User, change: str) -> None:
    """Another member may allow the call days later; it would be made with the log-in of who asked."""

    def prepare() -> Wanted:
        publish_own_tools()
        conversation = Conversation.objects.create()
        Member.objects.create(conversation=conversation, user=alice, role=Role.EDITOR)
        return Wanted(alice.pk, conversation.pk, goes_on=True)

    def lose() -> None:
        if change == "disabled":
            User.objects.filter(pk=alice.pk).update(is_active=False)
        elif change == "reads only":
            Member.objects.update(role=Role.VIEWER)
        else:
            Member.objects.all().delete()

    asked = await in_db(prepare)
    assert (await registry.find_tools(asked)).tools
    await in_db(lose)
    assert not (await registry.find_tools(asked)).tools


@pytest.mark.django_db(transaction=True)
async def test_a_model_of_which_staff_say_that_it_calls_no_tools_gets_none(alice: User) -> None:
    def prepare() -> None:
        publish_own_tools()
        KnownModel.objects.create(name="plain", tools=False)
        KnownModel.objects.create(name="able", tools=True)

    await in_db(prepare)
    assert not (await registry.find_tools(Wanted(alice.pk, alice.pk, model="plain"))).tools
    for model in ("able", "unknown"):
        assert (await registry.find_tools(Wanted(alice.pk, alice.pk, model=model))).tools


@pytest.fixture(autouse=True)
def switch() -> Generator[None]:
    """What this process knows of the switch that stops all tools is of this test."""
    tool_switch.forget()
    yield
    tool_switch.forget()


@pytest.fixture(autouse=True)
def rules() -> Generator[None]:
    """Likewise of what staff say of models."""
    clear_rules_cache()
    yield
    clear_rules_cache()


def test_the_switch_stops_all_tools(alice: User) -> None:
    publish_own_tools()
    ToolSwitch.objects.create(stopped=True, reason="An incident")
    assert not keys(alice)


def test_what_a_conversation_chose(alice: User) -> None:
    SearchProvider.objects.create(name="Ours", kind="searxng", address="http://127.0.0.1:8080")
    publish_own_tools()
    KnownTool.objects.filter(name="calculate").update(by_default=False)
    tools = offered_tools(alice)
    usual = wanted(alice, tools)
    assert "current_time" in usual
    assert not {"calculate", "search_web", "read_page"} & usual
    assert {"search_web", "read_page"} <= wanted(alice, tools, web_search=True)
    assert wanted(alice, tools, chosen=["calculate"]) == {"calculate"}
    assert wanted(alice, tools, chosen=[]) == set()
    assert "read_page" in wanted(alice, tools, question=f"What does {URL} say?")
    assert "read_page" not in wanted(alice, tools, chosen=["calculate"], question=f"What does {URL} say?")
