"""What the admin's pages of endpoints show of the workers and the environment. Never a key."""

from __future__ import annotations

import uuid

import msgspec
import redis
from django.conf import settings

from accounts.lib.redis import sync_redis
from chat.catalog.offered_models import KEY
from workers.models import Endpoint
from workers.providers.config import Definition
from workers.providers.discovery import decode_published, read_listed
from workers.providers.kinds import KIND_NAMES, resolve_kind
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
    given = (
        ("environment", "OPENAI_BASE_URL", settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY, settings.OPENAI_KIND),
        ("anthropic", "ANTHROPIC_BASE_URL", settings.ANTHROPIC_BASE_URL, settings.ANTHROPIC_API_KEY, "anthropic"),
        ("gemini", "GEMINI_BASE_URL", settings.GEMINI_BASE_URL, settings.GEMINI_API_KEY, "gemini"),
    )
    found = [
        _environment_endpoint(name, setting, address, key, kind)
        for name, setting, address, key, kind in given
        if key or (address and name == "environment")
    ]
    if found and settings.OPENAI_FALLBACK_BASE_URL:
        setting, address = "OPENAI_FALLBACK_BASE_URL", settings.OPENAI_FALLBACK_BASE_URL
        key, kind = settings.OPENAI_FALLBACK_API_KEY, settings.OPENAI_FALLBACK_KIND
        found.append(_environment_endpoint("environment-fallback", setting, address, key, kind))
    return found


def _environment_endpoint(name: str, setting: str, address: str, key: str, kind: str) -> dict[str, str]:
    found = resolve_kind(kind, address)
    return {
        "id": name,
        "setting": setting,
        "place": Definition(id=name, name=name, kind=found, base_url=address).place,
        "kind": KIND_NAMES[found],
        "key": "with a key" if key else "without a key",
    }
