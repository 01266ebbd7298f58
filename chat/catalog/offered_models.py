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

from accounts.lib.redis import sync_redis
from chat.protocol.errors import Invalid, Unavailable

logger = structlog.get_logger(__name__)

KEY: Final = "models"
PUBLISHED_SECONDS: Final = 300  # a list outlives its worker's restart, not its absence
CACHED_SECONDS: Final = 5.0
FIRST_SECONDS: Final = 1.0  # a process's first look at Redis is waited for so long

# What is offered when nothing is configured: the worker then runs its demo model.
DEMO_MODEL: Final = "demo"
DEMO_LABEL: Final = "Demo (no model connected)"


class OfferedModel(TypedDict):
    id: str
    label: str


known: Final[set[str]] = set()  # every model that this process has seen on offer
_decode = msgspec.json.Decoder(list[OfferedModel]).decode


def publish_models(models: Sequence[OfferedModel]) -> None:
    """Offers these models, the default first, for the next `PUBLISHED_SECONDS`. Raises `redis.RedisError`."""
    known.update(model["id"] for model in models)
    sync_redis().set(KEY, msgspec.json.encode(list(models)), ex=PUBLISHED_SECONDS)


def offered_models() -> list[OfferedModel]:
    """The models on offer, the default first, as Redis said some `CACHED_SECONDS` ago; without Redis the last known.

    Looks are taken in the background and nobody waits for them, but for the first. Empty while an endpoint is
    configured and no worker has reached it yet.
    """
    return _cache.get()


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
    """Begins anew: the next reader waits for a look at Redis."""
    global _cache
    _cache = _Cache()


class _Cache:
    """What this process knows."""

    def __init__(self) -> None:
        self._models: list[OfferedModel] | None = None
        self._due = 0.0
        self._looking = threading.Lock()
        self._looked = threading.Event()

    def get(self) -> list[OfferedModel]:
        if time.monotonic() >= self._due and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, name="catalog", daemon=True).start()
        self._looked.wait(FIRST_SECONDS)
        return list(_fallback() if self._models is None else self._models)

    def _look(self) -> None:
        try:
            raw = sync_redis().get(KEY)
            assert raw is None or isinstance(raw, bytes)
            self._models = None if raw is None else _decode(raw)
            known.update(model["id"] for model in self._models or ())
        except (redis.RedisError, msgspec.MsgspecError) as error:
            logger.warning("models_unknown", error=type(error).__name__)
        finally:
            self._due = time.monotonic() + CACHED_SECONDS
            self._looked.set()
            self._looking.release()


_cache = _Cache()


def _fallback() -> list[OfferedModel]:
    if settings.CHAT_MODELS:
        return [OfferedModel(id=name, label=name) for name in settings.CHAT_MODELS]
    if settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY:
        return []
    return [OfferedModel(id=DEMO_MODEL, label=DEMO_LABEL)]
