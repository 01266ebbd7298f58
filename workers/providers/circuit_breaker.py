"""What stands between a run and endpoints that may be down: a circuit breaker for each, and the next one to turn to.

Closed, everything passes. After `FAILURES` failures within `WINDOW_SECONDS` it opens: answers fail at once with
`upstream_unavailable` instead of each waiting for a timeout of its own. After MODEL_RETRY_SECONDS one answer is let
through to see (half-open); its first chunk closes the breaker, its failure opens it again (M. Nygard, Release It!,
ch. 5).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from workers.providers.base import ChatModel

log = structlog.get_logger(__name__)

FAILURES: Final = 5
WINDOW_SECONDS: Final = 30.0


class Breaker:
    """One endpoint's, open for so many `seconds`. Of one event loop; `clock` in seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> str:
        """closed, open or half-open."""
        if self._open_until is None:
            return "closed"
        return "open" if self._probing or self._clock() < self._open_until else "half-open"

    @property
    def retry_after(self) -> float:
        """Seconds until it is worth trying."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def enter(self) -> bool:
        """Whether a request may go out. One that did must report with `succeeded`, `failed` or `gone`."""
        if self.state == "open":
            return False
        self._probing = self._open_until is not None
        return True

    def succeeded(self) -> None:
        self._failures.clear()
        if self._open_until is not None:
            log.info("model_endpoint_back")
        self._open_until, self._probing = None, False

    def failed(self) -> None:
        now = self._clock()
        self._failures.append(now)
        often = len(self._failures) == FAILURES and now - self._failures[0] <= WINDOW_SECONDS
        if self._open_until is not None or often:
            if self._open_until is None:
                log.warning("model_endpoint_given_up", failures=FAILURES, seconds=self.seconds)
            self._open_until, self._probing = now + self.seconds, False

    def gone(self) -> None:
        """A request ended before the endpoint said anything (somebody stopped it): nothing was learnt."""
        self._probing = False


@dataclass(slots=True)
class Endpoint:
    """A model server. `model`, when given, is asked for instead of the one a person chose."""

    chat: ChatModel
    breaker: Breaker
    model: str = ""
