"""How an endpoint is asked to go on with an answer that was cut.

Some servers write on in the last message when it is the assistant's (assistant prefill). Others are asked to, by an
instruction that is part of this request only: nobody sees it, and it is no message of the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from workers.providers.base import ChatTurn, Continuation

INSTRUCT: Final = "instruct"
PLAIN: Final = "assistant"  # OpenRouter, Ollama, llama.cpp, gateways to Claude models that take it
VLLM: Final = "vllm"  # vLLM and SGLang, with two fields of the request
PREFIX: Final = "prefix"  # Mistral and DeepSeek, with a mark on the message

INSTRUCTION: Final = (
    "Your last message was cut off before its end. Go on with it, in the same language and format. Begin by repeating "
    "its last few words exactly as they are, and write on from there. Do not greet, apologise, comment or start again."
)
_PREFIX_HOSTS: Final = frozenset({"api.mistral.ai"})


def choose_style(chosen: str, base_url: str) -> str:
    """How to ask an endpoint: as staff chose; without a choice by its address, and by the instruction otherwise."""
    if chosen:
        return chosen
    return PREFIX if urlsplit(base_url).hostname in _PREFIX_HOSTS else INSTRUCT


def build_messages(
    turns: Sequence[ChatTurn], continuation: Continuation | None, style: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages of a request, and the fields that say how its last one goes on. Sets `exact` of a continuation."""
    if continuation is None:
        return [{"role": turn.role, "content": turn.content} for turn in turns], {}
    messages, fields, continuation.exact = continue_messages(turns, style)
    return messages, fields


def continue_messages(turns: Sequence[ChatTurn], style: str) -> tuple[list[dict[str, Any]], dict[str, Any], bool]:
    """The messages of a request that goes on with its last turn; further fields; whether the model writes on in it."""
    messages: list[dict[str, Any]] = [{"role": turn.role, "content": turn.content} for turn in turns]
    if style == INSTRUCT:
        return [*messages, {"role": "user", "content": INSTRUCTION}], {}, False
    # Models and servers refuse a blank at the end, or go on badly after it. The joint knows that it is there.
    messages[-1]["content"] = messages[-1]["content"].rstrip()
    if style == PREFIX:
        messages[-1]["prefix"] = True
    fields = {"continue_final_message": True, "add_generation_prompt": False} if style == VLLM else {}
    return messages, fields, True
