"""Checks that the configured PostgreSQL and Redis can be used; if not, says how to fix it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import psycopg
import redis

from config.env import database_from_url
from config.stack.errors import StackError

SECONDS: Final = 5
SILENT: Final = f"did not answer within {SECONDS} s. It hangs, a firewall blocks it, or the address is wrong"
OLDEST_POSTGRES: Final = 14  # of Django 5.2
OLDEST_REDIS: Final = (6, 2)  # GETDEL


def check_database(url: str) -> None:
    """Connects once. Raises `StackError`."""
    entry = database_from_url(url, pool=1)
    place = f"{entry['HOST'] or 'localhost'}:{entry['PORT'] or 5432}"
    user, name = entry["USER"], entry["NAME"]
    try:
        with psycopg.connect(url, connect_timeout=SECONDS) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.ProgrammingError as error:
        raise StackError(f"DATABASE_URL: {str(error).strip()}.") from None
    except psycopg.errors.ConnectionTimeout:
        raise StackError(f"PostgreSQL at {place} {SILENT}: correct DATABASE_URL, or check its log.") from None
    except psycopg.OperationalError as error:
        said = str(error)
        if "authentication failed" in said or "no password supplied" in said:
            wrong = f"PostgreSQL at {place} rejects the password of {user!r}: correct it in DATABASE_URL."
        elif "does not exist" in said and "role" in said:
            wrong = f"PostgreSQL at {place} has no user {user!r}: create it, or name another in DATABASE_URL."
        elif "does not exist" in said:
            wrong = f"PostgreSQL at {place} has no database {name!r}: create it (createdb {name}), or name another."
        else:
            wrong = (
                f"PostgreSQL at {place} cannot be reached: start it, correct DATABASE_URL, "
                "or unset it to use the one that comes with Antiphon."
            )
        raise StackError(wrong) from None
    if version < OLDEST_POSTGRES:
        raise StackError(f"PostgreSQL at {place} is version {version}; version {OLDEST_POSTGRES} or newer is required.")


def check_redis(url: str) -> None:
    """Pings once. Raises `StackError`."""
    parts = urlsplit(url)
    place = parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    try:
        client = redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
    except ValueError as error:
        raise StackError(f"REDIS_URL: {error}.") from None
    try:
        version = str(client.info("server")["redis_version"])
    except redis.AuthenticationError:
        raise StackError(f"Redis at {place} rejects the password: correct it in REDIS_URL.") from None
    except redis.TimeoutError:
        raise StackError(f"Redis at {place} {SILENT}: correct REDIS_URL, or check its log.") from None
    except redis.RedisError:
        raise StackError(
            f"Redis at {place} cannot be reached: start it, correct REDIS_URL, "
            "or unset it to use the one that comes with Antiphon."
        ) from None
    finally:
        client.close()
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise StackError(f"Redis at {place} is version {version}; version 6.2 or newer is required.")
