"""One answer of an endpoint: the request, its retries, its timeouts, and its end.

A request is not retried once a chunk was returned. In every case the connection is closed, or returned to the pool
after the whole response was read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import httpx2
import msgspec
import structlog

from workers.providers.base import ChatTurn, Chunk, OnRequest, Options, ProviderError, TokenUsage
from workers.providers.config import Extras, Timeouts, merge_fields
from workers.providers.http.backoff import backoff
from workers.providers.http.continuing import INSTRUCT, continue_turns
from workers.providers.http.dialect import Dialect, Wanted
from workers.providers.http.errors import TOO_SLOW, decode_body, error_from_answer
from workers.providers.http.json_values import read_number
from workers.providers.http.learned import PREFILL_REFUSED, Learned, Lesson, find_lesson
from workers.providers.http.network_errors import EDGE_ERRORS, translate
from workers.providers.http.oddities import note_oddity
from workers.providers.http.reader import AnswerReader
from workers.providers.http.transport import Transport
from workers.providers.http.verdict import find_fault, fold_system
from workers.providers.idle_timeout import IdleTimeout
from workers.providers.token_estimate import estimate_usage

logger = structlog.get_logger(__name__)

RETRIES: Final = 2
MAX_RETRY_AFTER: Final = 10.0  # seconds; a request is not retried by itself when the endpoint asks for a longer wait
TAIL_TIMEOUT: Final = 5.0  # seconds from the answer's end to the stream's: only the usage is missing then
MAX_ERROR_BYTES: Final = 64 * 1024
TEACHING_CODES: Final = frozenset({"upstream_refused", "context_too_long", "upstream_error"})

_encode = msgspec.json.Encoder().encode


class AnswerRequest:
    """An iterator over lists of chunks. The request is sent on the first step."""

    def __init__(
        self,
        dialect: Dialect,
        transport: Transport,
        learned: Learned,
        model: str,
        turns: Sequence[ChatTurn],
        options: Options,
        on_request: OnRequest | None,
        timeouts: Timeouts,
        extras: Extras,
        prefill: str = INSTRUCT,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialect = dialect
        self._transport = transport
        self._timeouts = timeouts
        self._extras = extras
        self._learned = learned
        self._model = model
        self._turns = turns
        self._options = options
        self._prefilled = False  # the last request ended with an answer to be continued
        self._prefill = prefill  # how the endpoint is asked to go on with an answer (`continuing.py`)
        self._on_request = on_request
        self._response: httpx2.Response | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._sent: Mapping[str, Any] = {}  # the fields of the last request
        self._lessons: set[Lesson] = set()  # that this answer has taught
        self._left_out: set[str] = set()  # fields whose values the model refused, for this answer alone
        self._named = False  # the model that answers has been returned
        self._longest: int | None = None  # the longest answer, in tokens, that this prompt leaves room for
        self._reader = self._new_reader()
        self._tries = 0
        self._over = False
        self._fault: ProviderError | None = None  # why a complete stream is no answer
        self._deadline = self._loop.time() + timeouts.total
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
        wanted = self._want()
        body = self._dialect.body(wanted)
        if self._extras.body:
            body = merge_fields(self._extras.body, body)
        self._sent = {**self._dialect.fields(body), "stream": wanted.stream}
        self._note_sent()
        self._named = False
        encoded = _encode(body)
        self._first_byte_by = min(self._loop.time() + self._timeouts.first_chunk, self._deadline)
        if self._on_request is not None:
            self._on_request(self._transport.host, self._model)
        async with asyncio.timeout_at(self._first_byte_by):
            response = self._response = await self._transport.send(
                self._model, encoded, self._extras, stream=wanted.stream
            )
            refusal = None if 200 <= response.status_code < 300 else await self._read_refusal(response)
        if refusal is not None:
            raise refusal
        if response.headers.get("content-encoding", "identity") != "identity":
            return response.aiter_bytes()
        # The transport's own iterator: two generators less for each read than `aiter_raw`.
        return aiter(cast("httpx2.AsyncByteStream", response.stream))

    def _want(self) -> Wanted:
        """What is asked for, in the form that this model of this endpoint accepts (`learned.py`)."""
        options, model = self._options, self._model
        limits = (options.max_tokens, self._longest, self._learned.limit(model))
        refused = self._refuses
        longest = None
        if (options.max_tokens is not None or not self._dialect.length_optional) and not refused("answer_length"):
            longest = min((limit for limit in limits if limit is not None), default=None)
        turns = fold_system(self._turns) if refused("system") else self._turns
        style = INSTRUCT if refused("prefill") else self._prefill
        if (continuation := options.continuation) is not None:
            turns = continue_turns(turns, style)
            continuation.exact = self._prefilled = style != INSTRUCT
        return Wanted(
            model=model,
            turns=turns,
            unfinished=style if self._prefilled else "",
            stream=not refused("stream"),
            temperature=None if refused("temperature") else options.temperature,
            max_tokens=longest,
            effort=options.effort,
            refused=refused,
        )

    def _refuses(self, what: str) -> bool:
        return what in self._left_out or self._learned.refuses(self._model, what)

    def _note_sent(self) -> None:
        """Says what the request really asks for, with what staff add to each one."""
        sent, fields, dialect = self._options.sent, self._sent, self._dialect
        if sent is None:
            return
        effort = self._options.effort
        sent.known = True
        warmth = fields.get("temperature")
        sent.temperature = float(warmth) if isinstance(warmth, int | float) else None
        sent.max_tokens = next((read_number(fields[name]) for name in dialect.length_fields if name in fields), None)
        sent.effort = effort if effort is not None and dialect.asks_effort(effort, fields) else None

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
        self._fault = find_fault(reader)
        if self._fault is not None and not reader.reasoning:
            raise self._fault
        self._over = self._fault is None
        if reader.usage is None or reader.usage.implausible:
            chunks.append(Chunk(usage=self._estimate()))
        elif self._fault is not None:
            chunks.append(Chunk(usage=reader.usage))
        return chunks if self._named or not reader.model else self._name(chunks, reader.model)

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
        if not self._reader.has_output and (lesson := self._find_lesson(failure)) is not None:
            self._learn(lesson)
            self._release()
            return
        if self._reader.has_output:
            failure.retryable = False
        wait = backoff(self._tries, failure)
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
        said = failure.said.lower()
        if self._prefilled and PREFILL_REFUSED.search(said):
            return Lesson("prefill")
        refused = self._learned.refuses(self._model, "system")
        lesson = find_lesson(
            failure.said,
            self._sent,
            has_system=not refused and any(turn.role == "system" for turn in self._turns),
            length_fields=self._dialect.length_fields,
        )
        if (own := self._dialect.find_refused(said, self._sent)) is not None:
            lesson = Lesson(own)
        return None if lesson in self._lessons else lesson  # what has been left out is not the reason

    def _learn(self, lesson: Lesson) -> None:
        """From now on, requests for this model are what it accepts."""
        logger.info("model_option_refused", model=self._model, option=lesson.what, limit=lesson.limit)
        self._learned.add(self._model, lesson)
        self._lessons.add(lesson)
        if lesson.limit is not None:
            self._longest = lesson.limit
        elif lesson.once:
            self._left_out.add(lesson.what)

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
