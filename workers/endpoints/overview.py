"""What the admin's pages of endpoints show of the workers and the environment. Never a key."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

import msgspec
import redis
from django.conf import settings

from accounts.lib.redis import sync_redis
from chat.catalog.offered_models import KEY
from workers.models import Endpoint
from workers.providers.discovery import decode_published, read_listed
from workers.providers.selection import hidden_reason


def count_offered() -> dict[str, int] | None:
    """The number of offered models by endpoint, as published by the workers; None when Redis is unreachable."""
    try:
        raw = sync_redis().get(KEY)
    except redis.RedisError:
        return None
    assert raw is None or isinstance(raw, bytes)
    return {endpoint: len(models) for endpoint, models in decode_published(raw).items()}


def listed_models(object_id: str) -> list[dict[str, str]] | None:
    """The models that an endpoint lists, those that are not offered first, each with the reason.

    None if staff named the models, if no worker knows them, or when Redis is unreachable.
    """
    try:
        row = Endpoint.objects.filter(pk=uuid.UUID(object_id)).prefetch_related("models").first()
        models = read_listed(str(row.pk)) if row is not None and not row.models.all() else None
    except (redis.RedisError, msgspec.MsgspecError, ValueError):
        return None
    if row is None or models is None:
        return None
    shown, hidden = frozenset(row.shown_models), frozenset(row.hidden_models)
    found = [{"name": model.id, "hidden": hidden_reason(model, shown, hidden)} for model in models]
    return sorted(found, key=lambda one: not one["hidden"])


def environment_endpoints() -> list[dict[str, str]]:
    """The endpoints of the environment with their settings, without secrets."""
    found = []
    if settings.OPENAI_BASE_URL or settings.OPENAI_API_KEY:
        found.append(
            {
                "id": "environment",
                "setting": "OPENAI_BASE_URL",
                "place": _place(settings.OPENAI_BASE_URL),
                "key": "with a key" if settings.OPENAI_API_KEY else "without a key",
            }
        )
        if settings.OPENAI_FALLBACK_BASE_URL:
            found.append(
                {
                    "id": "environment-fallback",
                    "setting": "OPENAI_FALLBACK_BASE_URL",
                    "place": _place(settings.OPENAI_FALLBACK_BASE_URL),
                    "key": "with a key" if settings.OPENAI_FALLBACK_API_KEY else "without a key",
                }
            )
    return found


def _place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or "api.openai.com"
