"""The models people may choose from. A worker, which talks to the endpoint, publishes them; web processes read them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final, TypedDict

import msgspec
import redis
import structlog
from django.conf import settings

from accounts.redis import sync_redis
from chat.errors import Invalid, Unavailable

log = structlog.get_logger(__name__)

KEY: Final = "models"
PUBLISHED_SECONDS: Final = 300  # a list outlives its worker's restart, not its absence
CACHED_SECONDS: Final = 5.0
FAILED_SECONDS: Final = 1.0  # Redis is not asked again for so long

# What is offered when nothing is configured: the worker then runs its demo model.
DEMO_MODEL: Final = "demo"
DEMO_LABEL: Final = "Demo (no model connected)"


class OfferedModel(TypedDict):
    id: str
    label: str


_decode = msgspec.json.Decoder(list[OfferedModel]).decode
_lock = threading.Lock()
_cached: list[OfferedModel] = []
_cached_until = 0.0


def publish_models(models: Sequence[OfferedModel]) -> None:
    """Offers these models, the default first, for the next `PUBLISHED_SECONDS`. Raises `redis.RedisError`."""
    sync_redis().set(KEY, msgspec.json.encode(list(models)), ex=PUBLISHED_SECONDS)


def offered_models() -> list[OfferedModel]:
    """The models on offer, the default first; up to `CACHED_SECONDS` old.

    Blocks for a Redis reply once in that time; without Redis the last known list stays. Empty while an endpoint is
    configured and no worker has reached it yet.
    """
    global _cached, _cached_until
    now = time.monotonic()
    if now >= _cached_until:
        with _lock:
            if now >= _cached_until:
                try:
                    _cached, _cached_until = _read_models(), now + CACHED_SECONDS
                except redis.RedisError as error:
                    log.warning("models_unknown", error=type(error).__name__)
                    _cached, _cached_until = _cached or _fallback(), now + FAILED_SECONDS
    return list(_cached)


def check_model(name: str | None) -> str:
    """The model that `name` means; nothing means the default. Raises `Invalid`, or `Unavailable` with none on offer."""
    names = [model["id"] for model in offered_models()]
    if not names:
        raise Unavailable("No model can be reached yet. Please try again in a moment.")
    if not name:
        return names[0]
    if name not in names:
        raise Invalid("This model is not offered here. Choose another one.")
    return name


def forget_models() -> None:
    """Empties the process's cache."""
    global _cached, _cached_until
    with _lock:
        _cached, _cached_until = [], 0.0


def _read_models() -> list[OfferedModel]:
    raw = sync_redis().get(KEY)
    if raw is None:
        return _fallback()
    assert isinstance(raw, bytes)
    return _decode(raw)


def _fallback() -> list[OfferedModel]:
    if settings.CHAT_MODELS:
        return [OfferedModel(id=name, label=name) for name in settings.CHAT_MODELS]
    if settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY:
        return []
    return [OfferedModel(id=DEMO_MODEL, label=DEMO_LABEL)]
