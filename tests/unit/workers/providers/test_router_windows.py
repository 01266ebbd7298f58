"""The window that the router knows of a model, and how to count for it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from workers.providers.base import ListedModel
from workers.providers.config import Definition
from workers.providers.router import ModelRouter

URL = "http://127.0.0.1:8081/v1"


class Listing:
    def __init__(self, *models: ListedModel) -> None:
        self.models = list(models)

    async def list_models(self) -> list[ListedModel]:
        return self.models


def open_router(*definitions: Definition, models: list[ListedModel]) -> ModelRouter:
    router = ModelRouter(cast("Any", lambda definition: Listing(*models)), 1.0)
    router.set_endpoints(definitions)
    return router


@pytest.mark.asyncio
async def test_staff_then_a_refusal_then_the_list() -> None:
    listed = [
        ListedModel("a", window=8192),
        ListedModel("b", window=8192),
        ListedModel("c", window=8192),
        ListedModel("d"),
    ]
    router = open_router(Definition("1", "one", base_url=URL, windows=(("a", 2048),)), models=listed)
    await router.refresh()
    router.facts.note_window("127.0.0.1:8081", "a", 4096)
    router.facts.note_window("127.0.0.1:8081", "b", 4096)
    router.facts.note_window("127.0.0.1:8082", "c", 4096)
    found = {name: router.window_of(name) for name in "abcd"}
    assert {name: (one.tokens, one.source) for name, one in found.items()} == {
        "a": (2048, "staff"), "b": (4096, "refusal"), "c": (8192, "list"), "d": (None, ""),
    }  # fmt: skip
    assert {one.endpoint for one in found.values()} == {"127.0.0.1:8081"}, "another port is another server"
    await router.refresh()
    assert [model.get("window") for model in router.catalog] == [2048, 4096, 8192, None], "the page shows the same"


@pytest.mark.asyncio
async def test_a_model_that_is_not_listed_belongs_to_the_only_endpoint() -> None:
    one, two = Definition("1", "one", base_url=URL), Definition("2", "two", base_url="http://127.0.0.1:8082/v1")
    router = open_router(one, models=[])
    router.facts.note_window("127.0.0.1:8081", "x", 4096)
    assert router.window_of("x").tokens == 4096
    assert open_router(one, two, models=[]).window_of("x").tokens is None
