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
REPLICA_POOL = 2  # connections to the replica per process: a few members of staff read reports
# `transaction`: a pooler that gives each transaction another connection, such as PgBouncer in that mode.
DATABASE_POOLER: str = env.str("DATABASE_POOLER", "", validate=validate.OneOf(["", "transaction"]))
DATABASES: dict[str, Any] = {
    "default": database_from_url(DATABASE_URL, pool=DATABASE_POOL, pooler=bool(DATABASE_POOLER))
}
# A replica that staff's reports and exports read, while it is only so many seconds behind (accounts.lib.replica).
DATABASE_REPLICA_URL: str = env.str("DATABASE_REPLICA_URL", "")
REPLICA_LAG_SECONDS = env.float("REPLICA_LAG_SECONDS", 10.0, validate=at_least(0))
if DATABASE_REPLICA_URL:
    DATABASES["replica"] = database_from_url(
        DATABASE_REPLICA_URL, pool=REPLICA_POOL, pooler=bool(DATABASE_POOLER), name="DATABASE_REPLICA_URL"
    )
    DATABASE_ROUTERS = ["accounts.lib.replica.Router"]

# The servers of event logs and live events, over which the conversations are spread. All processes must have the same,
# in the same order.
EVENT_LOG_REDIS_URLS: list[str] = [
    redis_from_url(url.strip(), "EVENT_LOG_REDIS_URLS")
    for url in env.list("EVENT_LOG_REDIS_URLS", [], subcast=str)
    if url.strip()
] or [REDIS_URL]
CACHE_REDIS_URL: str = redis_from_url(env.str("CACHE_REDIS_URL", ""), "CACHE_REDIS_URL") or REDIS_URL
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "chat.channel_layer.StreamingChannelLayer",
        "CONFIG": {"hosts": EVENT_LOG_REDIS_URLS},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_REDIS_URL,
        "KEY_PREFIX": "cache-msgpack",  # changes with the serializer, so that no value of another one is ever read
        "OPTIONS": {"serializer": "accounts.lib.cache_serializer.MessagePackSerializer"},
    }
}
