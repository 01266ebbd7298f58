"""How long to wait before a request is sent again."""

from __future__ import annotations

import random

from workers.providers.base import ProviderError


def backoff(tries: int, failure: ProviderError) -> float:
    """Seconds before the next try: what the endpoint asked for, else exponential backoff, both with jitter."""
    if failure.retry_after is not None:
        return failure.retry_after + random.uniform(0, 0.1)
    if failure.code == "upstream_cut" and tries == 0:
        return 0.0  # most likely a pooled connection that the server had just closed: it is not overloaded
    return random.uniform(0.5, 1.0) * 0.5 * 2.0**tries
