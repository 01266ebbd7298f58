"""PostgreSQL, Redis, the cache and the channel layer."""

from __future__ import annotations

from typing import Any

from environs import validate

from config.env import at_least, database_from_url, redis_from_url, stack_url
from config.settings.environment import VAR_DIR, env

# Empty: the private servers of `manage.py up`, whose addresses are stored in var/.
DATABASE_URL: str = env.str("DATABASE_URL", "") or stack_url(VAR_DIR, "database_url")
REDIS_URL: str = redis_from_url(env.str("REDIS_URL", "") or stack_url(VAR_DIR, "redis_url"))
DATABASE_POOL = env.int("DATABASE_POOL", 8, validate=at_least(1))  # maximum connections per process
# `transaction`: a pooler that gives each transaction another connection, such as PgBouncer in that mode.
DATABASE_POOLER: str = env.str("DATABASE_POOLER", "", validate=validate.OneOf(["", "transaction"]))
DATABASES: dict[str, Any] = {
    "default": database_from_url(DATABASE_URL, pool=DATABASE_POOL, pooler=bool(DATABASE_POOLER))
}

CHANNEL_LAYERS = {"default": {"BACKEND": "chat.channel_layer.StreamingChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache-msgpack",  # changes with the serializer, so that no value of another one is ever read
        "OPTIONS": {"serializer": "accounts.lib.cache_serializer.MessagePackSerializer"},
    }
}
