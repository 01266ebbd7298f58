"""The models that users can choose. Workers, which talk to the endpoints, publish them; web processes read them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final, NotRequired, TypedDict

import msgspec
import redis
import structlog
from django.conf import settings
from django.utils.translation import gettext as _

from accounts.lib.redis import sync_redis
from chat.protocol.errors import Invalid, Unavailable
from chat.telemetry.metrics import add_offered_models

logger = structlog.get_logger(__name__)

KEY: Final = "models"
PUBLISHED_SECONDS: Final = 300  # longer than a worker's restart takes
CACHED_SECONDS: Final = 5.0
FIRST_SECONDS: Final = 1.0  # how long the first reader waits for Redis

# Offered when no endpoint is configured; the worker then runs its demo model.
DEMO_MODEL: Final = "demo"
DEMO_LABEL: Final = "Demo (no model connected)"


class OfferedModel(TypedDict):
    """`window` is in tokens. `refuses` names the parameters of conversations that it does not accept. What nobody
    knows of a model is left out.
    """

    id: str
    label: str
    window: NotRequired[int]
    sees: NotRequired[bool]
    tools: NotRequired[bool]
    thinks: NotRequired[bool]
    refuses: NotRequired[list[str]]


class PublishedModel(OfferedModel):
    """An offered model with what the picker shows beside it: where it runs, and what its endpoint's list says it costs.

    `endpoint_name` is the endpoint's name for users, `host` its host name, which prices use. `input_price` and
    `output_price` are US dollars for a million tokens.
    """

    endpoint_name: NotRequired[str]
    host: NotRequired[str]
    input_price: NotRequired[float]
    output_price: NotRequired[float]


_decode = msgspec.json.Decoder(list[PublishedModel]).decode


def publish_models(models: Sequence[OfferedModel]) -> None:
    """Offers these models, the default first, for the next `PUBLISHED_SECONDS`. Raises `redis.RedisError`."""
    add_offered_models(model["id"] for model in models)
    sync_redis().set(KEY, msgspec.json.encode(list(models)), ex=PUBLISHED_SECONDS)


def offered_models() -> list[OfferedModel]:
    """The offered models, the default first, at most about `CACHED_SECONDS` old; without Redis the last known ones.

    They are read in the background; only the first reader of a process waits. Empty while an endpoint is configured but
    no worker has reached it yet.
    """
    return [lean(model) for model in published_models()]


def published_models() -> list[PublishedModel]:
    """The same models with everything that is published of them."""
    return _cache.get()


def lean(model: PublishedModel) -> OfferedModel:
    """A model without what only the picker shows."""
    return OfferedModel(**{name: value for name, value in model.items() if name in OfferedModel.__annotations__})  # type: ignore[typeddict-item, no-any-return]


def check_model(name: str | None, names: Sequence[str] | None = None) -> str:
    """The model called `name`; the default without a name. Raises `Invalid`, or `Unavailable` when none is offered.

    `names` are those to choose from, the default first; without them all offered models.
    """
    if names is None:
        names = [model["id"] for model in offered_models()]
    if not names:
        raise Unavailable(_("No model is available yet. Try again in a moment."))
    if not name:
        return names[0]
    if name not in names:
        raise Invalid(_("This model is not available. Choose another one."))
    return name


class _Cache:
    """The models as this process last read them."""

    def __init__(self) -> None:
        self._models: list[PublishedModel] | None = None
        self._due = 0.0
        self._reading = threading.Lock()
        self._has_read = threading.Event()

    def get(self) -> list[PublishedModel]:
        if time.monotonic() >= self._due and self._reading.acquire(blocking=False):
            threading.Thread(target=self._read, name="catalog", daemon=True).start()
        self._has_read.wait(FIRST_SECONDS)
        return list(_fallback() if self._models is None else self._models)

    def _read(self) -> None:
        try:
            raw = sync_redis().get(KEY)
            assert raw is None or isinstance(raw, bytes)
            self._models = None if raw is None else _decode(raw)
            add_offered_models(model["id"] for model in self._models or ())
        except (redis.RedisError, msgspec.MsgspecError) as error:
            logger.warning("offered_models_not_read", error=type(error).__name__)
        finally:
            self._due = time.monotonic() + CACHED_SECONDS
            self._has_read.set()
            self._reading.release()


_cache = _Cache()


def _fallback() -> list[PublishedModel]:
    if settings.CHAT_MODELS:
        return [PublishedModel(id=name, label=name) for name in settings.CHAT_MODELS]
    if settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY:
        return []
    return [PublishedModel(id=DEMO_MODEL, label=DEMO_LABEL)]
