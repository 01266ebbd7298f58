"""One answer of an endpoint: the request, its retries, its timeouts, and its end.

A request is not retried once a chunk was returned. In every case the connection is closed, or returned to the pool
after the whole response was read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final, cast

import httpx2
import msgspec
import structlog
from django.utils.translation import gettext as _

from workers.providers.base import Awaited, ChatTurn, Chunk, OnRequest, Options, ProviderError, TokenUsage
from workers.providers.config import Extras, Timeouts, merge_fields
from workers.providers.http.backoff import backoff
from workers.providers.http.dialect import Dialect, Wanted
from workers.providers.http.error_fields import decode_body
from workers.providers.http.error_kinds import TOO_SLOW
from workers.providers.http.errors import error_from_answer
from workers.providers.http.negotiation import Negotiation
from workers.providers.http.network_errors import EDGE_ERRORS, translate
from workers.providers.http.oddities import note_oddity
from workers.providers.http.reader import AnswerReader
from workers.providers.http.tool_turns import wire_tools
from workers.providers.http.transport import MAX_ERROR_BYTES, Transport
from workers.providers.http.verdict import find_fault
from workers.providers.idle_timeout import IdleTimeout
from workers.providers.token_estimate import estimate_usage

logger = structlog.get_logger(__name__)

RETRIES: Final = 2
MAX_RETRY_AFTER: Final = 10.0  # seconds; a request is not retried by itself when the endpoint asks for a longer wait
TAIL_TIMEOUT: Final = 5.0  # seconds from the answer's end to the stream's: only the usage is missing then
LOADING: Final = "upstream_loading"
LOADING_SECONDS: Final = 1.0  # between requests to a server that loads the model
LOOK_TIMEOUT: Final = 1.0  # seconds for the question whether the model is to be loaded

_encode = msgspec.json.Encoder().encode


class AnswerRequest:
    """An iterator over lists of chunks. The request is sent on the first step."""

    def __init__(
        self,
        dialect: Dialect,
        transport: Transport,
        negotiation: Negotiation,
        model: str,
        turns: Sequence[ChatTurn],
        options: Options,
        on_request: OnRequest | None,
        timeouts: Timeouts,
        extras: Extras,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialect = dialect
        self._transport = transport
        self._timeouts = timeouts
        self._extras = extras
        self._negotiation = negotiation
        self._model = model
        self._turns = turns
        self._options = options
        self._on_request = on_request
        self._response: httpx2.Response | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._wanted: Wanted | None = None  # the last request
        self._named = False  # the model that answers has been returned
        self._loading = False  # the server has said that it loads the model
        self._reader = self._new_reader()
        self._tries = 0
        self._over = False
        self._fault: ProviderError | None = None  # why a complete stream is no answer
        self._began = self._loop.time()
        self._deadline = self._began + timeouts.total
        self._first_byte_by: float | None = None  # its deadline; None once it has arrived
        self._idle_timeout = IdleTimeout(self._loop)

    def __aiter__(self) -> AnswerRequest:
        return self

    async def __anext__(self) -> list[Chunk]:
        while not self._over:
            try:
                chunks = await self._read()
            except ProviderError as error:
                failure = error
            else:
                if chunks:
                    return chunks
                break
            await self._retry(failure)
        raise StopAsyncIteration

    async def close(self) -> None:
        """Returns the connection to the pool, or closes it when the answer was not complete."""
        self._over = True
        self._idle_timeout.close()
        whole, task = self._reader.done, self._release()
        if task is not None and not whole:
            await asyncio.shield(task)

    async def _read(self) -> list[Chunk]:
        """The next chunks; an empty list is the end. Raises `ProviderError`, outside of any handler, because an
        exception of the transport holds the request and with it the key.
        """
        if self._fault is not None:
            raise self._fault
        reader = self._reader
        broken: Exception | None = None
        try:
            while not reader.done and reader.failure is None:
                if self._source is None:
                    self._source = await self._request()
                chunks = reader.feed(await self._next_bytes(self._source))
                if chunks:
                    return chunks if self._named or not reader.model else self._name(chunks, reader.model)
        except StopAsyncIteration:
            pass
        except EDGE_ERRORS as error:
            broken = error
        if broken is not None and not reader.ended:
            if isinstance(broken, TimeoutError):
                raise self._timeout()
            raise translate(broken, self._transport.secrets, answering=self._first_byte_by is None)
        chunks = reader.end() if broken is None and reader.failure is None else []
        if reader.failure is None:
            return self._finish(chunks)
        if chunks:
            return chunks
        raise reader.failure

    async def _request(self) -> AsyncIterator[bytes]:
        wanted = self._wanted = self._negotiation.next_request()
        body = self._dialect.body(wanted)
        if self._extras.body:
            body = merge_fields(self._extras.body, body)
        self._negotiation.note_sent(body, stream=wanted.stream)
        self._named = False
        tools = wire_tools(wanted.tools)
        self._reader.expect(self._dialect.kind, self._model, tools, may_call=not self._options.call_no_more)
        self._reader.tags.presume(self._negotiation.unopened)
        encoded = _encode(body)
        self._first_byte_by = min(self._loop.time() + self._timeouts.first_chunk, self._deadline)
        if not self._loading:  # else it is the same request again, each second
            if self._on_request is not None:
                self._on_request(self._transport.host, self._model)
            await self._look_for_loading()
        async with asyncio.timeout_at(self._first_byte_by):
            response = self._response = await self._transport.send(
                self._model, encoded, self._extras, stream=wanted.stream
            )
            refusal = None if 200 <= response.status_code < 300 else await self._read_refusal(response)
        if refusal is not None:
            raise refusal
        if self._loading:
            self._note_waiting("model")
        if response.headers.get("content-encoding", "identity") != "identity":
            return response.aiter_bytes()
        # The transport's own iterator: two generators less for each read than `aiter_raw`.
        return aiter(cast("httpx2.AsyncByteStream", response.stream))

    async def _read_refusal(self, response: httpx2.Response) -> ProviderError:
        """Returned, not raised: this frame holds the response, and some servers echo the key."""
        raw = bytearray()
        async for data in response.aiter_bytes():
            raw += data
            if len(raw) > MAX_ERROR_BYTES:
                break
        body = decode_body(bytes(raw))
        return error_from_answer(response.status_code, body, response.headers, secrets=self._transport.secrets)

    def _name(self, chunks: list[Chunk], model: str) -> list[Chunk]:
        """`chunks` with the name of the model that answers."""
        self._named = True
        return [*chunks, Chunk(model=model)]

    async def _next_bytes(self, source: AsyncIterator[bytes]) -> bytes:
        limit = self._first_byte_by
        if limit is None:
            wait = TAIL_TIMEOUT if self._reader.settled else self._timeouts.idle
            limit = min(self._loop.time() + wait, self._deadline)
        data = await self._idle_timeout.wait(anext(source), until=limit)
        self._first_byte_by = None
        return data

    def _finish(self, chunks: list[Chunk]) -> list[Chunk]:
        """The last chunks of a complete stream, with a usage. Raises `ProviderError` when it has no text.

        Reasoning costs money also then, so its usage comes first, and the error with the next step.
        """
        reader = self._reader
        self._fault = reader.conclude(chunks) or find_fault(reader)
        if self._fault is not None and not reader.has_output:
            raise self._fault
        self._over = self._fault is None
        self._negotiation.learn_thinking(reader.tags, "".join(reader.text))
        if reader.usage is None or reader.usage.implausible:
            chunks.append(Chunk(usage=self._estimate()))
        elif self._fault is not None:
            chunks.append(Chunk(usage=reader.usage))
        return chunks if self._named or not reader.model else self._name(chunks, reader.model)

    def _estimate(self) -> TokenUsage:
        """The usage where the endpoint reported none, or none that can be right."""
        reader = self._reader
        text, thought = "".join(reader.text), "".join(reader.reasoning)
        tools = self._wanted.tools if self._wanted is not None else ()
        usage = estimate_usage(self._turns, text, thought, tools=tools, calls=reader.calls.requested)
        return replace(usage, implausible=reader.usage is not None)

    def _timeout(self) -> ProviderError:
        limits = self._timeouts
        if self._loop.time() >= self._deadline:
            message, detail = _("The answer took too long and was stopped."), f"total timeout of {limits.total:g} s"
        elif self._first_byte_by is not None:
            message, detail = TOO_SLOW, f"first-token timeout of {limits.first_chunk:g} s"
        else:
            message = _("The model stopped responding in the middle of the answer.")
            detail = f"idle timeout of {limits.idle:g} s"
        return ProviderError("upstream_timeout", message, detail=detail)

    async def _retry(self, failure: ProviderError) -> None:
        """Waits until the request may be sent again, or raises `failure`."""
        if self._reader.has_output:
            failure.retryable = False
        elif self._learns_from(failure):
            self._release()
            return
        elif failure.code == LOADING and self._options.wait_for_loading:
            await self._wait_for_loading(failure)
            return
        wait = backoff(self._tries, failure)
        too_late = self._loop.time() + wait >= self._deadline
        if not failure.retryable or self._tries >= RETRIES or wait > MAX_RETRY_AFTER or too_late:
            self._over = True
            raise failure
        logger.info("model_request_retried", code=failure.code, detail=failure.logged_detail, wait=round(wait, 3))
        self._tries += 1
        self._release()
        await asyncio.sleep(wait)

    def _learns_from(self, failure: ProviderError) -> bool:
        try:
            return self._negotiation.learn_from(failure)
        except ProviderError:
            self._over = True
            raise

    async def _look_for_loading(self) -> None:
        """Says that the model is to be loaded, where the API tells: such a server answers when it has loaded it."""
        if self._options.on_waiting is None:
            return
        with contextlib.suppress(ProviderError, *EDGE_ERRORS):
            async with asyncio.timeout(LOOK_TIMEOUT):
                if await self._dialect.is_loading(self._transport.fetch_body, self._model):
                    self._note_waiting("loading")

    async def _wait_for_loading(self, failure: ProviderError) -> None:
        """Waits a moment for a server that refuses to answer while it loads the model: for as long as the first words
        may take. Then raises `failure`.
        """
        wait = min(failure.retry_after or LOADING_SECONDS, MAX_RETRY_AFTER)
        if self._loop.time() + wait >= min(self._began + self._timeouts.first_chunk, self._deadline):
            self._over = True
            raise failure
        self._loading = True
        self._note_waiting("loading")
        self._release()
        await asyncio.sleep(wait)

    def _note_waiting(self, awaited: Awaited) -> None:
        if self._options.on_waiting is not None:
            self._options.on_waiting(awaited)

    def _new_reader(self) -> AnswerReader:
        host = self._transport.host
        return self._dialect.reader(self._transport.secrets, lambda kind, found: note_oddity(host, kind, found))

    def _release(self) -> asyncio.Task[None] | None:
        """Ends the response, if there is one that is not closed yet."""
        response, self._response = self._response, None
        whole = self._reader.done
        self._source = None
        self._reader = self._new_reader()
        self._fault = None
        if response is None or response.is_closed:
            return None
        return self._transport.release(response, drain=whole)
