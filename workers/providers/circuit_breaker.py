"""The circuit breakers of a model endpoint: one for its connections, and one for each of its models.

While it is closed, every request passes. After `FAILURES` failures within `WINDOW_SECONDS` it opens: requests fail at
once instead of each waiting for its own timeout. After MODEL_RETRY_SECONDS it lets one request through (half-open).
The first chunk of that answer closes the breaker, a failure opens it again (M. Nygard, Release It!, ch. 5).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog
from cachetools import LRUCache

logger = structlog.get_logger(__name__)

MODELS: Final = 500  # models of one endpoint whose failures are remembered
FAILURES: Final = 5
WINDOW_SECONDS: Final = 30.0


class CircuitBreaker:
    """The circuit breaker of one endpoint. It stays open for `seconds`; `clock` returns seconds. Not thread-safe."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._open_until: float | None = None
        self._probing = False
        self.answered_at = 0.0  # the last answer, seconds since 1970

    @property
    def state(self) -> str:
        """closed, open or half-open."""
        if self._open_until is None:
            return "closed"
        return "open" if self._probing or self._clock() < self._open_until else "half-open"

    @property
    def retry_after(self) -> float:
        """Seconds until the next request may pass; 0 when it may now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def try_acquire(self) -> bool:
        """Whether a request may be sent. After True the caller must call `succeeded`, `failed` or `cancelled`."""
        if self.state == "open":
            return False
        self._probing = self._open_until is not None
        return True

    def succeeded(self) -> None:
        self._failures.clear()
        self.answered_at = time.time()
        if self._open_until is not None:
            logger.info("circuit_breaker_closed")
        self._open_until, self._probing = None, False

    def failed(self) -> None:
        now = self._clock()
        self._failures.append(now)
        often = len(self._failures) == FAILURES and now - self._failures[0] <= WINDOW_SECONDS
        if self._open_until is not None or often:
            if self._open_until is None:
                logger.warning("circuit_breaker_opened", failures=FAILURES, seconds=self.seconds)
            self._open_until, self._probing = now + self.seconds, False

    def cancelled(self) -> None:
        """A request was cancelled before the endpoint sent anything, so the state of the endpoint is still unknown."""
        self._probing = False


class ModelBreakers:
    """The circuit breakers of an endpoint's models, made when a model is first asked for. Not thread-safe."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._by_model: LRUCache[str, CircuitBreaker] = LRUCache(MODELS)

    def of(self, model: str) -> CircuitBreaker:
        breaker = self._by_model.get(model)
        if breaker is None:
            breaker = self._by_model[model] = CircuitBreaker(self._seconds, self._clock)
        return breaker
