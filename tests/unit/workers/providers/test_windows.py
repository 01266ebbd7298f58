"""The context window of a model: what servers say in a refusal, and which source counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from workers.providers.url_policy import endpoint_name
from workers.providers.windows import Overflow, Window, read_overflow, resolve_window

NOW = datetime(2026, 1, 31, tzinfo=UTC)

SAID = {
    "OpenAI": (
        (
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 4613 tokens. Please"
            " reduce the length of the messages."
        ),
        Overflow(4097, 4613),
    ),
    "OpenAI with an answer": (
        (
            "This model's maximum context length is 4097 tokens, however you requested 5360 tokens (1360 in your"
            " prompt; 4000 for the completion). Please reduce your prompt; or completion length."
        ),
        Overflow(4097, 1360),
    ),
    "OpenAI, newer": (
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        Overflow(),
    ),
    "vLLM": (
        (
            "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens in the messages,"
            " Please reduce the length of the messages."
        ),
        Overflow(32768, 40000, with_answer=True),
    ),
    "vLLM 0.9": (
        "The prompt (total length 40961) is too long to fit into the model (context length 8192).",
        Overflow(8192),
    ),
    "llama.cpp": (
        (
            '{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":'
            '"exceed_context_size_error","n_prompt_tokens":5020,"n_ctx":4096}}'
        ),
        Overflow(4096, 5020),
    ),
    "Anthropic": ("prompt is too long: 210000 tokens > 200000 maximum", Overflow(200_000, 210_000)),
    "Gemini": (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        Overflow(1_048_576, 1_200_000),
    ),
    "Mistral": (
        "Prompt contains 40021 tokens, too large for model with 32768 maximum context length",
        Overflow(32768, 40021),
    ),
    "SiliconFlow": ("length of prompt_tokens (40000) must be less than max_seq_len (32768).", Overflow(32768, 40000)),
    "a sequence": ("Prompt length 9000 exceeds max seq len 8192", Overflow(8192, 9000)),
    "a largest number": ("Prompt is too long: 9000 tokens, max 8192", Overflow(8192, 9000)),
    "watsonx": ("the number of input tokens 9000 cannot exceed the total tokens limit 8192", Overflow(8192)),
    "LM Studio, older": (
        "Trying to keep the first 9000 tokens. However, the model is loaded with context length of only 4096 tokens",
        Overflow(4096, 9000),
    ),
    "Baidu, who counts characters": ("the max input characters is 11200", Overflow()),
    "Groq": ("Please reduce the length of the messages or completion.", Overflow()),
    "TGI": (
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens"
            " and 20 `max_new_tokens`"
        ),
        Overflow(4096, 5000),
    ),
    "OpenRouter": (
        (
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 150000 tokens"
            " (149000 of text input, 1000 in the output)."
        ),
        Overflow(131_072, 149_000),
    ),
    "xAI": (
        "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
        Overflow(131_072, 140_000),
    ),
    "vLLM with images": (
        "The decoder prompt (length 163840) is longer than the maximum model length of 131072. Make sure that …",
        Overflow(131_072, 163_840),
    ),
    "Anthropic with the answer": (
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or …",
        Overflow(200_000, 188_240),
    ),
    "Groq's tokens per minute": (
        "Request too large for model `m` on tokens per minute (TPM): Limit 12000, Requested 15000, please reduce …",
        Overflow(12_000, 15_000),
    ),
    "Moonshot": (
        "Your request exceeded model token limit: 131072 (requested: 140000)",
        Overflow(131_072, 140_000),
    ),
    "Alibaba": ("Range of input length should be [1, 129024]", Overflow(129_024)),
    "Cohere": (
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using …",
        Overflow(4081, 5000),
    ),
    "llama-cpp-python": ("Requested tokens (5000) exceed context window of 4096", Overflow(4096, 5000)),
    "what was sent": ("The maximum context length is 8,192 tokens, but you sent 10,000.", Overflow(8192, 10_000)),
    "MiniMax's number of the error": ("invalid params, context window exceeds limit (2013)", Overflow()),
    "thousands": ("The maximum context length is 128,000 tokens.", Overflow(128_000)),
    "no number": ("context length exceeded", Overflow()),
    "a small number": ("max context length is 3", Overflow()),
}


@pytest.mark.parametrize("name", SAID)
def test_the_numbers_in_a_refusal(name: str) -> None:
    said, found = SAID[name]
    assert read_overflow(said) == found


@pytest.mark.parametrize(
    ("staff", "listed", "learnt", "found"),
    [
        (None, None, None, Window()),
        (None, 8192, None, Window(8192, "list")),
        (None, 8192, 4096, Window(4096, "refusal", NOW)),
        (None, 4096, 8192, Window(4096, "list")),
        (None, None, 4096, Window(4096, "refusal", NOW)),
        (2048, 8192, 4096, Window(2048, "staff")),
    ],
)
def test_staff_count_more_than_a_refusal_and_that_more_than_the_list(
    staff: int | None, listed: int | None, learnt: int | None, found: Window
) -> None:
    assert resolve_window(staff, listed, learnt, NOW if learnt else None, NOW) == found


def test_what_was_learnt_long_ago_is_forgotten() -> None:
    assert resolve_window(None, 8192, 4096, NOW - timedelta(days=31), NOW) == Window(8192, "list")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("https://api.openai.com:443/v1", "api.openai.com"),
        ("http://127.0.0.1:8080/v1", "127.0.0.1:8080"),
        ("http://user:secret@127.0.0.1:8081/v1", "127.0.0.1:8081"),
        ("http://[::1]:8080/v1", "[::1]:8080"),
        ("http://[::1]/v1", "::1"),
        ("http://host:99999/", ""),
    ],
)
def test_two_servers_on_one_machine_have_two_names(url: str, name: str) -> None:
    assert endpoint_name(url) == name
