"""The interface of a model to the rest of the worker: turns in, chunks out, one kind of error.

A provider maps its vendor's protocol and errors to these types. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

import msgspec

from workers.providers.form import AnswerForm


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told about it. `parameters` is a JSON schema of type object.

    `exact`: a program declares it for this request, so it is sent as it is where the API takes that, and not kept.
    `strict`: the arguments are to follow the schema exactly, at endpoints that know this.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    exact: bool = False
    strict: bool = False


class RequestedCall(msgspec.Struct, frozen=True, gc=False):
    """A call that a model asks for. `id` is the endpoint's, or made by the provider where the dialect has none.

    `arguments` is the text as the model wrote it: usually a JSON object, perhaps cut or no JSON at all.
    """

    id: str
    name: str
    arguments: str


class Replay(msgspec.Struct, frozen=True, gc=False):
    """Parts of an answer that its own dialect and model want back in the next request: signed thinking and the like.

    `dialect` is the kind of the endpoint (`kinds.py`), `model` the name that was asked. `parts` is what the dialect
    made, as JSON values. A turn is sent without it to another dialect or model.
    """

    dialect: str
    model: str
    parts: list[Any]


@dataclass(frozen=True, slots=True)
class ToolImage:
    """An image in the result of a call, or in what a user wrote. Its size is in pixels; 0: not known."""

    media_type: str
    content: bytes
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One message as it is sent to a model: `role` is system, user, assistant or tool.

    An assistant's turn may have `calls`, each of which is followed by one turn of the role tool with its `call_id` and
    `name`; `content` is then the result's text, and `failed` whether the call failed. `images` are of a result, or of
    what a user wrote.
    """

    role: str
    content: str
    calls: Sequence[RequestedCall] = ()
    replay: Replay | None = None
    call_id: str = ""
    name: str = ""
    failed: bool = False
    images: Sequence[ToolImage] = ()


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one answer. `cached_tokens` are part of the input, `reasoning_tokens` part of the output.

    `estimated` is true when the endpoint did not report usage and the numbers come from `token_estimate.py`.
    `implausible` is true when it reported numbers that cannot be right (negative, or beyond any model): those were
    replaced by estimates. `cost` is what the endpoint says that the answer cost, in USD, or None.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    implausible: bool = False
    cost: Decimal | None = None


Effort = Literal["none", "low", "medium", "high"]
"""How much a model should think before it answers; `none` is as little as it can."""


@dataclass(frozen=True, slots=True)
class CallChoice:
    """What a program wants of the calls. `required`: there is to be one, where the endpoint can be told so; `name`: of
    this tool. `one`: not several at once. `needed`: the request is not sent without its tools.
    """

    required: bool = False
    name: str = ""
    one: bool = False
    needed: bool = False


ANY_CALLS: Final = CallChoice()

Awaited = Literal["loading", "model"]
"""What an answer waits for: that its server loads the model, or (again) for the model's first words."""


@dataclass(slots=True)
class Continuation:
    """Asked for with an answer whose last turn is the assistant's: that turn is unfinished and is to be continued.

    The provider sets `exact` with each request. True: the model writes on in the turn itself, from its last character
    (assistant prefill). False: it was asked to go on, so it may repeat words or leave out a blank at the joint.
    """

    exact: bool = False


@dataclass(slots=True)
class SentOptions:
    """What the last request of an answer really asked for; the provider sets it with each request. None is: nothing.

    `known` is false as long as no provider has set it. `images`: those of the turns were sent, if there were any.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    effort: Effort | None = None
    known: bool = False
    images: bool = True


@dataclass(frozen=True, slots=True)
class Options:
    """Options of an answer. None is the model's default. A model that rejects an option is asked again without it."""

    temperature: float | None = None
    max_tokens: int | None = None  # of the answer
    effort: Effort | None = None
    permits: Callable[[str], Awaitable[bool]] | None = None  # asked before another model answers in place of the chosen
    continuation: Continuation | None = None
    sent: SentOptions | None = None
    on_waiting: Callable[[Awaited], None] | None = None  # called when what is waited for before the first chunk changes
    wait_for_loading: bool = True  # while the server loads the model; otherwise that is an error at once
    tools: Sequence[ToolSpec] = ()  # which it may call; a model that takes none raises `upstream_no_tools`
    call_no_more: bool = False  # the tools are there for the turns that called them; the model is to answer now
    top_p: float | None = None  # only programs ask for it
    choice: CallChoice = ANY_CALLS
    form: AnswerForm | None = None  # a model that cannot be asked for it raises `upstream_no_format`
    logprobs: int | None = None  # so many alternatives of each token; `upstream_no_logprobs` where there are none


DEFAULT: Final = Options()


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of an answer. `usage`, when given, replaces that of an earlier chunk.

    `reasoning` is what the model thinks, and no part of the answer's text. In a chunk with both it comes before `text`.
    `model` is who answers, in the endpoint's own words: a router or an alias may choose another one.
    `calls` are complete, and come at the end of an answer, only if tools were offered; `replay` comes with them.
    `logprobs` are of the tokens of the answer in their order, as Chat Completions has them, if they were asked for.
    `images` are those that the model made itself.
    """

    text: str = ""
    reasoning: str = ""
    usage: TokenUsage | None = None
    finish_reason: str | None = None
    model: str = ""
    calls: tuple[RequestedCall, ...] = ()
    replay: Replay | None = None
    logprobs: tuple[Any, ...] = ()
    images: tuple[ToolImage, ...] = ()


class ListedModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model that an endpoint lists. `window` is in tokens; None is: the endpoint does not say.

    `hidden` is why it is not offered, for staff; empty: it is for chatting, as far as anybody can tell.
    `input_price` and `output_price` are US dollars for a million tokens.
    """

    id: str
    hidden: str = ""
    window: int | None = None
    sees: bool | None = None
    tools: bool | None = None
    thinks: bool | None = None
    input_price: float | None = None
    output_price: float | None = None


OnRequest = Callable[[str, str], None]
"""Called before each request with the endpoint's host, which prices and the usage ledger use, and the model's name."""


class ProviderError(Exception):
    """Why there is no (more) answer.

    `code`         one of the codes below, for programs
    `message`      a sentence for the user; never holds a secret or an address
    `detail`       a short text for the operator's log, with secrets removed
    `retryable`    whether the request may be retried automatically; never true once a chunk was returned
    `retry_after`  seconds that the endpoint asked to wait, or None
    `reason`       what went wrong, in more detail than `code`: name, refused, connect, tls, address, redirects, or
                   "HTTP 404"; never text from the endpoint
    `said`         the endpoint's own words, with secrets removed, for staff; `request_id` is its name of the request

    Codes: upstream_unreachable (no connection), upstream_timeout (one of the timeouts),
    upstream_cut (the connection was lost), upstream_rate_limited, upstream_quota (no credit left there),
    upstream_unauthorized (our key), upstream_refused (this request), upstream_error (its own failure),
    upstream_garbage (not a response of this protocol), upstream_empty (an answer without text),
    upstream_tool_call (a call of a tool though none was offered), upstream_no_tools (the model takes no tools),
    upstream_no_format (it cannot be asked for this form of the answer), upstream_no_logprobs (nor for these),
    upstream_loading (the server still loads the model),
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
        said: str = "",
        request_id: str = "",
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.detail = detail
        self.reason = reason
        self.said = said
        self.request_id = request_id

    @property
    def logged_detail(self) -> str:
        """The detail for a log about an answer: without the endpoint's words, which may quote what a user wrote."""
        return (self.reason or "an error in the stream") if self.said else self.detail


class ChatModel(Protocol):
    """An endpoint that answers. It belongs to one event loop and serves any number of streams at once."""

    async def open(self) -> None:
        """Prepares what the first answer must not wait for: imports, DNS, connection, TLS.

        An endpoint that is down does not raise here; its answers do.
        """

    async def close(self) -> None:
        """Ends every stream and connection."""

    async def models(self) -> list[str]:
        """Names of the models the endpoint offers, the default first. Raises `ProviderError`."""

    async def list_models(self) -> list[ListedModel]:
        """The same models with what is known of them. Raises `ProviderError`."""

    def stream(
        self,
        model: str,
        turns: Sequence[ChatTurn],
        *,
        options: Options = DEFAULT,
        on_request: OnRequest | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[list[Chunk]]]:
        """One answer, as lists of chunks: one list per read from the network, none of them empty.

        The request is sent on the first `anext`. `on_request` is called just before, and again for each retry and
        each failover: the endpoint of the last call is the one that answers.
        Iterating raises `ProviderError`. Every complete answer has a list with a usage before its end. An answer of
        nothing but reasoning is complete: it ends with its usage and finish reason, and without an error.
        Leaving the context, also by cancellation, closes the connection to the endpoint at once.
        """
