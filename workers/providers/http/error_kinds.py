"""What went wrong at a model's server: by the error's code, else its words, else the HTTP status. Pure: no I/O.

Codes and statuses: the guides to errors of OpenAI, Anthropic, Google (google.rpc.Code) and Azure, plus what vLLM,
SGLang, llama.cpp, Ollama, OpenRouter, Groq, DeepSeek, xAI, Moonshot and others send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from accounts.lib.texts import gettext_noop

REFUSED_BY_FILTER: Final = gettext_noop("The model's provider refused to answer because of its content rules.")
NOT_SET_UP: Final = gettext_noop("This model isn't set up correctly. Please tell an administrator.")
TOO_SLOW: Final = gettext_noop("The model took too long to respond. Please try again.")
BUSY: Final = gettext_noop("The model is busy. Please try again in a moment.")


@dataclass(frozen=True, slots=True)
class ErrorKind:
    code: str
    message: str
    retryable: bool = False


_CONTEXT = ErrorKind(
    "context_too_long", gettext_noop("This conversation is too long for the model. Start a new one, or shorten it.")
)
_MODEL = ErrorKind("model_not_found", gettext_noop("This model is no longer available. Choose another one."))
_ADDRESS = ErrorKind("upstream_refused", NOT_SET_UP)
_MOVED = ErrorKind("upstream_error", NOT_SET_UP)
_KEY = ErrorKind("upstream_unauthorized", NOT_SET_UP)
_QUOTA = ErrorKind(
    "upstream_quota", gettext_noop("This model's account has no credit left. Please tell an administrator.")
)
RATE = ErrorKind("upstream_rate_limited", BUSY, True)
_FILTER = ErrorKind("upstream_refused", REFUSED_BY_FILTER)
_REFUSED = ErrorKind("upstream_refused", gettext_noop("The model's server rejected this request."))
_FORBIDDEN = ErrorKind(
    "upstream_refused", gettext_noop("This model can't be used here. Choose another one, or tell an administrator.")
)
_SLOW = ErrorKind("upstream_timeout", TOO_SLOW, True)
_BROKEN = ErrorKind("upstream_error", gettext_noop("The model's server has a problem. Please try again."), True)
_LOADING = ErrorKind("upstream_loading", gettext_noop("The model is being loaded. Please try again in a moment."), True)
_UNKNOWN = ErrorKind(
    "upstream_error", gettext_noop("The model's server sent an unexpected response. Please try again.")
)

_BY_CODE: Final[Mapping[str, ErrorKind]] = {
    "context_length_exceeded": _CONTEXT,
    "string_above_max_length": _CONTEXT,
    "exceed_context_size_error": _CONTEXT,
    "model_max_prompt_tokens_exceeded": _CONTEXT,  # GitHub
    "model_not_found": _MODEL,
    "model_not_supported": _MODEL,  # GitHub
    "invalid_api_key": _KEY,
    "authentication_error": _KEY,
    "no_db_connection": _KEY,  # LiteLLM without a database: it knows no key but its own, and this is another one
    "insufficient_quota": _QUOTA,
    "billing_hard_limit_reached": _QUOTA,
    "exceeded_current_quota_error": _QUOTA,  # Moonshot
    "arrearage": _QUOTA,  # Alibaba
    "budget_exceeded": _QUOTA,  # LiteLLM
    "insufficient_user_quota": _QUOTA,  # One API and New API, which many gateways run
    "pre_consume_token_quota_failed": _QUOTA,
    "rate_limit_exceeded": RATE,
    "rate_limit_error": RATE,
    "throttling": RATE,  # Alibaba, with HTTP 400 too
    "content_filter": _FILTER,
    "content_policy_violation": _FILTER,
    "data_inspection_failed": _FILTER,  # Alibaba
    "overloaded_error": _BROKEN,
    "timeout": _SLOW,
    "invalid_prompt": _FILTER,  # the Responses API
    "deploymentnotfound": _MODEL,  # Azure
    "request_too_large": _CONTEXT,  # Anthropic, down to the timeout
    "permission_error": _FORBIDDEN,
    "billing_error": _QUOTA,
    "timeout_error": _SLOW,
    "unauthenticated": _KEY,  # Google, from here on; INVALID_ARGUMENT and others say nothing on their own
    "resource_exhausted": RATE,
    "unavailable": _BROKEN,
    "deadline_exceeded": _SLOW,
}
_BY_STATUS: Final[Mapping[int, ErrorKind]] = {
    301: _MOVED,
    302: _MOVED,
    303: _MOVED,
    307: _MOVED,
    308: _MOVED,
    400: _REFUSED,
    401: _KEY,
    402: _QUOTA,
    403: _FORBIDDEN,
    404: _ADDRESS,
    405: _ADDRESS,
    408: _SLOW,
    409: _BROKEN,
    410: _MODEL,
    422: _REFUSED,
    429: RATE,
    498: RATE,  # Groq: no capacity
    504: _SLOW,
    524: _SLOW,  # Cloudflare: no answer within 100 s
}

# Codes that say nothing of the reason: what is said counts more.
_VAGUE: Final = frozenset({"server_error", "internal_server_error", "api_error", "internal"})

# What is said where there is no code, in lower case. Each is one reason, worded by vLLM, SGLang, llama.cpp, Ollama,
# LiteLLM, OpenRouter, Gemini, TGI, LM Studio, xAI, Moonshot, Zhipu, Bedrock and others.
_CONTEXT_WORDS: Final = re.compile(
    r"context[ _](?:length|size|window)|maximum context|too many (?:input |prompt )?tokens|(?<!took )too long"
    r"|(?:prompt|input) (?:is|has|contains|exceeds).{0,40}(?:exceed|larger|longer|maximum|limit)"
    r"|reduce (?:the|your) (?:length|prompt)|input length|input (?:token count|tokens?) .{0,40}exceed"
    r"|must have less than \d+ tokens|n_ctx|max_new_tokens\W{1,3}must be"
    r"|(?:longer than|exceeds?) (?:the |a )?(?:model'?s? )?max(?:imum)?(?: allowed)?[ _](?:model|prompt|message|len)"
    r"|maximum (?:prompt|sequence) length|model token limit|max_tokens must be at least 1, got -"
    r"|exceed\w* (?:the )?(?:max(?:imum)? seq|(?:token|input)s? limit|limit of \d+\W*\Z)|max_seq_len"
    r"|(?<!rate )(?<!minute )(?<!day )tokens? limit exceeded|max(?:imum)? input (?:characters|length|tokens)"
    r"|(?:输入|上下文|提示词|prompt).{0,20}(?:超过|超出|过长|超长)"
)
_KEY_WORDS: Final = re.compile(
    r"api[ _-]?key|security token"
    r"|无效的令牌|invalid (?:token|credentials|authentication)|authenticat|unauthori[sz]ed|access token|bearer token"
)
_MODEL_WORDS: Final = re.compile(
    r"models?\b.{0,120}?\b(?:not found|(?:does|do|did)? ?not exist|doesn't exist|not a valid model|not loaded"
    r"|no longer|not available|isn't available|is not served)"
    r"|(?:unknown|invalid|no such|unsupported) model|^model: |no model (?:named|called|with)|model_not_found"
    r"|is not a valid model|no endpoints found for"
    r"|\bmodel \S{1,120} (?:is not|isn't) supported(?: by any .{1,60})?\W*\Z"
    r"|\bmodel (?:identifier|id|name) .{0,40}\binvalid",
    re.DOTALL,
)
# llama.cpp's server ("Loading model"), Hugging Face's ("Model x is currently loading") and others, with HTTP 503.
_LOADING_WORDS: Final = re.compile(
    r"\bloading (?:the )?model|\bmodels?\b.{0,200}?\b(?:is|are|being|still|currently) (?:\w+ )?load(?:ing|ed)\b"
    r"|\bmodels?\b.{0,80}?\bnot (?:yet )?(?:loaded|ready)\b|\bwarming up\b",
    re.DOTALL,
)
# Anthropic with HTTP 400, SiliconFlow and OpenRouter with 403, Moonshot with 429, Alibaba.
_QUOTA_WORDS: Final = re.compile(
    r"credit balance is too low|insufficient (?:account )?(?:balance|funds|credits?)"
    r"|balance is (?:insufficient|not enough)|key limit exceeded|\barrearage\b|more credits"
    r"|budget has been exceeded|欠费|余额不足|额度不足"
)
# DeepSeek, OpenRouter, Alibaba, Azure and Zhipu, which have no code for it, or one of their own.
_FILTER_WORDS: Final = re.compile(
    r"content exists risk|inappropriate content|(?:input|prompt|content) was flagged|content (?:management )?polic"
    r"|敏感"
)


# What says so where a server has no status or code for it, such as within a stream.
_RATE_WORDS: Final = re.compile(
    r"rate[ _-]?limit|too many requests|throttl|(?:tokens|requests) per (?:min|day)|please wait"
)
# A validation error of a server that asks for a key in a header, with HTTP 422.
_HEADER_WORDS: Final = re.compile(r"header\W{1,6}(?:authorization|x-api-key|api-key)")


def find_kind(status: int | None, codes: tuple[str, ...], words: str) -> ErrorKind:
    """The kind of an error with this HTTP status (None: it came within a stream), these codes and words, both in lower
    case.
    """
    if status == 503 and _LOADING_WORDS.search(words):
        return _LOADING
    if status == 413:  # Groq gives it the code of its rate limits, but the same request never passes
        return _CONTEXT
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    if status in (None, 400, 402, 403, 429) and _QUOTA_WORDS.search(words):
        return _QUOTA
    if status in (None, 400) and _RATE_WORDS.search(words):
        return RATE
    if status in (None, 400, 422, 500) and _CONTEXT_WORDS.search(words):
        return _CONTEXT  # llama.cpp and others have no code for this
    if not _VAGUE.isdisjoint(codes) and (status is None or status >= 500):
        return _BROKEN
    return _find_refusal(status, words) or _by_status(status)


def _find_refusal(status: int | None, words: str) -> ErrorKind | None:
    """Why a request is refused that is not too long, as far as the words say it."""
    if status in (None, 400, 401, 403) and _KEY_WORDS.search(words):
        return _KEY
    if status == 422 and _HEADER_WORDS.search(words):
        return _KEY
    if status in (None, 400, 404, 410, 422, 500) and _MODEL_WORDS.search(words):
        return _MODEL
    if status in (None, 400, 403, 422) and _FILTER_WORDS.search(words):
        return _FILTER
    return None


def _by_status(status: int | None) -> ErrorKind:
    if status is None:
        return _BROKEN
    return _BY_STATUS.get(status, _BROKEN if status >= 500 else _UNKNOWN)
