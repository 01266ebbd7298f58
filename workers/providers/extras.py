"""Checks what staff add to requests: headers, query, and fields of the body. Pure: no I/O.

What the program itself sends cannot be replaced: it is refused here with a reason, and where it gets through all the
same, the program's own value counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from workers.providers.config import Extras
from workers.providers.url_policy import SECRET_PARAMETER

MOST: Final = 40  # names in one object
MAX_CHARS: Final = 20_000
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")  # RFC 9110 §5.6.2
OWN_HEADERS: Final = frozenset(
    {
        "accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-length",
        "content-type", "cookie", "expect", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
OWN_FIELDS: Final = frozenset(
    {
        "model", "stream", "messages", "input", "prompt", "instructions", "system", "contents", "systemInstruction",
        "system_instruction", "n", "candidateCount", "tools", "functions",
        "tool_choice", "toolConfig", "tool_config", "function_call",
    }
)  # fmt: skip


def read_extras(text: str, *, what: str = "extras") -> tuple[Extras, dict[str, Extras]]:
    """The extras of an endpoint and of its models, from JSON: {"headers", "query", "body", "models": {model: …}}.

    Raises `ValueError` with a sentence, which never holds a value.
    """
    given = _read_object(text, what)
    models = given.pop("models", {})
    if not isinstance(models, dict):
        raise ValueError("models: must be an object with the names of models.")
    return _read_one(given, what), {
        str(name): _read_one(_check_object(one, f"models.{name}"), f"models.{name}") for name, one in models.items()
    }


def _read_one(given: dict[str, Any], what: str) -> Extras:
    unknown = set(given) - {"headers", "query", "body"}
    if unknown:
        name = min(unknown)[:40]
        raise ValueError(f"{what}: has an unknown name, {name}. Known are headers, query, body and models.")
    return Extras(
        check_headers(given.get("headers", {})), check_query(given.get("query", {})), check_body(given.get("body", {}))
    )


def read_headers(text: str, *, key_header: str = "") -> dict[str, str]:
    """The headers in a JSON object. Raises `ValueError` with a sentence."""
    return check_headers(_read_object(text, "Headers"), key_header=key_header)


def check_headers(given: object, *, key_header: str = "") -> dict[str, str]:
    """The headers in `given`. `key_header` is the one that the API key goes into, where there is a key.

    Raises `ValueError` with a sentence, which names a header but never its value.
    """
    found: dict[str, str] = {}
    for name, value in _check_object(given, "Headers").items():
        if not _TOKEN.match(name):
            raise ValueError(f"{name[:40]!r} is not a name of a header.")
        if name.lower() in OWN_HEADERS or name.lower() == key_header.lower():
            raise ValueError(f"The header {name} is set by the program. {_instead_of(name)}")
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise ValueError(f"The value of the header {name} must be a text.")
        if not str(value).isascii() or not str(value).isprintable():
            raise ValueError(f"The value of the header {name} must be one line of ASCII characters.")
        found[name] = str(value)
    return found


def _instead_of(name: str) -> str:
    keys = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
    return "Use the field for the API key." if name.lower() in keys else "Leave it out."


def check_query(given: object) -> dict[str, str]:
    """The query in `given`. Raises `ValueError` with a sentence."""
    found: dict[str, str] = {}
    for name, value in _check_object(given, "Query").items():
        if SECRET_PARAMETER.search(name):
            raise ValueError(f"The query must not contain a key or token ({name[:40]}). Use a header: it is encrypted.")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"The value of {name[:40]} in the query must be a text or a number.")
        found[name] = str(value)
    return found


def check_body(given: object) -> dict[str, Any]:
    """The fields in `given`. Raises `ValueError` with a sentence."""
    found = _check_object(given, "Body")
    for name in found:
        if name in OWN_FIELDS:
            raise ValueError(f"The field {name} of the body is set by the program. Leave it out.")
    return found


def _read_object(text: str, what: str) -> dict[str, Any]:
    if len(text) > MAX_CHARS:
        raise ValueError(f"{what}: must have at most {MAX_CHARS} characters.")
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    return _check_object(found, what)


def _check_object(given: object, what: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f'{what}: must be a JSON object such as {{"name": "value"}}.')
    if len(given) > MOST:
        raise ValueError(f"{what}: must have at most {MOST} names.")
    return dict(given)
