"""What refusals of requests with tools teach, as real servers word them. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from accounts.lib.texts import gettext_noop
from workers.providers.base import ChatTurn, ProviderError
from workers.providers.http.dialect import FORCED, ONE_CALL
from workers.providers.http.learned import NO_STREAM, Lesson
from workers.providers.model_facts import TOOLS

NO_TOOLS_MESSAGE: Final = gettext_noop("This model can't call tools. Choose another model, or ask without tools.")

_TOOL: Final = r"\b(?:tools?|tool[ -](?:use|usage|calls?|calling|choice)|function[ _-]call(?:s|ing)?|functions)\b"
# Ollama, vLLM, llama.cpp, OpenRouter, LiteLLM, Groq, Mistral, Gemini, OpenAI, DeepSeek, Bedrock and others.
_NO_TOOLS: Final = re.compile(
    rf"(?:\bnot|n't|unsupported|unrecognized|unknown|cannot)\b.{{0,60}}?{_TOOL}"
    rf"|{_TOOL}.{{0,40}}?(?:\bnot (?:been |be )?(?:support|enable|available|allow|permit|implement)|n't support"
    r"|unsupported|disabled|requires? --|extra inputs)"
    r"|no endpoints found that support tool|--enable-auto-tool-choice|--tool-call-parser|tools param requires",
    re.DOTALL,
)
# Templates of models without tools, when they are given the result of a call.
_NO_ROLE: Final = re.compile(
    r"(?:role\W{0,6}tool|tool\W{1,3}role)\b.{0,20}?(?:\bnot|n't|unsupported|invalid)"
    r"|(?:unknown|unexpected|unsupported|invalid)[^.]{0,40}?(?:role\W{0,6}tool\b|tool\W{1,3}role|variant\W{1,3}tool\b)"
    r"|unexpected message role|only user and assistant roles|roles must alternate"
)
_SCHEMA: Final = re.compile(
    r"schema|function\.parameters|function_?declarations|tools?\W{1,3}\d|functions?\W{1,3}\d|invalid tool"
)
_CHOICE: Final = re.compile(r"tool[_ ]choice|tool_?config|function_?calling_?config")
_ONE_CALL: Final = re.compile(r"parallel[_ ]tool[_ ](?:calls?|use)")
_IDS: Final = re.compile(
    r"tool[_ ]call[_ ]?ids?\b.{0,80}(?:length of|must be|pattern|characters)"
    r"|unknown name \W{0,2}id\b.{0,120}function_?(?:call|response)",
    re.DOTALL,
)
_REPLAY: Final = re.compile(
    r"signature|encrypted.?content|redacted_thinking|thinking\W{0,2} blocks?|reasoning_(?:content|details)"
    r"|reasoning\W{0,2} item|item with id|\breasoning\W{1,3}(?:is unsupported|extra inputs)"
)
_UNKNOWN: Final = re.compile(r"unsupported|extra inputs|not permitted|unrecognized|unknown|unexpected")
# OpenAI, vLLM, llama.cpp, Ollama, OpenRouter, Mistral; DeepSeek and Groq, which want texts alone.
_IMAGES: Final = re.compile(
    r"image|vision|multi-?modal|inline_?data|content\W{1,3}must be a string|expected (?:a )?\W?(?:text|string)\b"
)
# Of this image, not of images: its size, its number or its bytes.
_THIS_IMAGE: Final = re.compile(
    r"too (?:large|big|many|small|long)|exceed|dimension|resolution|could not (?:process|decode|download|load)"
    r"|(?:unable|failed|cannot) to? ?(?:process|decode|download|load|identify)|corrupt|at most [1-9]|not a valid image"
    r"|invalid image|provided image is not valid"
)


def find_tool_lesson(
    failure: ProviderError, sent: Mapping[str, Any], turns: list[ChatTurn], *, told: bool, forced: bool = False
) -> Lesson | None:
    """What a refusal teaches about the tools, calls and results of a request that offers tools. `sent` are its fields,
    `turns` its turns. `told`: it says that they are not to be called; `forced`: that one must be.
    """
    words = failure.said.lower()
    if sent.get("stream") and NO_STREAM.search(words) and re.search(_TOOL, words):
        return Lesson("tool_stream")
    if told and _CHOICE.search(words) and not re.search(r"\btools\b", words):
        return Lesson("tool_choice")
    if forced and _CHOICE.search(words):
        return Lesson(FORCED)
    if _ONE_CALL.search(words) and _asks_one(sent):
        return Lesson(ONE_CALL)
    if any(turn.calls for turn in turns) and _IDS.search(words):
        return Lesson("call_ids")
    if any(turn.replay for turn in turns) and _REPLAY.search(words):
        return Lesson("replay", once=not _UNKNOWN.search(words))
    if any(turn.images for turn in turns) and (lesson := find_image_lesson(words)) is not None:
        return lesson
    if _SCHEMA.search(words):
        return Lesson("tool_schemas", once=True)
    answers = any(turn.role == "tool" for turn in turns)
    if _NO_TOOLS.search(words) or (answers and _NO_ROLE.search(words)):
        return Lesson(TOOLS)
    return None


def _asks_one(sent: Mapping[str, Any]) -> bool:
    choice = sent.get("tool_choice")
    return ONE_CALL in sent or (isinstance(choice, dict) and "disable_parallel_tool_use" in choice)


def find_image_lesson(words: str) -> Lesson | None:
    """What a refusal (in lower case) of a request with images teaches: the model takes none, or not these."""
    if not _IMAGES.search(words):
        return None
    return Lesson("images", once=bool(_THIS_IMAGE.search(words)))


def no_tools(failure: ProviderError | None) -> ProviderError:
    """The error of a model that takes no tools, with what its server said. None: that is known from before."""
    if failure is None:
        return ProviderError("upstream_no_tools", NO_TOOLS_MESSAGE)
    return ProviderError(
        "upstream_no_tools", NO_TOOLS_MESSAGE, detail=failure.detail, reason=failure.reason, said=failure.said,
        request_id=failure.request_id,
    )  # fmt: skip
