"""Steps of loops that run as long as their process or connection: what one raises must not end the loop for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from accounts.lib.outage import OUTAGE

failures: Final[Counter[str]] = Counter()  # steps that failed without an outage, by what the log calls it

logger = structlog.get_logger(__name__)


@contextmanager
def lasting(event: str, **context: str) -> Iterator[None]:
    """Around one step of a loop, which goes on afterwards: raises nothing but a cancellation.

    An outage is a warning `event` in the log; every other error is logged with its traceback, and counted.
    """
    try:
        yield
    except OUTAGE as error:
        logger.warning(event, error=type(error).__name__, **context)
    except Exception:
        failures[event] += 1
        logger.exception(event, **context)
