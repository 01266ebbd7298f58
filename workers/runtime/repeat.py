"""Steps of a worker's housekeeping that are repeated as long as it lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from accounts.lib.lasting import failures
from accounts.lib.outage import OUTAGE
from chat.jobs.dispatch import BrokerAway
from workers.providers.base import ProviderError

logger = structlog.get_logger(__name__)


async def repeat(step: Callable[[], Awaitable[None]], *, every: float, wake: asyncio.Event | None = None) -> NoReturn:
    """Calls `step` for ever, with `every` seconds in between, or as soon as `wake` is set.

    What it raises is logged, and it is called again.
    """
    while True:
        try:
            await step()
        except (*OUTAGE, BrokerAway) as error:
            logger.warning("maintenance_step_delayed", step=step.__name__, error=type(error).__name__)
        except ProviderError as error:
            logger.warning("model_list_request_failed", code=error.code)
        except Exception:
            failures["maintenance_step_failed"] += 1
            logger.exception("maintenance_step_failed", step=step.__name__)
        if wake is None:
            await asyncio.sleep(every)
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), every)
            wake.clear()
