"""The circuit breaker by a clock of the test's own, and the endpoints it turns to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from workers.providers.base import (
    DEFAULT,
    ChatModel,
    ChatTurn,
    Chunk,
    ListedModel,
    OnRequest,
    Options,
    ProviderError,
)
from workers.providers.circuit_breaker import FAILURES, WINDOW_SECONDS, CircuitBreaker
from workers.providers.failover import GuardedEndpoint, GuardedModel


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(10.0, clock)


def guard(chat: ChatModel, model: str = "") -> GuardedEndpoint:
    return GuardedEndpoint(chat, CircuitBreaker(10.0), model=model)


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        assert breaker.try_acquire()
        breaker.failed()


def test_it_opens_after_some_failures_and_not_before(breaker: CircuitBreaker) -> None:
    fail(breaker, FAILURES - 1)
    assert breaker.state == "closed"
    fail(breaker, 1)
    assert breaker.state == "open"
    assert not breaker.try_acquire()
    assert breaker.retry_after == 10.0


def test_failures_long_ago_do_not_count(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES - 1)
    clock.now += WINDOW_SECONDS + 1
    fail(breaker, FAILURES - 1)
    assert breaker.state == "closed"


def test_a_success_forgets_failures(breaker: CircuitBreaker) -> None:
    fail(breaker, FAILURES - 1)
    assert breaker.try_acquire()
    breaker.succeeded()
    fail(breaker, FAILURES - 1)
    assert breaker.state == "closed"


def test_one_probe_at_a_time_decides(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += 10.0
    assert breaker.state == "half-open"
    assert breaker.try_acquire()
    assert not breaker.try_acquire(), "one is enough to see"
    breaker.failed()
    assert not breaker.try_acquire()
    clock.now += 10.0
    assert breaker.try_acquire()
    breaker.succeeded()
    assert breaker.state == "closed"


def test_a_probe_that_was_stopped_leaves_room_for_the_next(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.now += 10.0
    assert breaker.try_acquire()
    breaker.cancelled()
    assert breaker.try_acquire()


class Scripted:
    """A `ChatModel` that says words, then may fail. Counts how often it was asked, and for which model."""

    def __init__(self, *words: str, error: str = "", hang: bool = False) -> None:
        self.words = words
        self.error = error
        self.hang = hang
        self.asked: list[str] = []
        self.open_streams = 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def models(self) -> list[str]:
        return ["m"]

    async def list_models(self) -> list[ListedModel]:
        return [ListedModel("m")]

    @contextlib.asynccontextmanager
    async def stream(
        self,
        model: str,
        turns: Sequence[ChatTurn],
        *,
        options: Options = DEFAULT,
        on_request: OnRequest | None = None,
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        self.asked.append(model)
        self.open_streams += 1
        try:
            yield self._play()
        finally:
            self.open_streams -= 1

    async def _play(self) -> AsyncIterator[list[Chunk]]:
        for word in self.words:
            yield [Chunk(text=word)]
        if self.hang:
            await asyncio.Event().wait()
        if self.error:
            raise ProviderError(self.error, "No.")


async def ask(model: GuardedModel) -> str:
    said = []
    async with model.stream("chosen", []) as answer:
        async for chunks in answer:
            said += [chunk.text for chunk in chunks]
    return "".join(said)


async def test_the_next_endpoint_answers_before_the_first_word() -> None:
    down, other = Scripted(error="upstream_unreachable"), Scripted("hello")
    model = GuardedModel([guard(down), guard(other, model="theirs")])
    assert await ask(model) == "hello"
    assert (down.asked, other.asked) == (["chosen"], ["theirs"])
    assert down.open_streams == other.open_streams == 0


async def test_after_the_first_word_nobody_else_is_asked() -> None:
    broken, other = Scripted("half", error="upstream_cut"), Scripted("never")
    with pytest.raises(ProviderError, match="upstream_cut"):
        await ask(GuardedModel([guard(broken), guard(other)]))
    assert not other.asked


async def test_what_is_wrong_with_the_request_is_wrong_elsewhere_too() -> None:
    strict, other = Scripted(error="context_too_long"), Scripted("never")
    with pytest.raises(ProviderError, match="context_too_long"):
        await ask(GuardedModel([guard(strict), guard(other)]))
    assert not other.asked


async def test_an_open_breaker_fails_at_once_and_skips_to_the_next() -> None:
    down, other = Scripted(error="upstream_error"), Scripted("hello")
    alone = GuardedModel([guard(down)])
    for _ in range(FAILURES):
        with pytest.raises(ProviderError, match="upstream_error"):
            await ask(alone)
    with pytest.raises(ProviderError, match="upstream_unavailable") as caught:
        await ask(alone)
    assert len(down.asked) == FAILURES
    assert caught.value.retry_after
    assert await ask(GuardedModel([*alone.endpoints, guard(other)])) == "hello"
    assert len(down.asked) == FAILURES


def test_who_waits_for_a_model_to_be_loaded_lets_others_pass_and_forgets_no_failure() -> None:
    endpoint = guard(Scripted())
    for _ in range(FAILURES):
        assert endpoint.try_acquire("m") is None
        endpoint.waits("m")
        assert endpoint.try_acquire("m") is None
        endpoint.failed("m", "upstream_error")  # it never gets loaded
    assert endpoint.try_acquire("m") is not None
    assert endpoint.breaker.state == "closed"


class OneBad:
    """An endpoint with one model that fails, and others that answer."""

    def __init__(self, error: str) -> None:
        self.bad, self.good = Scripted(error=error), Scripted("hello")

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def models(self) -> list[str]:
        return []

    async def list_models(self) -> list[ListedModel]:
        return []

    def stream(
        self, model: str, turns: Sequence[ChatTurn], *, options: Options = DEFAULT, on_request: OnRequest | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[list[Chunk]]]:
        return (self.bad if model == "bad" else self.good).stream(model, turns)


async def ask_for(model: GuardedModel, name: str) -> str:
    said = []
    async with model.stream(name, []) as answer:
        async for chunks in answer:
            said += [chunk.text for chunk in chunks]
    return "".join(said)


async def test_one_models_failures_leave_the_others_of_its_endpoint() -> None:
    model = GuardedModel([guard(OneBad("upstream_error"))])
    for _ in range(FAILURES):
        with pytest.raises(ProviderError, match="upstream_error"):
            await ask_for(model, "bad")
    with pytest.raises(ProviderError, match="upstream_unavailable"):
        await ask_for(model, "bad")
    assert await ask_for(model, "good") == "hello"
    assert model.endpoints[0].breaker.state == "closed"


async def test_an_endpoint_that_cannot_be_reached_is_left_for_all_models() -> None:
    model = GuardedModel([guard(OneBad("upstream_unreachable"))])
    for _ in range(FAILURES):
        with pytest.raises(ProviderError, match="upstream_unreachable"):
            await ask_for(model, "bad")
    with pytest.raises(ProviderError, match="upstream_unavailable"):
        await ask_for(model, "good")


async def test_a_slow_model_opens_nothing() -> None:
    slow = OneBad("upstream_timeout")
    model = GuardedModel([guard(slow)])
    for _ in range(FAILURES * 2):
        with pytest.raises(ProviderError, match="upstream_timeout"):
            await ask_for(model, "bad")
    assert len(slow.bad.asked) == FAILURES * 2


async def test_refusals_do_not_open_it() -> None:
    strict = Scripted(error="upstream_refused")
    model = GuardedModel([guard(strict)])
    for _ in range(FAILURES * 2):
        with pytest.raises(ProviderError, match="upstream_refused"):
            await ask(model)


async def test_a_stopped_probe_is_no_verdict() -> None:
    clock = Clock()
    slow = Scripted(hang=True)
    model = GuardedModel([GuardedEndpoint(slow, CircuitBreaker(10.0, clock))])
    fail(model.endpoints[0].breaker, FAILURES)
    clock.now += 10.0
    task = asyncio.create_task(ask(model))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert model.endpoints[0].breaker.state == "open", "the probe is under way"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert model.endpoints[0].breaker.state == "half-open"
    assert slow.open_streams == 0
