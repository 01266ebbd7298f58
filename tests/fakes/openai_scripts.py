"""What the scripted OpenAI-compatible server plays back: scripts, and the bytes of their answers.

A script is written `key=value key=value`, for instance `tokens=100 rate=20 cut=30`, and reaches the server

- in the last user message between double brackets: `Tell me a story [[tokens=100 rate=20]]`
- as the model name after `script:`, with commas: `script:tokens=100,rate=20`
- from a program: `server.play(Script(tokens=100), times=1)`, or `POST /_scripts`.

The answer's text is `tok0 tok1 tok2 ...` unless `text` says otherwise, so a client can check every byte of it.

Calls of tools are scripted from a program, `Script(calls=[("current_time", {"zone": "UTC"}), ("search", {})])`, or by
the last user message, `[[call=current_time {"zone": "UTC"} call=search {}]]`. Before them comes only `text`, if there
is one. Calls that a message asks for are sent once, and only where the request offers tools: the answer to their
results is the usual text. A script from a program is played as it is.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from tests.fakes.scripted_calls import Call, find_calls, read_calls, write_calls

DIRECTIVE: Final = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
CALL_TOKENS: Final = 10  # of each call, in the usage


@dataclass(frozen=True, slots=True)
class Script:
    """One answer. Times in seconds; `rate` in tokens per second, 0 for all at once."""

    tokens: int = 20
    rate: float = 0.0
    text: str = ""  # this text instead of tok0 tok1 ..., cut into words
    reasoning: int = 0  # reasoning tokens (think0 think1 ...) before the text
    reasoning_field: str = "reasoning_content"
    stamp: bool = False  # tokens say when they were sent: tok0@<monotonic microseconds>
    # Calls of tools after the text: name, arguments (an object, or any text as it is), and perhaps an id.
    calls: Sequence[tuple[str, Mapping[str, Any] | str] | Call] = ()
    image: str = ""  # base64 of an image that the model makes, after the text, as OpenRouter and LiteLLM send it
    call_finish: str = "tool_calls"  # the finish_reason of an answer with calls
    call_piece: int = 16  # characters of arguments an event; 0: each call whole, in one event

    # before the answer
    accept_delay: float = 0.0  # before the response's headers
    first_delay: float = 0.0  # after the headers, before the first token
    status: int = 200
    said: str = ""  # the error's message, likewise
    code: str = ""  # the error's code, for a status other than 200
    retry_after: str = ""
    fails: int = 0  # the status is for this many requests with the same last message; then the script plays
    disconnect: bool = False  # close without a byte of response
    strict: bool = False  # 422 for a request with `stream_options`, as older servers give
    no_tools: bool = False  # 400 for a request with tools, as servers give for models that take none
    reasoner: bool = False  # 400 for `temperature` and `max_tokens`, as OpenAI's reasoning models give
    echo_key: bool = False  # an error that repeats the Authorization header

    # in the answer, after so many tokens; -1 is never
    hang: int = -1
    cut: int = -1  # close in the middle of the body
    reset: int = -1  # TCP reset
    error: int = -1  # an error object in the stream
    garbage: int = -1  # an event that is not JSON

    # how it is written
    body: str = "sse"  # sse, json (one body, no stream), html, or raw (`text` as it is)
    usage: bool = True
    prompt: int = 11  # the prompt_tokens of the usage
    finish: str = "stop"  # the finish_reason; none leaves it out
    done: bool = True  # the closing [DONE]
    linger: float = 0.0  # seconds from the [DONE] to the end of the body
    crlf: bool = False
    comments: bool = False  # keep-alive comments between events
    multiline: bool = False  # one event's JSON over several data: lines
    split: int = 0  # bytes a write, whatever they cut through
    size: int = 0  # characters to fill each token up to
    drip: float = 0.0  # seconds between the writes of `split`

    def __post_init__(self) -> None:
        object.__setattr__(self, "calls", read_calls(self.calls))  # hashable, because answers are cached by script

    @property
    def finish_reason(self) -> str:
        return self.call_finish if self.calls and self.finish == "stop" else self.finish


def parse_script(line: str) -> Script:
    """Reads `key=value` pairs, separated by spaces or commas. A value is JSON or, failing that, a word. Or calls:
    `call=name {"argument": 1} call=other {}`.
    """
    if calls := find_calls(f"[[{line}]]"):
        return Script(calls=calls)
    found: dict[str, Any] = {}
    kinds: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
    known = {field.name: kinds[str(field.type)] for field in fields(Script) if str(field.type) in kinds}
    for key, quoted, word in re.findall(r'(\w+)=(?:("(?:[^"\\]|\\.)*")|([^\s,]*))', line):
        if key not in known:
            raise ValueError(f"a script has no {key!r}")
        kind = known[key]
        value: Any = json.loads(quoted) if quoted else word
        found[key] = value.lower() in ("1", "true", "yes") if kind is bool else kind(value)
    return Script(**found)


def find_script(model: str, last_user_text: str) -> Script | None:
    """The script that a request asks for, if it asks for one."""
    if calls := find_calls(last_user_text):  # before `DIRECTIVE`: arguments may have two brackets
        return Script(calls=calls)
    found = DIRECTIVE.search(last_user_text)
    if found:
        return parse_script(found[1])
    if model.startswith("script:"):
        return parse_script(model.removeprefix("script:").replace(",", " "))
    return None


def token_text(script: Script, index: int) -> str:
    """Token number `index`, as the client must see it (but for `stamp`, whose times only the server knows)."""
    if script.text:
        return _words(script.text)[index]
    token = f"tok{index} "
    return token + "x" * (script.size - len(token))


def answer_text(script: Script, tokens: int | None = None) -> str:
    """The text of the first `tokens` tokens, or of the whole answer."""
    count = token_count(script) if tokens is None else tokens
    return "".join(token_text(script, index) for index in range(count))


def token_count(script: Script) -> int:
    if script.text:
        return len(_words(script.text))
    return 0 if script.calls or script.image else script.tokens


@functools.lru_cache(maxsize=64)
def _words(text: str) -> list[str]:
    return re.findall(r"\S*\s*", text)[:-1] or [text]


_HEAD: Final = '{"id":"chatcmpl-fake","object":"chat.completion.chunk","created":1700000000,"model":"fake","choices":'
_TEXT: Final = _HEAD + '[{"index":0,"delta":{"content":%s},"logprobs":null,"finish_reason":null}]}'


def event(script: Script, payload: str) -> bytes:
    """One server-sent event in the script's way of writing."""
    end = "\r\n" if script.crlf else "\n"
    if script.multiline and payload.startswith("{"):
        payload = payload.replace(',"', f',{end}data: "')
    text = f"data: {payload}{end}{end}"
    if script.comments:
        text = f": keep-alive{end}{end}{text}"
    return text.encode()


def token_event(script: Script, index: int, sent_us: int | None = None) -> bytes:
    text = token_text(script, index) if sent_us is None else f"tok{index}@{sent_us} "
    return event(script, _TEXT % json.dumps(text, ensure_ascii=False))


def role_event(script: Script) -> bytes:
    delta = '[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}'
    return event(script, _HEAD + delta)


def reasoning_event(script: Script, index: int) -> bytes:
    delta = {"index": 0, "delta": {script.reasoning_field: f"think{index} "}, "finish_reason": None}
    return event(script, _HEAD + json.dumps([delta]) + "}")


def call_events(script: Script) -> list[bytes]:
    """The image, and the calls as OpenAI's API sends them: first the id and the name, then the arguments in pieces."""
    address = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{script.image}"}}
    deltas: list[dict[str, Any]] = [{"images": [address]}] if script.image else []
    deltas += [{"tool_calls": [one]} for one in write_calls(script.calls, script.call_piece)]
    return [
        event(script, _HEAD + json.dumps([{"index": 0, "delta": delta, "finish_reason": None}]) + "}")
        for delta in deltas
    ]


def garbage_event(script: Script) -> bytes:
    return event(script, '{"id":"chatcmpl-fake","choices":[{"delta":{"con')


def error_event(script: Script, authorization: str) -> bytes:
    code = script.code or "server_error"
    message = script.said or "The fake model fell over."
    if script.echo_key:
        message = f"Incorrect API key provided: {authorization}."
    return event(script, json.dumps({"error": {"message": message, "type": code, "code": code}}))


def closing_events(script: Script) -> bytes:
    """Finish reason, usage, [DONE]: what follows the last token."""
    events = b""
    if script.finish != "none":
        reason = json.dumps(script.finish_reason)
        events += event(script, _HEAD + f'[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":{reason}}}]}}')
    if script.usage:
        events += event(script, _HEAD + f'[],"usage":{json.dumps(usage_of(script))}}}')
    if script.done:
        events += event(script, "[DONE]")
    return events


def usage_of(script: Script) -> dict[str, Any]:
    output = token_count(script) + script.reasoning + CALL_TOKENS * len(script.calls)
    return {
        "prompt_tokens": script.prompt,
        "completion_tokens": output,
        "total_tokens": script.prompt + output,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": script.reasoning},
    }


def json_body(script: Script) -> bytes:
    """A whole answer in one body, as a server that cannot stream gives it."""
    message: dict[str, Any] = {"role": "assistant", "content": answer_text(script)}
    if script.calls:
        message["tool_calls"] = write_calls(script.calls, 0)
    body: dict[str, Any] = {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "fake",
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": None if script.finish == "none" else script.finish_reason,
            }
        ],
    }
    if script.usage:
        body["usage"] = usage_of(script)
    return json.dumps(body, ensure_ascii=False).encode()


def reasoner_refusal(body: dict[str, Any]) -> bytes | None:
    """What OpenAI's reasoning models say of options that are not theirs; the words are the API's."""
    if "max_tokens" in body:
        said = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
    elif body.get("temperature", 1) != 1:
        said = (
            "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) is supported."
        )
    else:
        return None
    error = {"message": said, "type": "invalid_request_error", "param": None, "code": "unsupported_value"}
    return json.dumps({"error": error}).encode()


def error_body(script: Script, authorization: str) -> bytes:
    """The body of an answer with another status than 200."""
    codes = {
        400: "invalid_request",
        401: "invalid_api_key",
        404: "model_not_found",
        429: "rate_limit_exceeded",
    }
    code = script.code or codes.get(script.status, "server_error")
    message = script.said or "The fake model says no."
    if code == "context_length_exceeded":
        message = "This model's maximum context length is 4096 tokens. Please reduce the length of the messages."
    if script.echo_key:
        message = f"Incorrect API key provided: {authorization}."
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": code}}).encode()


def without_fault(script: Script) -> Script:
    """What plays once `fails` requests have failed."""
    return replace(script, status=200, disconnect=False, fails=0)
