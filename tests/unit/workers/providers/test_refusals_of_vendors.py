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
    "GitHub": (
        400,
        {
            "error": {
                "message": "prompt token count of 9 exceeds the limit of 8",
                "code": "model_max_prompt_tokens_exceeded",
            }
        },
    ),
    "MiniMax": (None, {"base_resp": {"status_code": 1039, "status_msg": "token limit exceeded"}}),
    "SiliconFlow": (400, {"code": 20015, "message": "length of prompt_tokens (9) must be less than max_seq_len (8)."}),
    "a sequence": (400, {"error": {"message": "Prompt length 9000 exceeds max seq len 8192"}}),
    "a limit": (422, {"message": "Invalid params: tokens limit exceeded for the model"}),
    "a token limit": (400, {"error": {"message": "messages exceed the token limit of the model", "code": "1210"}}),
    "Zhipu in Chinese": (400, {"error": {"message": "输入长度超过模型最大长度限制", "code": "x"}}),
    "Baidu": (400, {"error_code": 336007, "error_msg": "the max input characters is 11200"}),
    "a length": (400, {"detail": "Length of the input (9) and generated (1) tokens exceed the model max length 8"}),
}  # fmt: skip
NO_CREDIT: Final = {
    "SiliconFlow": (403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}),
    "OpenRouter": (403, {"error": {"message": "Key limit exceeded (total limit).", "code": 403}}),
    "Moonshot": (
        429, {"error": {"message": "suspended due to insufficient balance", "type": "exceeded_current_quota_error"}},
    ),
    "Zhipu": (429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试。"}}),
    "New API": (403, {"error": {"message": "用户额度不足", "code": "insufficient_user_quota"}}),
    "One API": (403, {"error": {"message": "预扣费额度失败", "code": "pre_consume_token_quota_failed"}}),
    "LiteLLM": (400, {"error": {"message": "Budget has been exceeded! Max budget: 1.0", "type": "budget_exceeded"}}),
    "Alibaba": (400, {"error": {"message": "Access denied, please settle your account.", "code": "Arrearage"}}),
}  # fmt: skip
NO_MODEL: Final = {
    "OpenRouter": (400, {"error": {"message": "vendor/m is not a valid model ID", "code": 400}}),
    "OpenRouter without a provider": (404, {"error": {"message": "No endpoints found for vendor/m.", "code": 404}}),
    "DeepSeek": (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}),
    "Ollama": (404, {"error": {"message": "model 'm' not found", "type": "api_error"}}),
    "a status": (410, {"message": "m has been removed"}),
    "Bedrock": (400, {"message": "The provided model identifier is invalid."}),
    "GitHub": (
        400,
        {"error": {"message": "The requested model 'm' is not supported by any provider you have enabled."}},
    ),
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
        (400, {"error": {"code": "Throttling", "message": "Please try later."}}, "upstream_rate_limited", True),
        (None, {"error": {"message": "Too many tokens, please wait"}}, "upstream_rate_limited", True),
        (
            422,
            {"detail": [{"type": "missing", "loc": ["header", "authorization"], "msg": "Field required"}]},
            "upstream_unauthorized",
            False,
        ),
        (403, {"message": "The security token included in the request is invalid."}, "upstream_unauthorized", False),
        (401, {"error": {"message": "无效的令牌", "type": "one_api_error"}}, "upstream_unauthorized", False),
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
