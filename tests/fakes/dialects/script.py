"""What a fake model server answers, whatever its dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

KEY: Final = "sk-fake-dialect-4711"
MODEL: Final = "fake-large"
ANSWERED_BY: Final = "fake-large-2026-11"  # the response's own model
QUESTION: Final = "Tell me"
SYSTEM: Final = "Be brief."
PIECES: Final = ("Grüße, ", "你好 ", "👋🏽 ", 'a "quoted"\n\\ ', "end.")


class Call(NamedTuple):
    """A call of a tool. `arguments` is JSON; APIs that have them as an object send that."""

    name: str = "current_time"
    arguments: str = '{"zone": "Europe/Berlin"}'
    id: str = "call_1"


@dataclass(frozen=True, slots=True)
class Script:
    """One answer. `read` and `written` are tokens; `thought` are part of those written, `cached` of those read."""

    pieces: tuple[str, ...] = PIECES
    reasoning: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()  # after the text
    finish: str = "stop"  # stop, length, filtered, tools (a bare call that nobody wants)
    read: int = 11
    written: int = 7
    cached: int = 3
    thought: int = 0
    keep_alives: bool = False  # whatever the API sends between events
    # bad_key, unknown_model, too_long, rate_limit, overload, loading, no_stream, temperature, key_echo, no_tools,
    # no_images, image_too_large, no_form, bad_schema, no_logprobs, unknown_schema_field
    refuse: str = ""
    logprobs: bool = False  # of each piece, where the API has them
    cut: int = -1  # close the connection in the middle of the body, after so many pieces of text
    hang: int = -1  # say nothing more
    fail: int = -1  # an error in the stream
    split: bool = False  # every byte in a write of its own

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True)
class Exchange:
    """A request that came in. `problem` is what the protocol does not allow; `gone`: the client left in mid-answer."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    problem: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: a list of events for a stream, or one body."""

    status: int = 200
    kind: str = "application/json"
    events: tuple[bytes, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    lead: int = 0  # events before the first piece of text
