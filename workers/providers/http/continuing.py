"""How an endpoint is asked to go on with an answer that was cut.

Some servers write on in the last message when it is the assistant's (assistant prefill). Others are asked to, by an
instruction that is part of this request only: nobody sees it, and it is no message of the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from workers.providers.base import ChatTurn

INSTRUCT: Final = "instruct"
PLAIN: Final = "assistant"  # Claude models that take it, OpenRouter, Ollama, llama.cpp
VLLM: Final = "vllm"  # vLLM and SGLang, with two fields of the request
PREFIX: Final = "prefix"  # Mistral and DeepSeek, with a mark on the message

INSTRUCTION: Final = (
    "Your last message was cut off before its end. Go on with it, in the same language and format. Begin by repeating "
    "its last few words exactly as they are, and write on from there. Do not greet, apologise, comment or start again."
)
_PREFIX_HOSTS: Final = frozenset({"api.mistral.ai"})


def choose_style(chosen: str, base_url: str, usual: str = INSTRUCT) -> str:
    """How to ask an endpoint: as staff chose; without a choice by its address, and as is `usual` with its API."""
    if chosen:
        return chosen
    return PREFIX if urlsplit(base_url).hostname in _PREFIX_HOSTS else usual


def continue_turns(turns: Sequence[ChatTurn], style: str) -> list[ChatTurn]:
    """The turns of a request that goes on with the last one of `turns`, which is the assistant's."""
    if style == INSTRUCT:
        return [*turns, ChatTurn("user", INSTRUCTION)]
    # Models and servers refuse a blank at the end, or go on badly after it. The joint knows that it is there.
    *earlier, last = turns
    return [*earlier, ChatTurn(last.role, last.content.rstrip())]


def mark_unfinished(body: dict[str, Any], style: str) -> None:
    """Marks the last message of a Chat Completions request as unfinished, in the words of the server."""
    if style == PREFIX:
        body["messages"][-1]["prefix"] = True
    elif style == VLLM:
        body["continue_final_message"], body["add_generation_prompt"] = True, False
