"""Celery's consumer, with a short wait between its attempts to connect.

Celery waits 2 s longer after each failed attempt, up to 30 s. Answers would then wait for up to half a minute after the
broker's return, although the sweeper has published their jobs at once.
"""

from __future__ import annotations

from typing import Any, Final

from celery.worker import consumer

RETRY_SECONDS: Final = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery has no types
    """The setting `worker_consumer` names it."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connects, and tries again for as long as the broker is away; returns the connection."""
        connect = conn.ensure_connection

        def ensure_connection(*args: Any, **options: Any) -> Any:
            return connect(*args, **{**RETRY_SECONDS, **options})

        conn.ensure_connection = ensure_connection
        try:
            return super().ensure_connected(conn)
        finally:
            del conn.ensure_connection
