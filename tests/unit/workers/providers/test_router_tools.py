"""Whether a model takes tools, as far as the router knows, and what it publishes of that."""

from __future__ import annotations

from tests.unit.workers.providers.test_router_windows import URL, open_router
from workers.endpoints.known_models import Decisions, apply_decisions
from workers.providers.base import ListedModel
from workers.providers.config import Definition

HOST = "127.0.0.1:8081"


async def test_staff_then_a_refusal_then_the_list() -> None:
    listed = [
        ListedModel("a", tools=True),
        ListedModel("b", tools=True),
        ListedModel("c", tools=False),
        ListedModel("d"),
    ]
    decided = Decisions(tools=(("a", True), ("c", True)))
    [definition] = apply_decisions([Definition("1", "one", base_url=URL)], decided)
    router = open_router(definition, models=listed)
    await router.refresh()
    for name in "ab":
        router.facts.note_refused(HOST, name, "tools")
    assert {name: router.takes_tools(name) for name in "abcd"} == {"a": True, "b": False, "c": True, "d": None}
    await router.refresh()
    assert [model.get("tools") for model in router.catalog] == [True, False, True, None], "the picker shows the same"


async def test_a_model_that_is_not_listed_belongs_to_the_only_endpoint() -> None:
    one, two = Definition("1", "one", base_url=URL), Definition("2", "two", base_url="http://127.0.0.1:8082/v1")
    router = open_router(one, models=[])
    router.facts.note_refused(HOST, "x", "tools")
    assert router.takes_tools("x") is False
    assert open_router(one, two, models=[]).takes_tools("x") is None


def test_what_staff_said_does_not_close_connections() -> None:
    one = Definition("1", "one", base_url=URL)
    [other] = apply_decisions([one], Decisions(tools=(("a", False),)))
    assert other != one
    assert other.connection == one.connection
