"""Streams that real model servers send, as exact bytes, each with what has to be read from it.

The names say who or what kind of server sends it. All of them are whole unless `code` names the failure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

DONE: Final = b"data: [DONE]\n\n"


def chunk(content: str | None = None, *, finish: Any = None, end: bytes = b"\n", **more: Any) -> bytes:
    """One event with a piece of text. `more` replaces or adds fields of the event."""
    delta = {} if content is None else {"content": content}
    body: dict[str, Any] = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + end + end


def usage(**counts: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [], "usage": counts}).encode() + b"\n\n"


@dataclass(frozen=True, slots=True)
class Stream:
    """`code`: of the failure after `text`, or empty. `counts`: prompt and completion tokens, None if none is right."""

    body: bytes
    text: str = "Hello world"
    finish: str | None = "stop"
    code: str = ""
    counts: tuple[int, int] | None = None


HELLO: Final = chunk("Hello ")
WORLD: Final = chunk("world")
STOP: Final = chunk(finish="stop")
WHOLE: Final = HELLO + WORLD + STOP + DONE


def _usage(**counts: Any) -> bytes:
    return HELLO + WORLD + STOP + usage(**counts) + DONE


STREAMS: Final[dict[str, Stream]] = {
    "plain": Stream(WHOLE),
    "an empty data line": Stream(HELLO + b"data:\n\n" + WORLD + STOP + DONE),
    "a field without a colon": Stream(HELLO + b"data\n\n" + WORLD + STOP + DONE),
    "empty data lines": Stream(HELLO + b"data: \ndata:\n\n" + WORLD + STOP + DONE),
    "data: null": Stream(HELLO + b"data: null\n\n" + WORLD + STOP + DONE),
    "data that is words": Stream(HELLO + b"data: keep-alive\n\n" + WORLD + STOP + DONE),
    "data of other types": Stream(
        HELLO + b'data: 7\n\ndata: true\n\ndata: "ping"\n\ndata: []\n\n' + WORLD + STOP + DONE
    ),
    "a comment": Stream(b": hi\n\n" + HELLO + b":\n\n: OPENROUTER PROCESSING\n\n" + WORLD + STOP + DONE),
    "retry, id, event": Stream(b"retry: 3000\nid: 7\nevent: message\n" + HELLO + b"event: x\n\n" + WORLD + STOP + DONE),
    "an unknown event": Stream(HELLO + b'event: ping\ndata: {"type": "ping"}\n\n' + WORLD + STOP + DONE),
    "done and a blank": Stream(HELLO + WORLD + STOP + b"data: [DONE] \n\n"),
    "done and blanks before": Stream(HELLO + WORLD + STOP + b"data:   [DONE]\r\n\r\n"),
    "CR": Stream(WHOLE.replace(b"\n", b"\r")),
    "CR LF": Stream(WHOLE.replace(b"\n", b"\r\n")),
    "mixed line ends": Stream(chunk("Hello ", end=b"\r\n") + chunk("world", end=b"\r") + STOP + DONE),
    "a byte order mark": Stream(b"\xef\xbb\xbf" + WHOLE),
    "a byte order mark and blanks": Stream(b"\xef\xbb\xbf\r\n\r\n" + WHOLE),
    "no done": Stream(HELLO + WORLD + STOP),
    "no last line end": Stream((HELLO + WORLD + STOP).rstrip()),
    "finish with every chunk": Stream(chunk("Hello ", finish="stop") + chunk("world", finish="stop") + DONE),
    "finish with every chunk, no done": Stream(chunk("", finish="stop") + chunk("Hello world", finish="stop")),
    "usage as floats": Stream(_usage(prompt_tokens=7.0, completion_tokens=2.0), counts=(7, 2)),
    "usage as text": Stream(_usage(prompt_tokens="7", completion_tokens="2"), counts=(7, 2)),
    "usage as an array": Stream(HELLO + WORLD + STOP + b'data: {"choices": [], "usage": []}\n\n' + DONE),
    "usage as words": Stream(_usage(prompt_tokens="many", completion_tokens=None)),
    "usage that is infinite": Stream(
        HELLO + WORLD + STOP + b'data: {"choices": [], "usage": {"prompt_tokens": 1e999}}\n\n' + DONE
    ),
    "details as an array": Stream(
        _usage(prompt_tokens=7, completion_tokens=2, prompt_tokens_details=[], completion_tokens_details=[1]),
        counts=(7, 2),
    ),
    "refusal: false": Stream(
        b'data: {"choices": [{"delta": {"content": "Hello world", "refusal": false}}]}\n\n' + STOP + DONE
    ),
    "a finish reason that is an object": Stream(HELLO + WORLD + chunk(finish={"type": "stop"}) + DONE),
    "a finish reason that is a number": Stream(HELLO + WORLD + chunk(finish=1) + DONE),
    "a finish reason that is false": Stream(chunk("Hello ", finish=False) + WORLD + STOP + DONE),
    "a delta that is an array": Stream(HELLO + b'data: {"choices": [{"delta": []}]}\n\n' + WORLD + STOP + DONE),
    "a choice that is null": Stream(HELLO + b'data: {"choices": [null]}\n\n' + WORLD + STOP + DONE),
    "choices that are no array": Stream(HELLO + b'data: {"choices": {}}\n\n' + WORLD + STOP + DONE),
    "content that is false": Stream(HELLO + b'data: {"choices": [{"delta": {"content": false}}]}\n\n' + WORLD + STOP),
    "parts of other types": Stream(
        b'data: {"choices": [{"delta": {"content": ["Hello ", 7, {"type": "text", "text": "world"}]}}]}\n\n' + STOP
    ),
    "reasoning of another type": Stream(
        HELLO + b'data: {"choices": [{"delta": {"reasoning": {"a": 1}}}]}\n\n' + WORLD + STOP + DONE
    ),
    "object and code of other types": Stream(chunk("Hello world", object=5, code={}) + STOP + DONE),
    "an error that says nothing": Stream(
        chunk("Hello ", error={}) + chunk("world", error={"code": 0, "message": ""}) + STOP + DONE
    ),
    "the whole again with blanks": Stream(
        HELLO + WORLD + STOP + b'data: {"choices": [{"message": {"content": "Hello world "}}]}\n\n' + DONE
    ),
    "Groq's reason for an early end": Stream(
        HELLO + chunk(finish="stop", x_groq={"error": "over capacity"}) + DONE, text="Hello ", code="upstream_error"
    ),
    "Gemini's filter": Stream(
        HELLO + chunk("world", finish="content_filter: PROHIBITED_CONTENT") + DONE, finish="content_filter"
    ),
    "cancelled by its server": Stream(
        HELLO + chunk(finish="cancelled") + DONE, text="Hello ", finish=None, code="upstream_error"
    ),
    "letters over several bytes": Stream(chunk("Grüße, 你好 👋🏽") + STOP + DONE, text="Grüße, 你好 👋🏽"),
    "negative usage": Stream(_usage(prompt_tokens=7, completion_tokens=-35)),
    "huge usage": Stream(_usage(prompt_tokens=4_000_000_000, completion_tokens=2)),
    "usage beyond 64 bits": Stream(_usage(prompt_tokens=10**30, completion_tokens=2)),
    "done without a finish reason": Stream(HELLO + WORLD + DONE, finish=None, code="upstream_cut"),
    "closed without either": Stream(HELLO + WORLD, finish=None, code="upstream_cut"),
    "half an event at the end": Stream(HELLO + WORLD + b'data: {"choi', finish=None, code="upstream_cut"),
    "an error in the choice": Stream(
        HELLO + b'data: {"choices": [{"delta": {}, "error": {"code": 502, "message": "gone"}}]}\n\n' + DONE,
        text="Hello ", finish=None, code="upstream_error",
    ),
    "finish_reason error": Stream(
        HELLO + chunk(finish="error") + DONE, text="Hello ", finish=None, code="upstream_error"
    ),
    "an error in an array": Stream(
        b'[{"error": {"code": 429, "message": "Resource exhausted"}}]', text="", finish=None,
        code="upstream_rate_limited",
    ),
    "text that is a number": Stream(
        HELLO + b'data: {"choices": [{"delta": {"content": 5}}]}\n\n', text="Hello ", finish=None,
        code="upstream_garbage",
    ),
    "tool calls of another type": Stream(
        HELLO + b'data: {"choices": [{"delta": {"tool_calls": "x"}}]}\n\n', text="Hello ", finish=None,
        code="upstream_garbage",
    ),
}  # fmt: skip

# What they report cannot be right.
WITHOUT_USAGE: Final = ("negative usage", "huge usage", "usage beyond 64 bits", "usage that is infinite")
