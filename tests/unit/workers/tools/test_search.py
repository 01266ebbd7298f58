"""What search providers are sent, and what of their answers the model gets."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.web_pages import serve_pages
from workers.tools.base import ToolError
from workers.tools.fetching import Fetched
from workers.tools.search import service
from workers.tools.search.providers import NO_RESULTS, SearchDefinition, SearchError, request_of, results_of


def definition(kind: str = "searxng", url: str = "http://searxng:8080/search", **more: Any) -> SearchDefinition:
    return SearchDefinition(
        **{"name": kind, "kind": kind, "url": url, "key": "", "results": 5, "price": Decimal(0), **more}
    )


def answer(body: Any, status: int = 200) -> Fetched:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Fetched("http://searxng:8080/search", status, {}, "application/json", "", content)


def result(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"url": f"https://example.org/{number}", "title": f"Title {number}", "content": "A passage", **more}


def test_each_kind_is_asked_in_its_own_way() -> None:
    asked = request_of(definition(), "a & b")
    assert (asked.method, asked.url) == ("GET", "http://searxng:8080/search?q=a+%26+b&format=json")
    asked = request_of(definition("brave", "https://brave.example/", key="secret"), "x")
    assert (asked.url, asked.headers["X-Subscription-Token"]) == ("https://brave.example/?q=x&count=5", "secret")
    asked = request_of(definition("tavily", "https://tavily.example/", key="secret"), "x")
    assert (asked.method, asked.headers["Authorization"]) == ("POST", "Bearer secret")
    assert json.loads(asked.body or b"") == {"query": "x", "max_results": 5}
    assert "secret" not in asked.url


def test_results_are_cleaned_and_bounded() -> None:
    many = [result(number) for number in range(100)]
    assert [one.url for one in results_of(definition(), answer({"results": many}))] == [
        f"https://example.org/{number}" for number in range(5)
    ]
    odd = [
        result(1, title="<b>Bold</b> &amp; <script>alert(1)</script>", content="x" * 50_000),
        result(1),  # the same address again
        result(2, url="javascript:alert(1)"), result(3, url=None), result(4, url="https://[broken"),
        result(5, title=None, content="a\x1b[31m\u202eb\n c"),
    ]  # fmt: skip
    found = results_of(definition(), answer({"results": odd}))
    assert [one.url for one in found] == ["https://example.org/1", "https://example.org/5"]
    assert found[0].title == "Bold & alert(1)"
    assert len(found[0].passage) == 600
    assert (found[1].title, found[1].passage) == ("https://example.org/5", "a [31m b c")


def test_braves_answers() -> None:
    body = {
        "web": {"results": [{"url": "https://a.example/", "title": "A", "description": "The <strong>word</strong>"}]}
    }
    assert results_of(definition("brave"), answer(body))[0].passage == "The word"
    assert results_of(definition("brave"), answer({"type": "search"})) == []


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"<html>Log in</html>", 200, NO_RESULTS),
        (b"\xff\x00", 200, NO_RESULTS),
        ({"detail": "x"}, 200, NO_RESULTS),
        ({"results": "none"}, 200, NO_RESULTS),
        ([], 200, NO_RESULTS),
        (b"[" * 5000, 200, NO_RESULTS),
        (b"slow down", 429, "The search provider takes no more searches for now."),
        ({}, 401, "The search provider refuses the key."),
        (b"<html>", 500, "The search provider failed."),
    ],
)
def test_answers_that_are_no_results(body: Any, status: int, sentence: str) -> None:
    with pytest.raises(SearchError) as caught:
        results_of(definition(), answer(body, status))
    assert caught.value.sentence == sentence


async def test_the_next_provider_is_asked_where_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve_pages() as pages:
        pages.show("/limited", "slow down", status=429)
        pages.show("/works", json.dumps({"results": [result()]}), "application/json")
        asked = [definition(url=pages.url("/limited")), definition(url=pages.url("/works"), name="second")]
        monkeypatch.setattr(service, "load_providers", lambda: asked)
        found, provider = await service.search("x")
        assert (len(found), provider.name) == (1, "second")
        asked.pop()
        with pytest.raises(ToolError, match="no more searches"):
            await service.search("x")
        asked[:] = [definition(url="http://127.0.0.1:1/search")]
        with pytest.raises(ToolError) as caught:
            await service.search("x")
        assert "127.0.0.1" not in caught.value.sentence
        asked.clear()
        with pytest.raises(ToolError, match="no search provider"):
            await service.search("x")
