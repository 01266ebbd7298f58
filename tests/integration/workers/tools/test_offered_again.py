"""An answer that is offered tools asks the database once for them, unless something of them has changed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group

from accounts import site as site_module
from accounts.lib.db import in_db
from accounts.models import SiteSettings, User
from accounts.models.site import Feature
from chat.models import KnownTool, ToolPolicy, ToolServer
from chat.runs.tool_switch import forget, switch_tools
from chat.runs.tools_version import tools_version
from chat.turns.submit import announce
from tests.fixtures.run_rows import say
from tests.fixtures.tool_runs import ScriptedModel, says
from tests.fixtures.written_answers import Worker
from workers.models import SearchProvider
from workers.tools import registry
from workers.tools.publishing import publish_own_tools
from workers.tools.registry import find_tools


def offered(user: User) -> dict[tuple[str, str], str]:
    """What models may call for a user, with the titles of the tools."""
    found, existing = registry._read(registry.Wanted(user.pk, uuid.uuid4()))
    return {key: tool.title for tool in existing for key in [(tool.server, tool.name)] if key in found}


def add_server(slug: str = "wiki", **fields: Any) -> ToolServer:
    server = ToolServer.objects.create(
        slug=slug, title="Wiki", kind="mcp_http", address="https://w.example/mcp", **fields
    )
    KnownTool.objects.create(server=slug, name="search", title="Search")
    return server


CHANGES: dict[str, tuple[Callable[[User], object], bool]] = {
    "turned off": (lambda user: KnownTool.objects.filter(server="wiki").update(enabled=False), False),
    "gone": (lambda user: KnownTool.objects.filter(server="wiki").delete(), False),
    "its server is off": (lambda user: ToolServer.objects.update(enabled=False), False),
    "its server is another person's": (
        lambda user: ToolServer.objects.update(owner=User.objects.exclude(pk=user.pk).get()),
        False,
    ),
    "limited to groups": (lambda user: ToolServer.objects.update(limited=True), False),
    "a policy": (lambda user: ToolPolicy.objects.create(server="wiki", tool="search", rule="off"), False),
    "renamed": (lambda user: KnownTool.objects.filter(server="wiki").update(title="Look up"), True),
}


@pytest.mark.django_db
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_counts_at_once(alice: User, bob: User, change: str) -> None:
    publish_own_tools()
    add_server()
    before = offered(alice)
    assert before[("wiki", "search")] == "Search"
    does, stays = CHANGES[change]
    does(alice)
    after = offered(alice)
    assert (("wiki", "search") in after) == stays
    assert after != before
    assert ("", "calculate") in after


@pytest.mark.django_db
def test_groups_count_for_their_members_alone(alice: User, bob: User) -> None:
    publish_own_tools()
    group = Group.objects.create(name="Pupils")
    server = add_server(limited=True)
    assert ("wiki", "search") not in offered(alice)
    server.groups.add(group)
    assert ("wiki", "search") not in offered(alice)
    alice.groups.add(group)
    assert ("wiki", "search") in offered(alice)
    assert ("wiki", "search") not in offered(bob)
    ToolPolicy.objects.create(server="wiki", tool="search", rule="off", group=group)
    assert ("wiki", "search") not in offered(alice)
    alice.groups.clear()
    server.groups.clear()
    assert ("wiki", "search") not in offered(alice)


@pytest.mark.django_db
def test_one_statement_for_users_who_are_offered_the_same(
    alice: User, bob: User, django_assert_num_queries: Any
) -> None:
    publish_own_tools()
    add_server()
    known = offered(alice)
    for user in (alice, bob):
        with django_assert_num_queries(1):
            assert offered(user) == known


@pytest.mark.django_db
def test_the_switch_is_read_with_it(alice: User, django_assert_num_queries: Any) -> None:
    publish_own_tools()
    offered(alice)
    switch_tools(True, "An incident", None)
    with django_assert_num_queries(1):
        assert offered(alice) == {}
    switch_tools(False, "", None)
    assert offered(alice)
    forget()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("clean_redis")
def test_searching_the_web_is_switched_off_for_answers_too(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """In conversations whose own switch is on, and whose tools were read before."""

    def switch(*off: Feature) -> None:
        monkeypatch.setattr(site_module, "_known", None)  # as a second later
        SiteSettings.objects.update_or_create(pk=1, defaults={"off": [one.value for one in off]})

    def names() -> set[str]:
        asked = registry.Wanted(alice.pk, uuid.uuid4(), web_search=True, version=tools_version(alice.pk))
        box = async_to_sync(find_tools)(asked)
        assert bool(box.instructions) == ("search_web" in box.tools)
        return set(box.tools)

    SearchProvider.objects.create(name="Ours", kind="searxng", address="http://127.0.0.1:8080")
    publish_own_tools()
    switch()
    with_search = names()
    assert {"search_web", "read_page"} <= with_search
    switch(Feature.WEB_SEARCH)
    for _ in range(2):
        assert names() == with_search - {"search_web", "read_page"}
    switch()
    assert names() == with_search


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("one_model", "no_rules", "layer")
async def test_a_plain_answer_with_tools_offered_costs_one_statement_more(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def counting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        statements.append(str(query)[:60])
        return execute(self, query, *args, **kwargs)

    async def written() -> tuple[int, int]:
        """How many tools were offered, and how many statements the answer took."""
        turn = await in_db(say, alice)
        await announce(turn)
        worker, model = Worker(), ScriptedModel(says("Plain."))
        worker.more["find_tools"] = find_tools
        statements.clear()
        await (await worker.begin(turn, model))
        # Savepoints have numbers of their own, and each connection prepares once.
        made = [one for one in statements if not one.startswith(("SAVEPOINT", "RELEASE", "PREPARE"))]
        await worker.close()
        return len(model.options[0].tools), len(made)

    monkeypatch.setattr(psycopg.Cursor, "execute", counting)
    without = [await written() for _ in range(8)][1:]
    await in_db(publish_own_tools)
    offered = [await written() for _ in range(8)][1:]
    assert {tools for tools, _ in without} == {0}
    assert min(tools for tools, _ in offered) > 3
    # The fewest: now and then one reads what is cached for seconds once more.
    assert min(count for _, count in offered) <= min(count for _, count in without) + 1
