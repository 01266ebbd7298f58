"""One answer of an OpenAI-compatible endpoint: the request, its retries, its timeouts, and its end.

A request is not retried once a chunk was returned. In every case the connection is closed, or returned to the pool
after the whole response was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import httpx2
import msgspec
import structlog

from workers.providers.base import ChatTurn, Chunk, OnRequest, Options, ProviderError
from workers.providers.idle_timeout import IdleTimeout
from workers.providers.openai.errors import REFUSED_BY_FILTER, TOO_SLOW, error_from_answer
from workers.providers.openai.network_errors import EDGE_ERRORS, translate
from workers.providers.openai.sse import AnswerReader
from workers.providers.openai.transport import OpenAITransport
from workers.providers.token_estimate import estimate_usage

logger = structlog.get_logger(__name__)

RETRIES: Final = 2
MAX_RETRY_AFTER: Final = 10.0  # seconds; a request is not retried by itself when the endpoint asks for a longer wait
TAIL_TIMEOUT: Final = 5.0  # seconds from the finish reason to the end: only the usage is missing then
MAX_ERROR_BYTES: Final = 64 * 1024

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Unsupported:
    """What an endpoint has turned out not to accept. Its later requests go without."""

    stream_usage: bool = False  # `stream_options`
    options: set[tuple[str, str]] = field(default_factory=set)  # (model, option)


class OpenAIRequest:
    """An iterator over lists of chunks. The request is sent on the first step."""

    def __init__(
        self,
        transport: OpenAITransport,
        unsupported: Unsupported,
        model: str,
        turns: Sequence[ChatTurn],
        options: Options,
        on_request: OnRequest | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._unsupported = unsupported
        self._model = model
        self._turns = turns
        self._options = options
        self._on_request = on_request
        self._response: httpx2.Response | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._reader = AnswerReader(secrets=transport.secrets)
        self._tries = 0
        self._over = False
        self._deadline = self._loop.time() + transport.timeouts.total
        self._first_byte_by: float | None = None  # its deadline; None once it has arrived
        self._idle_timeout = IdleTimeout(self._loop)

    def __aiter__(self) -> OpenAIRequest:
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
        whole = self._reader.done
        task = self._release()
        if task is not None and not whole:
            await asyncio.shield(task)

    async def _read(self) -> list[Chunk]:
        """The next chunks; an empty list is the end. Raises `ProviderError`, outside of any handler, because an
        exception of the transport holds the request and with it the key.
        """
        reader = self._reader
        broken: Exception | None = None
        try:
            while not reader.done and reader.failure is None:
                if self._source is None:
                    self._source = await self._request()
                chunks = reader.feed(await self._next_bytes(self._source))
                if chunks:
                    return chunks
        except StopAsyncIteration:
            pass
        except EDGE_ERRORS as error:
            broken = error
        if broken is not None and reader.finish_reason is None:
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
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": turn.role, "content": turn.content} for turn in self._turns],
            "stream": True,
        }
        if not self._unsupported.stream_usage:
            body["stream_options"] = {"include_usage": True}
        body |= self._option_fields()
        encoded = _encode(body)
        self._first_byte_by = min(self._loop.time() + self._transport.timeouts.first_chunk, self._deadline)
        if self._on_request is not None:
            self._on_request(self._transport.host, self._model)
        async with asyncio.timeout_at(self._first_byte_by):
            response = self._response = await self._transport.send(encoded)
            refusal = await self._read_refusal(response) if response.status_code != 200 else None
        if refusal is not None:
            raise refusal
        if response.headers.get("content-encoding", "identity") != "identity":
            return response.aiter_bytes()
        # The transport's own iterator: two generators less for each read than `aiter_raw`.
        return aiter(cast("httpx2.AsyncByteStream", response.stream))

    def _option_fields(self) -> dict[str, float]:
        """The options in the form that this model of this endpoint accepts (`_retry` finds out)."""
        fields: dict[str, float] = {}
        refused = self._unsupported.options
        if self._options.temperature is not None and (self._model, "temperature") not in refused:
            fields["temperature"] = self._options.temperature
        if self._options.max_tokens is not None:
            newer = (self._model, "max_tokens") in refused
            fields["max_completion_tokens" if newer else "max_tokens"] = self._options.max_tokens
        return fields

    async def _read_refusal(self, response: httpx2.Response) -> ProviderError:
        """Returned, not raised: this frame holds the response, and some servers echo the key."""
        raw = bytearray()
        async for data in response.aiter_bytes():
            raw += data
            if len(raw) > MAX_ERROR_BYTES:
                break
        body: object = raw.decode(errors="replace")
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):  # else its text counts
            body = msgspec.json.decode(raw)
        return error_from_answer(response.status_code, body, response.headers, secrets=self._transport.secrets)

    async def _next_bytes(self, source: AsyncIterator[bytes]) -> bytes:
        limit = self._first_byte_by
        if limit is None:
            wait = self._transport.timeouts.idle if self._reader.finish_reason is None else TAIL_TIMEOUT
            limit = min(self._loop.time() + wait, self._deadline)
        data = await self._idle_timeout.wait(anext(source), until=limit)
        self._first_byte_by = None
        return data

    def _finish(self, chunks: list[Chunk]) -> list[Chunk]:
        """The last chunks of a complete answer, with a usage. Raises `ProviderError` when the answer is empty."""
        reader = self._reader
        self._over = True
        if not reader.has_output and reader.finish_reason not in ("tool_calls", "function_call"):
            if reader.finish_reason == "content_filter":
                raise ProviderError("upstream_refused", REFUSED_BY_FILTER)
            raise ProviderError("upstream_empty", "The model sent an empty answer. Please try again.")
        if reader.usage is None:
            usage = estimate_usage(self._turns, "".join(reader.text), "".join(reader.reasoning))
            chunks.append(Chunk(usage=usage))
        return chunks

    def _timeout(self) -> ProviderError:
        limits = self._transport.timeouts
        if self._loop.time() >= self._deadline:
            message, detail = "The answer took too long and was stopped.", f"total timeout of {limits.total:g} s"
        elif self._first_byte_by is not None:
            message = TOO_SLOW
            detail = f"first-token timeout of {limits.first_chunk:g} s"
        else:
            message, detail = (
                "The model stopped responding in the middle of the answer.",
                f"idle timeout of {limits.idle:g} s",
            )
        return ProviderError("upstream_timeout", message, detail=detail)

    async def _retry(self, failure: ProviderError) -> None:
        """Waits until the request may be sent again, or raises `failure`."""
        if not self._unsupported.stream_usage and "stream_options" in failure.detail and not self._reader.has_output:
            self._unsupported.stream_usage = True  # an older server: later requests go without it
            self._release()
            return
        if failure.code == "upstream_refused" and not self._reader.has_output:
            for name in ("temperature", "max_tokens"):
                if name in failure.detail and name in self._option_fields():
                    # OpenAI's reasoning models accept no temperature, and have another name for the limit.
                    logger.info("model_option_refused", model=self._model, option=name)
                    self._unsupported.options.add((self._model, name))
                    self._release()
                    return
        if self._reader.has_output:
            failure.retryable = False
        wait = _backoff(self._tries, failure)
        too_late = self._loop.time() + wait >= self._deadline
        if not failure.retryable or self._tries >= RETRIES or wait > MAX_RETRY_AFTER or too_late:
            self._over = True
            raise failure
        logger.info("model_request_retried", code=failure.code, detail=failure.detail, wait=round(wait, 3))
        self._tries += 1
        self._release()
        await asyncio.sleep(wait)

    def _release(self) -> asyncio.Task[None] | None:
        """Ends the response, if there is one that is not closed yet."""
        response, self._response = self._response, None
        whole = self._reader.done
        self._source = None
        self._reader = AnswerReader(secrets=self._transport.secrets)
        if response is None or response.is_closed:
            return None
        return self._transport.release(response, drain=whole)


def _backoff(tries: int, failure: ProviderError) -> float:
    """Seconds before the next try: what the endpoint asked for, else exponential backoff, both with jitter."""
    if failure.retry_after is not None:
        return failure.retry_after + random.uniform(0, 0.1)
    if failure.code == "upstream_cut" and tries == 0:
        return 0.0  # most likely a pooled connection that the server had just closed: it is not overloaded
    return random.uniform(0.5, 1.0) * 0.5 * 2.0**tries
