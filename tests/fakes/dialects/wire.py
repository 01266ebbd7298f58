"""The contract of a fake dialect: what it allows, and the bytes it answers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from tests.fakes.dialects.script import KEY, Exchange, Reply, Script


class ProtocolError(Exception):
    """The request is not one of this protocol."""


def require(condition: object, problem: str) -> None:
    if not condition:
        raise ProtocolError(problem)


def check_pairs(calls: list[str], results: list[str]) -> None:
    """Calls and the results that follow them, by their ids."""
    require(sorted(calls) == sorted(results), f"calls {calls} without results, or results {results} without calls")


def to_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def sse(value: object, event: str = "") -> bytes:
    return (f"event: {event}\n" if event else "").encode() + b"data: " + to_json(value) + b"\n\n"


class Wire(ABC):
    """One API. `answer` raises `ProtocolError` for a request that the API does not define."""

    kind: ClassVar[str]  # of the endpoint
    prefix: ClassVar[str] = "/v1"  # of its address
    stream_type: ClassVar[str] = "text/event-stream"
    counts_parts: ClassVar[bool] = True  # it says how many tokens were cached and thought
    finish_reasons: ClassVar[dict[str, str]]  # what the provider is to return for each of a script's
    in_a_call: ClassVar[int]  # events after the last piece of text, in the middle of the first call

    @abstractmethod
    def is_chat(self, exchange: Exchange) -> bool:
        """Whether an answer is asked for."""

    @abstractmethod
    def check_chat(self, exchange: Exchange) -> bool:
        """Raises `ProtocolError`; returns whether a stream is asked for."""

    @abstractmethod
    def events(self, script: Script) -> tuple[int, list[bytes]]:
        """A stream: how many events come before the first piece of text, and all events."""

    @abstractmethod
    def whole(self, script: Script) -> dict[str, Any]:
        """The same answer in one body."""

    @abstractmethod
    def refusal(self, name: str) -> tuple[int, dict[str, Any]]:
        """Status and body of a refusal."""

    @abstractmethod
    def other(self, exchange: Exchange) -> object:
        """The JSON of what is no chat, such as a list of models."""

    @abstractmethod
    def key_of(self, exchange: Exchange) -> str:
        """The key that was sent."""

    def answer(self, exchange: Exchange, script: Script) -> Reply:
        if self.key_of(exchange) != KEY:
            return self._refuse("bad_key")
        if not self.is_chat(exchange):
            return Reply(events=(to_json(self.other(exchange)),))
        streams = self.check_chat(exchange)
        if script.refuse and (script.refuse != "no_stream" or streams):
            return self._refuse(script.refuse)
        if not streams:
            return Reply(events=(to_json(self.whole(script)),))
        lead, events = self.events(script)
        return Reply(kind=self.stream_type, events=tuple(events), lead=lead)

    def _refuse(self, name: str) -> Reply:
        status, body = self.refusal(name)
        headers = {"retry-after": "70"} if name == "rate_limit" else {}
        return Reply(
            status, events=(to_json(body),), headers={**headers, "x-request-id": "req-77", "request-id": "req-77"}
        )
