"""Counters since the process started. `chat.telemetry.metrics` exports them."""

from __future__ import annotations

from collections import Counter

tickets: Counter[str] = Counter()  # issued, rate_limited, unavailable
logins: Counter[str] = Counter()  # ok, failed, locked (refused after too many failures)
