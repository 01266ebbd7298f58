"""What this package counts, since the process began. `chat.telemetry.metrics` shows it."""

from __future__ import annotations

from collections import Counter

tickets: Counter[str] = Counter()  # issued, rate_limited, unavailable
logins: Counter[str] = Counter()  # ok, failed, locked (too many failures, so this one was not even tried)
