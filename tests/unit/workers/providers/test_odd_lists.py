"""Lists of models in other forms than the reference's: whatever can be asked is listed, and nothing breaks a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from workers.providers.base import ListedModel, ProviderError
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.dialect import PAGES, Dialect, Target
from workers.providers.http.listing import NAME_CHARS, parse_models
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect

REASON_CHARS = 200  # of the column that the admin's list has for it


def names(value: object) -> list[str]:
    return [model.id for model in parse_models(json.dumps(value).encode())]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"data": {"models": [{"id": "a"}]}}, ["a"]),
        ({"success": True, "result": [{"name": "@cf/meta/llama"}]}, ["@cf/meta/llama"]),
        ({"result": {"data": [{"id": "a"}]}}, ["a"]),
        ({"items": ["a"]}, ["a"]),
        ({"data": {"a": {"object": "model"}, "b": None}}, ["a", "b"]),
        ([["a", "b"], [{"id": "c"}]], ["a", "b", "c"]),
        ({"data": [None, 7, {"id": None, "name": "a"}, {"id": " ", "model": "b"}]}, ["a", "b"]),
        ([{"model_id": "a"}, {"modelId": "b"}, {"slug": "c"}, {"key": "d"}, {"model_name": "e"}], list("abcde")),
        ({"data": [{"id": "a"}, {"id": "a"}, {"id": " a "}, {"id": "A"}]}, ["a", "A"]),
        ({"data": [{"id": "org/模型:7b@v1?x=1#y"}]}, ["org/模型:7b@v1?x=1#y"]),
        ({"data": [{"id": "m\ud83d"}, {"id": "m\x00"}, {"id": "m\nn"}, {"id": "x" * (NAME_CHARS + 1)}, "ok"]}, ["ok"]),
        ({"object": "list", "data": None}, []),
        ({"resources": [{"model_id": "ibm/granite"}], "total_count": 1}, ["ibm/granite"]),
        ({"modelSummaries": [{"modelId": "vendor.a"}]}, ["vendor.a"]),
        ({"endpoints": [{"name": "a", "task": "llm/v1/chat"}]}, ["a"]),
        ({"result": [{"id": "41975cc2-c82e-4e98-b7b8-88ffb186a545", "name": "@cf/meta/llama"}]}, ["@cf/meta/llama"]),
        (["41975cc2-c82e-4e98-b7b8-88ffb186a545"], ["41975cc2-c82e-4e98-b7b8-88ffb186a545"]),
    ],
)
def test_names_in_other_forms(value: object, found: list[str]) -> None:
    assert names(value) == found


@pytest.mark.parametrize("value", [{}, None, 7, "models", {"message": {"a": 1}}, {"error": {"message": "bad key"}}])
def test_what_is_no_list(value: object) -> None:
    with pytest.raises(ProviderError) as caught:
        names(value)
    assert caught.value.code == "upstream_garbage"


def test_a_number_with_5000_digits() -> None:
    assert parse_models(b'{"data": [{"id": "a", "created": ' + b"9" * 5000 + b"}]}")[0].id == "a"


def test_what_a_list_says_of_kinds_fits_into_a_table() -> None:
    kinds = ["\x00", "x" * 5000, *(f"kind{letter}" for letter in "abcdefghijklmnop"), "video"]
    [model] = parse_models(json.dumps([{"id": "a", "output_modalities": kinds}]).encode())
    assert model.hidden
    assert len(model.hidden) <= REASON_CHARS
    assert "\x00" not in model.hidden


class Pages:
    """A server's lists, page by page. It answers as `fetch`."""

    def __init__(self, *pages: object) -> None:
        self.pages = [page if isinstance(page, bytes) else json.dumps(page).encode() for page in pages]
        self.asked: list[Mapping[str, str]] = []

    async def __call__(self, target: Target, _body: Mapping[str, Any] | None = None, /) -> bytes:
        self.asked.append(target.query)
        return self.pages[min(len(self.asked), len(self.pages)) - 1]


async def listed(dialect: Dialect, pages: Pages) -> list[ListedModel]:
    return await dialect.list_models(pages)


async def test_a_list_in_pages() -> None:
    pages = Pages(
        {"data": [{"id": f"m{number}"} for number in range(200)], "has_more": True, "last_id": "m199"},
        {"data": [{"id": "m200"}], "has_more": False, "last_id": "m200"},
    )
    assert len(await listed(OpenAIDialect(), pages)) == 201
    assert pages.asked == [{}, {"after": "m199"}]


async def test_a_server_that_never_ends_its_pages() -> None:
    same = Pages({"data": [{"id": "a"}], "has_more": True, "last_id": "a"})
    assert [model.id for model in await listed(OpenAIDialect(), same)] == ["a"]
    assert len(same.asked) == 2
    endless = Pages(*({"data": [f"m{number}"], "has_more": True, "last_id": f"m{number}"} for number in range(99)))
    assert len(await listed(OpenAIDialect(), endless)) == PAGES


@pytest.mark.parametrize("dialect", [GeminiDialect(), OllamaDialect()], ids=lambda dialect: dialect.kind)
@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"null", b"[]", b'{"models": {"a": {}}}'])
async def test_another_thing_in_place_of_a_list(dialect: Dialect, body: bytes) -> None:
    """It is not told as an endpoint without models."""
    with pytest.raises(ProviderError) as caught:
        await listed(dialect, Pages(body))
    assert caught.value.message == "The model's server did not send a list of models."
