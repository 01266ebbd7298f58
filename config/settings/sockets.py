"""WebSockets: when the server closes one. Their rates are in `limits`."""

from __future__ import annotations

from config.env import at_least
from config.settings.environment import env

SOCKET_SLOW_SECONDS = env.float("SOCKET_SLOW_SECONDS", 30.0, validate=at_least(1))  # without an ack
SOCKET_IDLE_SECONDS = env.float("SOCKET_IDLE_SECONDS", 3600.0, validate=at_least(1))  # an unused socket is closed after
