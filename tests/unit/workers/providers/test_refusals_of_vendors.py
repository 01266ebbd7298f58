"""Refusals as vendors and servers word them, beyond OpenAI's codes: each is told apart by its words or its status."""

from __future__ import annotations

from typing import Any, Final

import pytest

from workers.providers.http.error_kinds import REFUSED_BY_FILTER
from workers.providers.http.errors import error_from_answer

TOO_LONG: Final = {
    "vLLM": (400, {"error": {"message": "The decoder prompt (length 9) is longer than the maximum model length."}}),
    "an older vLLM": (400, {"error": {"message": "max_tokens must be at least 1, got -3000."}}),
    "TGI": (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"}),
    "Groq": (413, {"error": {"message": "Request too large: Limit 9, Requested 10", "code": "rate_limit_exceeded"}}),
    "xAI": (400, {"error": "This model's maximum prompt length is 8 but the request contains 9 tokens."}),
    "Moonshot": (400, {"error": {"message": "Your request exceeded model token limit: 8 (requested: 9)"}}),
    "Zhipu": (400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}),
    "Volcengine": (400, {"error": {"message": "Total tokens of image and text exceed max message tokens"}}),
    "llama-cpp-python": (
        500, {"error": {"message": "Requested tokens (9) exceed context window of 8", "type": "internal_server_error"}},
    ),
    "a length": (400, {"detail": "Length of the input (9) and generated (1) tokens exceed the model max length 8"}),
}  # fmt: skip
NO_CREDIT: Final = {
    "SiliconFlow": (403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}),
    "OpenRouter": (403, {"error": {"message": "Key limit exceeded (total limit).", "code": 403}}),
    "Moonshot": (
        429, {"error": {"message": "suspended due to insufficient balance", "type": "exceeded_current_quota_error"}},
    ),
    "Alibaba": (400, {"error": {"message": "Access denied, please settle your account.", "code": "Arrearage"}}),
}  # fmt: skip
NO_MODEL: Final = {
    "OpenRouter": (400, {"error": {"message": "vendor/m is not a valid model ID", "code": 400}}),
    "OpenRouter without a provider": (404, {"error": {"message": "No endpoints found for vendor/m.", "code": 404}}),
    "DeepSeek": (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}),
    "Ollama": (404, {"error": {"message": "model 'm' not found", "type": "api_error"}}),
    "a status": (410, {"message": "m has been removed"}),
    "a gateway": (422, {"detail": "Model m is not supported"}),
}
FILTERED: Final = {
    "DeepSeek": (400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}),
    "OpenRouter": (403, {"error": {"message": "the model requires moderation and your input was flagged"}}),
    "Alibaba": (400, {"error": {"code": "data_inspection_failed", "message": "No."}}),
    "Zhipu": (400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}),
    "within a stream": (None, {"error": {"message": "Content Exists Risk"}}),
}


@pytest.mark.parametrize(
    ("code", "name", "answer"),
    [
        (code, name, answer)
        for code, answers in (
            ("context_too_long", TOO_LONG), ("upstream_quota", NO_CREDIT), ("model_not_found", NO_MODEL),
            ("upstream_refused", FILTERED),
        )
        for name, answer in answers.items()
    ],
)  # fmt: skip
def test_the_reason_is_told_apart(code: str, name: str, answer: tuple[int | None, Any]) -> None:
    error = error_from_answer(*answer)
    assert (error.code, error.retryable) == (code, False)
    assert (error.message == REFUSED_BY_FILTER) == (code == "upstream_refused"), name


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (405, {"detail": "Method Not Allowed"}, "upstream_refused", False),
        (498, {"error": {"message": "flex tier capacity exceeded"}}, "upstream_rate_limited", True),
        (524, "error code: 524", "upstream_timeout", True),
        (401, {"error": {"message": "Invalid API key", "type": "api_error"}}, "upstream_unauthorized", False),
        (500, {"error": {"message": "The model is not available", "type": "api_error"}}, "upstream_error", True),
        (None, {"error": {"message": "authentication failed", "type": "server_error"}}, "upstream_error", True),
        (
            429,  # Gemini says so of its limits by the minute, too
            {"error": {"status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota."}},
            "upstream_rate_limited",
            True,
        ),
    ],
)  # fmt: skip
def test_a_status_or_a_code_that_says_little(status: int | None, body: Any, code: str, retryable: bool) -> None:
    error = error_from_answer(status, body)
    assert (error.code, error.retryable) == (code, retryable)
