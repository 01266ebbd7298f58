"""What a model is to the rest of the worker: turns in, chunks out, one kind of error.

A provider maps its vendor's protocol and errors to these types at its own edge. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One message as a model reads it: `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one answer. `cached_tokens` are part of the input, `reasoning_tokens` part of the output.

    `estimated` is true when the endpoint did not say and the numbers are ours (see `tokens.py`).
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is to answer. None is its own way; one that refuses an option is asked again without."""

    temperature: float | None = None
    max_tokens: int | None = None  # of the answer


DEFAULT: Final = Options()


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of an answer. `usage`, when given, replaces what an earlier chunk said."""

    text: str = ""
    reasoning: str = ""
    usage: TokenUsage | None = None
    finish_reason: str | None = None


OnRequest = Callable[[str, str], None]
"""Hears who is asked: the endpoint's host, by which prices and the usage ledger know it, and the model asked there."""


class ProviderError(Exception):
    """Why there is no (more) answer.

    `code`         one of the codes below, for programs
    `message`      a sentence for the person who asked; never holds a secret or an address
    `detail`       a few words for the operator's log, with secrets removed
    `retryable`    whether we may try again by ourselves; never true once a chunk was handed out
    `retry_after`  seconds the endpoint asked us to wait, if it did
    `reason`       what went wrong on the way, where `code` does not tell: name, refused, connect, tls, address, or
                   "HTTP 404"; never anything that the endpoint said

    Codes: upstream_unreachable (no connection), upstream_timeout (no sign of life, or too long in all),
    upstream_cut (the connection broke off), upstream_rate_limited, upstream_quota (no credit left there),
    upstream_unauthorized (our key), upstream_refused (this request), upstream_error (its own failure),
    upstream_garbage (not an answer of this protocol), upstream_empty (an answer without a word),
    model_not_found, context_too_long.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        detail: str = "",
        reason: str = "",
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.detail = detail
        self.reason = reason


class ChatModel(Protocol):
    """One endpoint that answers. It belongs to the loop it was opened on and serves any number of streams at once."""

    async def open(self) -> None:
        """Does ahead of time what the first answer must not wait for: imports, DNS, connection, TLS.

        An endpoint that is down does not raise here; the answers will say so.
        """

    async def close(self) -> None:
        """Ends every stream and connection."""

    async def models(self) -> list[str]:
        """Names of the models the endpoint offers, the default first. Raises `ProviderError`."""

    def stream(
        self,
        model: str,
        turns: Sequence[ChatTurn],
        *,
        options: Options = DEFAULT,
        on_request: OnRequest | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[list[Chunk]]]:
        """One answer, as lists of chunks: one list per read from the network, none of them empty.

        The request goes out on the first `anext`; `on_request` is called just before, again for each own retry
        and for the next endpoint: whoever was named last is who answers.
        Iterating raises `ProviderError`. A list with a usage comes before the end of every complete answer.
        Leaving the context, also by cancellation, closes the connection to the endpoint at once.
        """
