"""Ollama's own API: requests, answers, and what it says of a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.workers.providers.dialect_calls import read, wanted
from workers.providers.base import ProviderError
from workers.providers.http.dialect import Target
from workers.providers.ollama.dialect import OllamaDialect


class TestOllama:
    async def window(
        self, num_ctx: int | None, *, loaded: int = 0, parameters: str = "", trained: int = 131_072
    ) -> int:
        answers: dict[str, object] = {
            "api/tags": {"models": [{"name": "m", "digest": "d"}]},
            "api/ps": {"models": [{"name": "m", "context_length": loaded}] if loaded else []},
            "api/show": {"parameters": parameters, "model_info": {"x.context_length": trained}},
        }

        async def fetch(target: Target, _body: Mapping[str, Any] | None = None) -> bytes:
            return json.dumps(answers[target.path]).encode()

        [model] = await OllamaDialect(num_ctx).list_models(fetch)
        assert model.window is not None
        return model.window

    async def test_the_window_is_what_is_loaded(self) -> None:
        """Not what the model was trained for: Ollama cuts longer prompts without saying so."""
        assert await self.window(None) == 4096
        assert await self.window(None, parameters="num_ctx    8192\nstop   x") == 8192
        assert await self.window(16_384, parameters="num_ctx    8192") == 16_384
        assert await self.window(None, loaded=32_768) == 32_768
        assert await self.window(None, trained=2048) == 2048

    @pytest.mark.parametrize(
        ("model", "num_ctx", "running", "loading"),
        [
            ("m:8b", None, {"m:8b": 4096}, False),
            ("m:8b", None, {}, True),
            ("m:8b", None, {"m:4b": 4096}, True),
            ("m", None, {"m:latest": 4096}, False),
            ("m", 8192, {"m:latest": 4096}, True),
            ("m", 8192, {"m:latest": 8192}, False),
            ("m", 8192, {"m:latest": 0}, False),
        ],
    )
    async def test_whether_a_model_is_to_be_loaded(
        self, model: str, num_ctx: int | None, running: dict[str, int], loading: bool
    ) -> None:
        async def fetch(target: Target, _body: Mapping[str, Any] | None = None) -> bytes:
            assert target.path == "api/ps"
            return json.dumps({"models": [{"name": n, "context_length": t} for n, t in running.items()]}).encode()

        assert await OllamaDialect(num_ctx).is_loading(fetch, model) == loading

    async def test_an_ollama_that_does_not_say_what_is_loaded(self) -> None:
        async def fetch(_target: Target, _body: Mapping[str, Any] | None = None) -> bytes:
            raise ProviderError("upstream_refused", "an older version")

        assert not await OllamaDialect().is_loading(fetch, "m")

    async def test_a_model_is_described_once_for_each_version(self) -> None:
        asked: list[str] = []

        async def fetch(target: Target, _body: Mapping[str, Any] | None = None) -> bytes:
            asked.append(target.path)
            if target.path == "api/ps":
                raise ProviderError("upstream_refused", "an older version")
            return b'{"models": [{"name": "m", "digest": "d"}], "capabilities": ["completion", "vision"]}'

        dialect = OllamaDialect()
        for _ in range(2):
            [model] = await dialect.list_models(fetch)
            assert model.sees
            assert model.tools is False, "what it does not name, the model cannot do"
        assert asked.count("api/show") == 1

    def test_a_model_that_was_only_loaded_has_not_answered(self) -> None:
        reader, chunks, _ = read(OllamaDialect(), {"message": {"content": ""}, "done": True, "done_reason": "load"})
        assert reader.done
        assert not any(chunk.text or chunk.finish_reason for chunk in chunks)

    def test_an_effort(self) -> None:
        dialect = OllamaDialect()
        assert dialect.body(wanted(effort="low"))["think"] == "low"
        assert dialect.body(wanted("think_level", effort="low"))["think"] is True
        assert "think" not in dialect.body(wanted("think", effort="low"))
        assert (
            dialect.find_refused('think value "low" is not supported for this model', {"think": "low"}) == "think_level"
        )
        assert dialect.find_refused('"gemma3" does not support thinking', {"think": "low"}) == "think"
