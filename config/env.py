"""Reads settings from the environment; rejects invalid values with a message that names the variable."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvValidationError, validate

from accounts.auth.origins import parse_origin
from accounts.lib import urls

LOCK_MS = 4_000  # below the 5 s within which a command is answered
IDLE_TRANSACTION_MS = 10_000  # ours take milliseconds; one of a frozen process keeps its users' quotas locked
RATE_PATTERN = r"(off|0|[1-9]\d{0,8}/([1-9]\d{0,4})?[smhd])\Z"  # read by accounts.lib.rate_limit


# The push services of Chrome and its relatives, Firefox, Safari, and Edge.
PUSH_SERVICES = (
    "fcm.googleapis.com", "*.push.services.mozilla.com", "*.push.apple.com", "*.notify.windows.com",
)  # fmt: skip
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve's group (SEC 2)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def read_settings() -> None:
    """Reads the settings; exits with a message if a variable has an invalid value."""
    from django.conf import settings

    try:
        settings.INSTALLED_APPS  # noqa: B018 -- the first access reads all settings
    except EnvValidationError as error:
        found = re.search(r'variable "(\w+)"', str(error))
        reasons = error.error_messages if isinstance(error.error_messages, list) else [str(error.error_messages)]
        name = found.group(1) if found else "a variable"
        sys.exit(f"Setting {name}: {' '.join(map(str, reasons))} Correct it in the environment or in .env.")
    except ImproperlyConfigured as error:
        sys.exit(f"Setting {error}. Correct it in the environment or in .env.")


def secret_key(env: Env, var: Path) -> str:
    """`SECRET_KEY` from the environment, else a key that is generated once and kept in var/secret_key (mode 0600)."""
    return env.str("SECRET_KEY", "") or _kept(var / "secret_key", lambda: secrets.token_urlsafe(50))


def vapid_key(env: Env, var: Path) -> str:
    """`VAPID_PRIVATE_KEY` (32 bytes in base64url) from the environment, else one that is generated once and kept in
    var/vapid_key (mode 0600). Empty where neither is possible: then there are no browser notifications.
    """
    key: str = env.str("VAPID_PRIVATE_KEY", "")
    try:
        key = key or _kept(var / "vapid_key", _make_vapid_key)
    except ImproperlyConfigured:
        return ""
    try:
        number = base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except ValueError:
        number = b""
    if len(number) != 32 or not 0 < int.from_bytes(number) < P256_ORDER:
        raise ImproperlyConfigured("VAPID_PRIVATE_KEY: this is no private key of 32 bytes in base64url")
    return key


def _make_vapid_key() -> str:
    number = secrets.randbelow(P256_ORDER - 1) + 1
    return base64.urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=").decode()


def push_hosts(env: Env) -> list[str]:
    """`PUSH_HOSTS`: host names, `*.` for the names below one, or origins; none for `off`."""
    found = [host.strip().lower() for host in env.list("PUSH_HOSTS", list(PUSH_SERVICES), subcast=str) if host.strip()]
    if found == ["off"]:
        return []
    for host in found:
        if not re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+|https?://[a-z0-9.\[\]:-]+", host):
            raise ImproperlyConfigured(f"PUSH_HOSTS: {host!r} is not a host such as push.example.org, or off")
    return found


def networks(env: Env, name: str) -> list[str]:
    """Networks such as 10.1.0.0/16 or single IP addresses, separated by commas."""
    found = [one.strip() for one in env.list(name, [], subcast=str) if one.strip()]
    for one in found:
        try:
            ipaddress.ip_network(one)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}") from None
    return found


def contacts(env: Env, name: str) -> list[str]:
    """Addresses at which people are reached: `mailto:`, `https:` or `tel:`."""
    found = [one.strip() for one in env.list(name, [], subcast=str) if one.strip()]
    for one in found:
        if not re.fullmatch(r"(mailto:[^@\s]+@[^@\s]+|https://\S+|tel:\+[\d-]+)", one):
            raise ImproperlyConfigured(f"{name}: {one} is not an address such as mailto:security@example.org.")
    return found


def _kept(path: Path, make: Callable[[], str]) -> str:
    """What is in a file; generated first if there is none."""
    var = path.parent
    try:
        if not path.exists():
            var.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=var) as file:  # mode 0600
                file.write(make())
                file.flush()
                with contextlib.suppress(FileExistsError):  # another process was first
                    os.link(file.name, path)
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"ANTIPHON_VAR: {path} cannot be made or read ({error.strerror})") from None


def encryption_keys(env: Env) -> list[str]:
    """`ENCRYPTION_KEYS`: long random strings, the newest first."""
    keys: list[str] = [key for key in env.list("ENCRYPTION_KEYS", [], subcast=str) if key]
    if any(len(key) < 32 for key in keys):
        raise ImproperlyConfigured(
            "ENCRYPTION_KEYS: each key has 32 characters or more, such as what `openssl rand -base64 48` makes"
        )
    return keys


def origins(env: Env) -> list[str]:
    """`ALLOWED_ORIGINS`: full origins, each `https://host[:port]`."""
    found = [origin.rstrip("/") for origin in env.list("ALLOWED_ORIGINS", [], subcast=str)]
    for origin in found:
        if parse_origin(origin.lower()) is None:
            raise ImproperlyConfigured(f"ALLOWED_ORIGINS: {origin!r} is not an origin such as https://chat.example.org")
    return found


def serves_loopback_only(hosts: list[str], allowed_origins: list[str]) -> bool:
    """Whether only browsers on this machine are served: all host names and all origins are loopback names."""
    names = [*hosts, *(urlsplit(origin).hostname or "" for origin in allowed_origins)]
    return all(name.strip("[]") in LOOPBACK for name in names)


def sign_up(env: Env, *, loopback_only: bool) -> str:
    """`SIGN_UP`: open, approval or invitation. The default is open where only this machine is served."""
    if env.str("SIGNUP_OPEN", ""):
        raise ImproperlyConfigured("SIGNUP_OPEN: it is now called SIGN_UP, with the values open, approval, invitation")
    default = "open" if loopback_only else "invitation"
    return env.str("SIGN_UP", "", validate=validate.OneOf(["", "open", "approval", "invitation"])) or default


def at_least(smallest: float) -> validate.Range:
    """A validator that rejects numbers below `smallest`."""
    return validate.Range(min=smallest)


def count_or_off(env: Env, name: str, default: int) -> int:
    """A limit: a whole number, or 0 for "off" and "0", which mean no limit."""
    text: str = env.str(name, str(default))
    if text == "off":
        return 0
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ImproperlyConfigured(f"{name}: {text!r} is not a whole number from 0, or off.")
    return int(text)


def redis_from_url(url: str, name: str = "REDIS_URL") -> str:
    """The address in the setting `name`, validated: `redis://`, `rediss://` or `unix://`."""
    scheme, _, rest = url.partition("://")
    if "sentinel" in scheme.lower():
        raise ImproperlyConfigured(
            f"{name}: Sentinel addresses are not supported. Name one address that always leads to the primary: "
            "a service address, HAProxy or a Sentinel-aware proxy"
        )
    if "," in rest.partition("/")[0].rpartition("@")[2]:
        raise ImproperlyConfigured(f"{name}: names several hosts, but only one address is supported")
    if url and split_url(name, url).scheme not in ("redis", "rediss", "unix"):
        raise ImproperlyConfigured(f"{name}: only redis://, rediss:// and unix:// addresses are understood")
    return url


def split_url(name: str, url: str) -> SplitResult:
    """The parts of a URL, with a valid port. Raises `ImproperlyConfigured`, which names the setting."""
    try:
        return urls.split_url(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def http_url(env: Env, name: str) -> str:
    """An HTTP URL, or empty. Error messages leave the value out, since it may contain a password."""
    url: str = env.str(name, "")
    try:
        valid = not url or urls.is_http(urls.split_url(url))
    except ValueError:
        valid = False
    if not valid:
        raise ImproperlyConfigured(f"{name}: this is not an address such as http://127.0.0.1:4318")
    return url


def broker_url(redis_url: str) -> str:
    """The same Redis in Celery's notation: `redis+socket://` for `unix://`, with the database in `virtual_host`.

    A user and a password stay before the path.
    """
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    number = dict(parse_qsl(parts.query)).get("db", "0")
    return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={number}"


def broker_options(url: str) -> dict[str, Any]:
    """Options of Celery's transport for this broker; seconds. RabbitMQ confirms each job, so that one that was written
    to a dead connection is known to be lost. Where none of the URL's hosts takes a connection, publishing fails at
    once: kombu would try for 6 s, and the jobs behind that one, and recovery, would wait.
    """
    if not url.startswith(("amqp", "pyamqp")):
        return {}
    return {"confirm_publish": True, "read_timeout": 10, "write_timeout": 10, "max_retries": url.count(";")}


def stack_url(var: Path, name: str) -> str:
    """The URL of a private server that `manage.py up` runs (from var/stack.json), or empty."""
    try:
        return str(json.loads((var / "stack.json").read_text())[name])
    except (FileNotFoundError, KeyError, ValueError):
        return ""


def database_from_url(url: str, *, pool: int, pooler: bool = False, name: str = "DATABASE_URL") -> dict[str, Any]:
    """Django's DATABASES entry for a `postgresql://user:password@host:port/name?option=…` URL.

    It may name several hosts, as libpq's URLs may: `postgresql://user@one:5432,two:5432/name?target_session_attrs=…`.
    `pooler`: each transaction may get another connection, so that a session keeps nothing: neither prepared statements
    nor cursors, and its limits are the database role's (docs/operations.md). `name` is the setting's, for errors.
    """
    url, hosts, ports = _several_hosts(url or "postgresql:///antiphon")
    parts = split_url(name, url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ImproperlyConfigured(f"{name}: only postgresql:// addresses are understood")
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", "") or hosts or unquote(parts.hostname or "")
    # Nothing waits for a lock without a limit: a command is answered, a lease is renewed a moment later, a migration
    # fails with the reason. Nor does a process that hangs, or is cut off, keep its own locks. Milliseconds.
    limits = f"-c lock_timeout={LOCK_MS} -c idle_in_transaction_session_timeout={IDLE_TRANSACTION_MS}"
    if not pooler:
        query["options"] = f"{limits} {query.get('options', '')}".strip()
    # Connection attempts time out soon, so that the next caller tries again: psycopg's pool itself doubles its pause
    # after each failure, and would notice a restored database half a minute late.
    options = {**query, "pool": {"min_size": 1, "max_size": pool, "timeout": 5, "reconnect_timeout": 2}}
    return {
        "ENGINE": "accounts.lib.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "antiphon",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": ports or str(parts.port or ""),
        "OPTIONS": options,
        "DISABLE_SERVER_SIDE_CURSORS": pooler,
    }


def _several_hosts(url: str) -> tuple[str, str, str]:
    """The URL with one host in place of several; their names and their ports, each in libpq's notation."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    if "," not in hosts:
        return url, "", ""
    found = [split_url("DATABASE_URL", f"postgresql://{one}") for one in hosts.split(",")]
    names = ",".join(unquote(one.hostname or "") for one in found)
    ports = ",".join(str(one.port or 5432) for one in found)
    return f"{scheme}{separator}{user}{at}several{slash}{path}", names, ports
