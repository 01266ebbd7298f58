"""Tool servers: which are allowed, and how workers connect to them."""

from __future__ import annotations

import json
import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config.env import at_least
from config.settings.environment import env

# Servers in child processes of the workers, which only the operator can set up: a JSON object by short name, such as
# {"time": {"title": "Time", "command": "mcp-server-time", "args": ["--local-timezone=UTC"], "env": {}}}
_STDIO: str = env.str("TOOL_SERVERS_STDIO", "").strip()
_FIELDS = {"title": str, "command": str, "args": list, "env": dict, "cwd": str, "memory_mb": int}


def _read_stdio(text: str) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        raise ImproperlyConfigured("TOOL_SERVERS_STDIO: this is not JSON") from None
    if not isinstance(found, dict):
        raise ImproperlyConfigured("TOOL_SERVERS_STDIO: this is not a JSON object")
    for slug, server in found.items():
        if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", slug):
            raise ImproperlyConfigured(f"TOOL_SERVERS_STDIO: {slug!r} is no short name of a-z, 0-9 and hyphens")
        if not isinstance(server, dict) or not server.get("command"):
            raise ImproperlyConfigured(f"TOOL_SERVERS_STDIO: {slug} has no command")
        for name, value in server.items():
            if name not in _FIELDS or not isinstance(value, _FIELDS[name]):
                raise ImproperlyConfigured(f"TOOL_SERVERS_STDIO: {slug} has a bad {name}")
        strings = [*server.get("args", []), *server.get("env", {}).values()]
        if not all(isinstance(one, str) for one in strings):
            raise ImproperlyConfigured(f"TOOL_SERVERS_STDIO: args and env of {slug} must be texts")
    return found


TOOL_SERVERS_STDIO: dict[str, dict[str, Any]] = _read_stdio(_STDIO)
TOOL_SERVERS_OF_USERS = env.bool("TOOL_SERVERS_OF_USERS", False)  # whether people may add servers of their own
TOOL_SERVERS_PER_USER = env.int("TOOL_SERVERS_PER_USER", 10, validate=at_least(1))
TOOL_LIST_SECONDS = env.float("TOOL_LIST_SECONDS", 900.0, validate=at_least(10))  # between two lists of tools
TOOL_SESSIONS = env.int("TOOL_SESSIONS", 100, validate=at_least(1))  # open sessions with servers, per worker process
TOOL_SESSION_IDLE_SECONDS = env.float("TOOL_SESSION_IDLE_SECONDS", 120.0, validate=at_least(1))  # then one is closed
