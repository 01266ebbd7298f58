"""What vendors' and servers' lists say of a model: its kind, its window, what it can do, and what it costs."""

from __future__ import annotations

from typing import Any, Final

import pytest

from workers.providers.http.listing import read_model

EMBEDDING: Final = "the endpoint lists it for embedding"
SAID: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "LM Studio's model that sees": (
        {"type": "vlm", "max_context_length": 32768, "loaded_context_length": 4096, "capabilities": ["tool_use"]},
        {"sees": True, "tools": True, "window": 4096},
    ),
    "LM Studio's own API": (
        {
            "type": "llm", "max_context_length": 40960, "loaded_instances": [{"config": {"context_length": 8192}}],
            "capabilities": {"vision": False, "trained_for_tool_use": True},
        },
        {"sees": False, "tools": True, "window": 8192},
    ),
    "GitHub": (
        {
            "capabilities": {
                "type": "chat", "limits": {"max_context_window_tokens": 128_000},
                "supports": {"tool_calls": True, "vision": True},
            }
        },
        {"sees": True, "tools": True, "window": 128_000},
    ),
    "GitHub's for embeddings": ({"capabilities": {"type": "embeddings"}}, {"hidden": EMBEDDING}),
    "LiteLLM": (
        {
            "mode": "chat", "supports_vision": True, "supports_function_calling": True, "supports_reasoning": False,
            "max_input_tokens": 9000, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
        },
        {"sees": True, "tools": True, "thinks": False, "window": 9000, "input_price": 1.0, "output_price": 2.0},
    ),
    "LiteLLM's model_info": (
        {"model_info": {"mode": "chat", "max_input_tokens": 9000, "supports_vision": True}},
        {"sees": True, "window": 9000},
    ),
    "LiteLLM's model_info for embeddings": ({"model_info": {"mode": "embedding"}}, {"hidden": EMBEDDING}),
    "DeepInfra": (
        {
            "metadata": {
                "context_length": 131_072, "pricing": {"input_tokens": 0.1, "output_tokens": 0.3},
                "tags": ["reasoning", "vision"],
            }
        },
        {"sees": True, "thinks": True, "window": 131_072, "input_price": 0.1, "output_price": 0.3},
    ),
    "Fireworks": (
        {"supports_tools": True, "supports_image_input": False, "context_length": 131_072},
        {"sees": False, "tools": True, "window": 131_072},
    ),
    "Fireworks's kinds": ({"kind": "EMBEDDING_MODEL", "supportsTools": False}, {"hidden": EMBEDDING, "tools": False}),
    "Novita": (
        {"features": ["function-calling", "vision"], "context_size": 32768, "model_type": "chat"},
        {"sees": True, "tools": True, "window": 32768},
    ),
    "Hugging Face: text from images": ({"task": "image-text-to-text"}, {}),
    "Hugging Face: similarity": ({"pipeline_tag": "sentence-similarity"}, {"hidden": EMBEDDING}),
    "Hugging Face: images": ({"task": "text-to-image"}, {"hidden": "the endpoint lists it for images"}),
    "Together's audio": ({"type": "audio"}, {"hidden": "the endpoint lists it for speech"}),
    "GitHub's catalogue": (
        {
            "limits": {"max_input_tokens": 9000}, "supported_input_modalities": ["text", "image"],
            "supported_output_modalities": ["text"], "capabilities": ["streaming", "tool-calling"],
        },
        {"sees": True, "tools": True, "window": 9000},
    ),
    "GitHub's catalogue for embeddings": (
        {"supported_output_modalities": ["embeddings"]}, {"hidden": "the endpoint lists it for embeddings"},
    ),
    "Bedrock": ({"outputModalities": ["TEXT"], "inputModalities": ["TEXT", "IMAGE"]}, {"sees": True}),
    "Cohere": ({"endpoints": ["generate", "chat", "classify"], "context_length": 128_000}, {"window": 128_000}),
    "Cohere's for embeddings": ({"endpoints": ["embed", "embed_image"]}, {"hidden": EMBEDDING}),
    "watsonx": (
        {"functions": [{"id": "text_chat"}], "model_limits": {"max_sequence_length": 131_072}}, {"window": 131_072},
    ),
    "Databricks": ({"task": "llm/v1/embeddings"}, {"hidden": EMBEDDING}),
    "Cloudflare": ({"task": {"id": "x", "name": "Text Generation"}}, {}),
    "Cloudflare's for embeddings": ({"task": {"name": "Text Embeddings"}}, {"hidden": EMBEDDING}),
    "Volcengine": ({"domain": "VLM", "token_limits": {"context_window": 256_000}}, {"window": 256_000}),
    "Volcengine's for images": ({"domain": "ImageGeneration"}, {"hidden": "the endpoint lists it for images"}),
    "Volcengine's that was shut down": ({"status": "Shutdown"}, {"hidden": "the endpoint lists it as not in service"}),
    "Groq's that is not active": (
        {"active": False, "context_window": 8192},
        {"hidden": "the endpoint lists it as not in service", "window": 8192},
    ),
    "Hugging Face's router": (
        {
            "providers": [
                {"context_length": 64_000, "supports_tools": True}, {"context_length": 32_000, "supports_tools": False},
            ]
        },
        {"window": 32_000, "tools": True},
    ),
    "Vercel, prices of a token": (
        {"type": "language", "pricing": {"input": "0.0000005", "output": "0.000001"}},
        {"input_price": 0.5, "output_price": 1.0},
    ),
    "models.dev": (
        {"tool_call": True, "reasoning": True, "cost": {"input": 1, "output": 2}},
        {"tools": True, "thinks": True, "input_price": 1.0, "output_price": 2.0},
    ),
    "TabbyAPI": ({"parameters": {"max_seq_len": 4096}}, {"window": 4096}),
    "AI/ML API": ({"type": "chat-completion", "info": {"contextLength": 16_000}}, {"window": 16_000}),
    "AI/ML API's for speech": ({"type": "stt"}, {"hidden": "the endpoint lists it for speech"}),
    "other words": ({"support_vision": True, "support_function_call": True}, {"sees": True, "tools": True}),
    "DeepInfra's for pictures": ({"type": "object-detection"}, {"hidden": "the endpoint lists it for detection"}),
    "fields of other types": (
        {
            "capabilities": 7, "metadata": [1], "model_info": "x", "loaded_instances": [None], "features": {"a": 1},
            "supports_vision": "yes", "pricing": [], "type": ["llm"],
        },
        {},
    ),
}  # fmt: skip
NOTHING: Final = {
    "hidden": "", "sees": None, "tools": None, "thinks": None, "window": None, "input_price": None,
    "output_price": None,
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_a_list_says(name: str) -> None:
    entry, expected = SAID[name]
    model = read_model({"id": "x", **entry})
    assert model is not None
    assert {field: getattr(model, field) for field in NOTHING} == NOTHING | expected


@pytest.mark.parametrize(
    "name",
    [
        "embeddinggemma:300m", "veo-3.0-generate-preview", "black-forest-labs/FLUX.1-schnell", "kokoro",
        "chatgpt-image-latest", "qwen-image", "dalle-3", "stablediffusion", "hunyuan-video", "seedream-4", "kling-v1",
        "llama-guard-3-8b", "meta-llama/Llama-Guard-4-12B", "openai/gpt-oss-safeguard-20b", "voyage-3-large",
        "nvidia/nv-rerankqa", "sentence-transformers/all-mpnet-base-v2", "cosyvoice-v2",
        "canary-1b-asr", "parakeet-tdt-0.6b", "lyria-002", "cogview-4", "recraft-v3", "wan2.1-t2v-14b", "colpali-v1.3",
    ],
)  # fmt: skip
def test_families_that_are_not_for_chat(name: str) -> None:
    model = read_model(name)
    assert model is not None
    assert model.hidden


@pytest.mark.parametrize(
    "name",
    [
        "whisperer-13b",
        "fluxion-7b",
        "voyager-70b",
        "asriel-8b",
        "imagenet-llm",
        "mistral-embed-chat",
        "veolia-3b",
        "guardian-8b",
        "klingon-7b",
        "imagery-chat",
        "sunoco-3b",
        "qwen-vl-max",
        "gemini-2.5-flash-image",
    ],
)
def test_a_piece_of_a_name_hides_nothing(name: str) -> None:
    model = read_model(name)
    assert model is not None
    assert not model.hidden
