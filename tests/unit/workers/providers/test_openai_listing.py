"""Lists of models as servers send them: what is offered, what is hidden and why, and what is known of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workers.providers.base import ListedModel, ProviderError
from workers.providers.config import Definition, Timeouts
from workers.providers.http.listing import parse_models
from workers.providers.selection import make_labels, select_offered

NOBODY = Definition(id="a", name="a", timeouts=Timeouts(1, 1, 1, 1))


def parse(entries: Any) -> list[ListedModel]:
    return parse_models(json.dumps(entries).encode())


def offered(*entries: Any, definition: Definition = NOBODY) -> list[str]:
    found = [{"id": entry} if isinstance(entry, str) else entry for entry in entries]
    return [model.id for model in select_offered(parse({"data": found}), definition)]


@pytest.mark.parametrize(
    "names",
    [
        ["Llama-3.3-70B-Instruct", "Qwen3-32B"],
        ["llama3.2:3b-instruct-q4_K_M", "qwen2.5:7b-instruct", "gemma3:4b"],
        ["sonar-deep-research", "gpt-5", "gpt-4o-search-preview"],
        ["deepseek-r1", "audiobook-writer", "imagery-chat", "Qwen2-Audio-7B-Instruct", "research-assistant"],
    ],
)
def test_nothing_is_hidden_by_a_piece_of_its_name(names: list[str]) -> None:
    assert offered(*names) == names


@pytest.mark.parametrize(
    "name",
    [
        "nomic-embed-text", "text-embedding-3-large", "BAAI/bge-m3", "intfloat/e5-mistral-7b",
        "mxbai-embed-large:latest",
        "whisper-1", "tts-1-hd", "gpt-4o-transcribe", "gpt-4o-realtime-preview", "gpt-4o-audio-preview", "dall-e-3",
        "dall·e-3", "gpt-image-1", "sora-2", "omni-moderation-latest", "jina-reranker-v2", "davinci-002", "babbage-002",
        "gpt-3.5-turbo-instruct", "stable-diffusion-3", "snowflake-arctic-embed2",
    ],
)  # fmt: skip
def test_known_families_are_hidden_with_a_reason(name: str) -> None:
    [model] = parse({"data": [{"id": name}]})
    assert model.hidden.startswith("its name is that of a model for "), model


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"type": "embeddings"}, "embedding"),
        ({"type": "image"}, "images"),
        ({"mode": "audio_transcription"}, "speech"),
        ({"mode": "image_generation"}, "images"),
        ({"mode": "rerank"}, "reranking"),
        ({"capabilities": ["embedding"]}, "embedding"),
        ({"capabilities": {"completion_chat": False, "vision": False}}, "other uses"),
        ({"architecture": {"modality": "text->image"}}, "image"),
        ({"architecture": {"output_modalities": ["audio"]}}, "audio"),
    ],
)
def test_what_the_endpoint_says_hides_it(entry: dict[str, Any], reason: str) -> None:
    [model] = parse({"data": [{"id": "x", **entry}]})
    assert model.hidden.startswith(f"the endpoint lists it for {reason}"), model


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "llm"},
        {"type": "vlm"},
        {"mode": "chat"},
        {"mode": "responses"},
        {"capabilities": ["completion", "tools"]},
        {"architecture": {"modality": "text+image->text"}},
        {"type": 5, "mode": None, "capabilities": 7, "architecture": "none", "id": "plain"},
    ],
)
def test_what_the_endpoint_says_counts_more_than_the_name(entry: dict[str, Any]) -> None:
    assert len(offered({"id": "my-embedding-chat", **entry})) == 1


def test_staff_decide() -> None:
    decided = Definition(
        id="a", name="a", timeouts=Timeouts(1, 1, 1, 1), shown=frozenset({"tts-1"}), hidden=frozenset({"gpt-5"})
    )
    assert offered("tts-1", "gpt-5", "whisper-1", definition=decided) == ["tts-1"]


@pytest.mark.parametrize(
    ("entry", "window"),
    [
        ({"meta": {"n_ctx": 4096, "n_ctx_train": 131072}}, 4096),
        ({"meta": {"n_ctx_train": 131072}}, 131072),
        ({"max_model_len": 32768}, 32768),
        ({"context_length": 200000.0}, 200000),
        ({"context_window": "8192"}, 8192),
        ({"max_input_tokens": 128000}, 128000),
        ({"context_length": -1}, None),
        ({"context_length": 10**20}, None),
        ({"context_length": [1], "meta": []}, None),
        ({}, None),
    ],
)
def test_windows(entry: dict[str, Any], window: int | None) -> None:
    [model] = parse({"data": [{"id": "x", **entry}]})
    assert model.window == window


def test_what_a_model_can_do() -> None:
    openrouter = {
        "architecture": {"input_modalities": ["text", "image"]},
        "supported_parameters": ["tools", "reasoning"],
    }
    without_tools = {"supported_parameters": ["temperature", "max_tokens"]}  # OpenRouter's list is complete
    mistral = {"capabilities": {"completion_chat": True, "vision": False, "function_calling": True}}
    ollama = {"capabilities": ["completion", "vision", "thinking"]}
    found = parse({"data": [{"id": "o", **openrouter}, {"id": "m", **mistral}, {"id": "l", **ollama}, {"id": "n"}]})
    [plain] = parse({"data": [{"id": "w", **without_tools}]})
    assert plain.tools is False
    assert [(one.sees, one.tools, one.thinks) for one in found] == [
        (True, True, True),
        (False, True, None),
        (True, None, True),
        (None, None, None),
    ]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ([{"id": "a"}, {"id": "b"}], ["a", "b"]),
        ({"data": [{"id": "a"}, {"id": 5}, {"no": "id"}, None, "b", {"id": "a"}, {"id": " "}]}, ["a", "b"]),
        ({"data": None}, []),
        ({"models": [{"name": "a"}]}, ["a"]),
        ({"object": "list", "data": [{"id": f"m{number}"} for number in range(700)]}, [f"m{n}" for n in range(700)]),
    ],
)
def test_ways_of_writing_a_list(body: Any, names: list[str]) -> None:
    assert [model.id for model in parse(body)] == names


@pytest.mark.parametrize("body", [b"", b"<html>", b"5", b'{"error": "no"}', b'{"data": 5}', b"[" * 100_000])
def test_no_list(body: bytes) -> None:
    with pytest.raises(ProviderError, match="upstream_garbage"):
        parse_models(body)


def test_labels() -> None:
    names = [
        "/models/Qwen3-8B-Q4_K_M.gguf", "C:\\models\\phi.GGUF", "meta-llama/Llama-3.3-70B", "gpt-4.1", "a/same",
        "b/same",
    ]  # fmt: skip
    assert make_labels([ListedModel(name) for name in names]) == [
        "Qwen3-8B-Q4_K_M", "phi", "Llama-3.3-70B", "gpt-4.1", "a/same", "b/same",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "prices"),
    [
        ({"pricing": {"prompt": "0.00000125", "completion": "0.00001", "image": "0"}}, (1.25, 10.0)),
        ({"pricing": {"prompt": "0", "completion": 0}}, (0.0, 0.0)),
        ({"pricing": {"input": 0.88, "output": 0.9, "hourly": 0}}, (0.88, 0.9)),
        ({"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05}, (3.0, 15.0)),
        ({"pricing": {"prompt": "-1", "completion": "-1"}}, (None, None)),
        ({"pricing": {"prompt": "0.1"}}, (None, None)),
        ({"pricing": {"prompt": "cheap", "completion": "dear"}}, (None, None)),
        ({"pricing": {"prompt": "nan", "completion": "inf"}}, (None, None)),
        ({"pricing": {"prompt": True, "completion": []}}, (None, None)),
        ({"pricing": "on request"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_prices(entry: dict[str, Any], prices: tuple[float | None, float | None]) -> None:
    [model] = parse_models(json.dumps([{"id": "m", **entry}]).encode())
    assert (model.input_price, model.output_price) == prices
