"""Webhooks; how long their log is kept is in `retention`."""

from __future__ import annotations

from config.env import at_least
from config.settings.environment import env

# Seconds after each failed attempt until the next one; after the last, a delivery has failed (about three days).
WEBHOOK_RETRY_SECONDS: list[float] = env.list(
    "WEBHOOK_RETRY_SECONDS", [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400], subcast=float
)
WEBHOOK_SECONDS = env.float("WEBHOOK_SECONDS", 15.0, validate=at_least(1))  # for an answer to one attempt
USER_WEBHOOKS = env.int("USER_WEBHOOKS", 3, validate=at_least(0))  # of one user's own; 0: none
