"""The model endpoints, and how long an answer may take and be."""

from __future__ import annotations

from environs import validate

from config.env import at_least
from config.settings.environment import env

OPENAI_BASE_URL: str = env.str("OPENAI_BASE_URL", "").strip()
OPENAI_API_KEY: str = env.str("OPENAI_API_KEY", "")
_KINDS = ["auto", "openai_chat", "openai_responses", "azure", "anthropic", "gemini", "ollama"]
OPENAI_KIND: str = env.str("OPENAI_KIND", "auto", validate=validate.OneOf(_KINDS))  # auto: found from the address
OPENAI_EXTRAS: str = env.str("OPENAI_EXTRAS", "")  # JSON: headers, query and body of every request (docs/endpoints.md)
ANTHROPIC_BASE_URL: str = env.str("ANTHROPIC_BASE_URL", "").strip()
ANTHROPIC_API_KEY: str = env.str("ANTHROPIC_API_KEY", "")
GEMINI_BASE_URL: str = env.str("GEMINI_BASE_URL", "").strip()
GEMINI_API_KEY: str = env.str("GEMINI_API_KEY", "")
# How the endpoint is asked to go on with a cut answer: `assistant`, `vllm`, `prefix` or `instruct` (docs/endpoints.md).
OPENAI_PREFILL: str = env.str(
    "OPENAI_PREFILL", "", validate=validate.OneOf(["", "instruct", "assistant", "vllm", "prefix"])
)
CHAT_MODELS: list[str] = [name for name in env.list("CHAT_MODELS", [], subcast=str) if name]
# The fallback while the endpoint above is down; its model replaces whichever was chosen.
OPENAI_FALLBACK_BASE_URL: str = env.str("OPENAI_FALLBACK_BASE_URL", "").strip()
OPENAI_FALLBACK_API_KEY: str = env.str("OPENAI_FALLBACK_API_KEY", "")
OPENAI_FALLBACK_MODEL: str = env.str("OPENAI_FALLBACK_MODEL", "")
OPENAI_FALLBACK_KIND: str = env.str("OPENAI_FALLBACK_KIND", "auto", validate=validate.OneOf(_KINDS))
OLLAMA_URL: str = env.str("OLLAMA_URL", "http://127.0.0.1:11434").strip()
MODEL_CONNECT_TIMEOUT = env.float("MODEL_CONNECT_TIMEOUT", 5.0)  # seconds, like the next three
MODEL_FIRST_CHUNK_TIMEOUT = env.float("MODEL_FIRST_CHUNK_TIMEOUT", 600.0)
MODEL_IDLE_TIMEOUT = env.float("MODEL_IDLE_TIMEOUT", 120.0)
MODEL_TOTAL_TIMEOUT = env.float("MODEL_TOTAL_TIMEOUT", 3600.0)
MODEL_RETRY_SECONDS = env.float(
    "MODEL_RETRY_SECONDS", 10.0, validate=at_least(1)
)  # seconds until an endpoint that is down is tried again
SHOW_COSTS = env.bool("SHOW_COSTS", True)  # whether people see what answers cost, where their model has a price
ANSWER_MAX_CHARS = env.int("ANSWER_MAX_CHARS", 200_000, validate=at_least(1))  # then an answer is stopped
REASONING_MAX_CHARS = env.int("REASONING_MAX_CHARS", 100_000, validate=at_least(1))  # of thinking are shown and kept
TOOL_CALL_SECONDS = env.float("TOOL_CALL_SECONDS", 60.0, validate=at_least(0.1))  # then a tool call is ended
# How many tokens of a conversation are sent to a model whose window nobody knows, and at most to one with a larger
# window (0: as much as it holds).
MODEL_CONTEXT_TOKENS = env.int("MODEL_CONTEXT_TOKENS", 32_000)
MODEL_CONTEXT_MAX_TOKENS = env.int("MODEL_CONTEXT_MAX_TOKENS", 200_000, validate=at_least(0))
# A folder with the `tokenizer.json` of models, each in a folder of the model's name (docs/endpoints.md). Empty: none.
TOKENIZERS_DIR: str = env.str("TOKENIZERS_DIR", "").strip()
# The model that summarises the oldest messages when a conversation fills four fifths of the window; "same": the one
# that answers. Empty: the oldest messages are left out.
SUMMARY_MODEL: str = env.str("SUMMARY_MODEL", "same").strip()
SUMMARY_PAID_BY: str = env.str("SUMMARY_PAID_BY", "site", validate=validate.OneOf(["site", "user"]))
# What users see of the models' prices: a class of one to three signs, the price itself, or nothing.
MODEL_PRICES: str = env.str("MODEL_PRICES", "class", validate=validate.OneOf(["class", "exact", "off"]))
DEMO_TOKENS_PER_SECOND = env.float("DEMO_TOKENS_PER_SECOND", 32.0)  # speed of the demo model
# The model that gives a conversation its title after the first answer; "same": the one that answered. Empty: the title
# stays the start of the first message.
TITLE_MODEL: str = env.str("TITLE_MODEL", "").strip()
TITLE_MAX_TOKENS = env.int("TITLE_MAX_TOKENS", 200, validate=at_least(10))  # with room for a model that thinks first
SYSTEM_PROMPT: str = env.str("SYSTEM_PROMPT", "You are a helpful assistant. Answer in Markdown.")
