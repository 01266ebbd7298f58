"""One answer of an OpenAI-compatible endpoint: the request, its retries, its timeouts, and its end.

A request is not retried once a chunk was returned. In every case the connection is closed, or returned to the pool
after the whole response was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import httpx2
import msgspec
import structlog

from workers.providers.base import ChatTurn, Chunk, OnRequest, Options, ProviderError, TokenUsage
from workers.providers.config import Timeouts
from workers.providers.idle_timeout import IdleTimeout
from workers.providers.openai.continuing import INSTRUCT, build_messages
from workers.providers.openai.errors import TOO_SLOW, error_from_answer
from workers.providers.openai.learned import PREFILL_REFUSED, Learned, Lesson, find_lesson
from workers.providers.openai.network_errors import EDGE_ERRORS, translate
from workers.providers.openai.oddities import note_oddity
from workers.providers.openai.reader import AnswerReader
from workers.providers.openai.transport import OpenAITransport
from workers.providers.openai.verdict import NOTHING, find_fault, fold_system, shorten
from workers.providers.token_estimate import estimate_usage

logger = structlog.get_logger(__name__)

RETRIES: Final = 2
MAX_RETRY_AFTER: Final = 10.0  # seconds; a request is not retried by itself when the endpoint asks for a longer wait
TAIL_TIMEOUT: Final = 5.0  # seconds from the answer's end to the stream's: only the usage is missing then
MAX_ERROR_BYTES: Final = 64 * 1024
TEACHING_CODES: Final = frozenset({"upstream_refused", "context_too_long", "upstream_error"})

_encode = msgspec.json.Encoder().encode


class OpenAIRequest:
    """An iterator over lists of chunks. The request is sent on the first step."""

    def __init__(
        self,
        transport: OpenAITransport,
        learned: Learned,
        model: str,
        turns: Sequence[ChatTurn],
        options: Options,
        on_request: OnRequest | None,
        timeouts: Timeouts,
        prefill: str = INSTRUCT,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._timeouts = timeouts
        self._learned = learned
        self._model = model
        self._turns = turns
        self._options = options
        self._prefill = prefill  # how the endpoint is asked to go on with an answer (`continuing.py`)
        self._on_request = on_request
        self._response: httpx2.Response | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._sent: dict[str, Any] = {}  # the fields of the last request
        self._longest: int | None = None  # the longest answer, in tokens, that this prompt leaves room for
        self._shortened = False
        self._reader = self._new_reader()
        self._tries = 0
        self._over = False
        self._fault: ProviderError | None = None  # why a complete stream is no answer
        self._deadline = self._loop.time() + timeouts.total
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
                    return chunks
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
        turns = self._turns
        if self._learned.refuses(self._model, "system"):
            turns = fold_system(turns)
        style = INSTRUCT if self._learned.refuses(self._model, "prefill") else self._prefill
        messages, fields = build_messages(turns, self._options.continuation, style)
        self._sent = {"model": self._model, "messages": messages, "stream": True, **fields}
        if not self._learned.refuses(self._model, "stream_options"):
            self._sent["stream_options"] = {"include_usage": True}
        self._sent |= self._option_fields()
        encoded = _encode(self._sent)
        self._first_byte_by = min(self._loop.time() + self._timeouts.first_chunk, self._deadline)
        if self._on_request is not None:
            self._on_request(self._transport.host, self._model)
        async with asyncio.timeout_at(self._first_byte_by):
            response = self._response = await self._transport.send(encoded)
            refusal = None if 200 <= response.status_code < 300 else await self._read_refusal(response)
        if refusal is not None:
            raise refusal
        if response.headers.get("content-encoding", "identity") != "identity":
            return response.aiter_bytes()
        # The transport's own iterator: two generators less for each read than `aiter_raw`.
        return aiter(cast("httpx2.AsyncByteStream", response.stream))

    def _option_fields(self) -> dict[str, float | str]:
        """The options in the form that this model of this endpoint accepts (`learned.py`)."""
        fields: dict[str, float | str] = {}
        refused = self._learned.refuses
        if self._options.temperature is not None and not refused(self._model, "temperature"):
            fields["temperature"] = self._options.temperature
        limits = (self._options.max_tokens, self._longest, self._learned.limit(self._model))
        newer = refused(self._model, "max_tokens")
        dropped = refused(self._model, "answer_length") or (newer and refused(self._model, "max_completion_tokens"))
        if self._options.max_tokens is not None and not dropped:
            longest = min(limit for limit in limits if limit is not None)
            fields["max_completion_tokens" if newer else "max_tokens"] = longest
        if self._options.effort is not None and not refused(self._model, "reasoning_effort"):
            fields["reasoning_effort"] = self._options.effort
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
        self._fault = find_fault(reader)
        if self._fault is not None and not reader.reasoning:
            raise self._fault
        self._over = self._fault is None
        if reader.usage is None or reader.usage.implausible:
            chunks.append(Chunk(usage=self._estimate()))
        elif self._fault is not None:
            chunks.append(Chunk(usage=reader.usage))
        return chunks

    def _estimate(self) -> TokenUsage:
        """The usage where the endpoint reported none, or none that can be right."""
        reader = self._reader
        usage = estimate_usage(self._turns, "".join(reader.text), "".join(reader.reasoning))
        return replace(usage, implausible=reader.usage is not None)

    def _timeout(self) -> ProviderError:
        limits = self._timeouts
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
        if not self._reader.has_output:
            if (lesson := self._find_lesson(failure)) is not None:
                self._learn(lesson)
                self._release()
                return
            if failure.reason == NOTHING and not self._shortened:
                # Some servers say so that a prompt is too long.
                self._turns, self._shortened = shorten(self._turns), True
                logger.info("model_context_shortened", model=self._model, turns=len(self._turns))
                self._release()
                return
        if self._reader.has_output:
            failure.retryable = False
        wait = _backoff(self._tries, failure)
        too_late = self._loop.time() + wait >= self._deadline
        if not failure.retryable or self._tries >= RETRIES or wait > MAX_RETRY_AFTER or too_late:
            self._over = True
            raise failure
        logger.info("model_request_retried", code=failure.code, detail=failure.logged_detail, wait=round(wait, 3))
        self._tries += 1
        self._release()
        await asyncio.sleep(wait)

    def _find_lesson(self, failure: ProviderError) -> Lesson | None:
        if failure.code not in TEACHING_CODES:
            return None
        if self._sent["messages"][-1]["role"] == "assistant" and PREFILL_REFUSED.search(failure.said.lower()):
            return Lesson("prefill")
        has_system = any(turn["role"] == "system" for turn in self._sent.get("messages", ()))
        return find_lesson(failure.said, self._sent, has_system=has_system)

    def _learn(self, lesson: Lesson) -> None:
        """From now on, requests for this model are what it accepts."""
        logger.info("model_option_refused", model=self._model, option=lesson.what, limit=lesson.limit)
        self._learned.add(self._model, lesson)
        if lesson.limit is not None:
            self._longest = lesson.limit

    def _new_reader(self) -> AnswerReader:
        host = self._transport.host
        return AnswerReader(secrets=self._transport.secrets, report=lambda kind, found: note_oddity(host, kind, found))

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


def _backoff(tries: int, failure: ProviderError) -> float:
    """Seconds before the next try: what the endpoint asked for, else exponential backoff, both with jitter."""
    if failure.retry_after is not None:
        return failure.retry_after + random.uniform(0, 0.1)
    if failure.code == "upstream_cut" and tries == 0:
        return 0.0  # most likely a pooled connection that the server had just closed: it is not overloaded
    return random.uniform(0.5, 1.0) * 0.5 * 2.0**tries
