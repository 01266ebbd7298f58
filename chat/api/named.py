"""What a program names and describes with a JSON schema: a function, or the form of the answer. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from chat.api.errors import invalid
from chat.protocol.commands import clean_controls
from chat.protocol.functions import MOST_DEPTH, MOST_NAME_CHARS, MOST_SCHEMA_BYTES, NAME, depth_of

FORM_NAME: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MOST_NAME_CHARS}}}")
_LETTERS: Final = {NAME: "letters, digits, '_', '-' or '.'", FORM_NAME: "letters, digits, '_' or '-'"}


def read_name(found: Mapping[str, Any], where: str, shape: re.Pattern[str]) -> tuple[str, str]:
    """The name, which is of `shape` (`NAME` or `FORM_NAME`), and the description. Raises `ApiError`."""
    name, description = found.get("name"), found.get("description")
    if not isinstance(name, str) or not shape.fullmatch(name):
        raise invalid(
            f"'{where}.name' must have 1 to {MOST_NAME_CHARS} {_LETTERS[shape]}.", f"{where}.name",
            "invalid_value" if name else "missing_required_parameter",
        )  # fmt: skip
    if description is not None and not isinstance(description, str):
        raise invalid(f"'{where}.description' must be a text.", f"{where}.description", "invalid_type")
    return name, description or ""


def check_depth(schema: Mapping[str, Any], where: str) -> None:
    """Raises `ApiError` for a schema that is nested too deeply."""
    if depth_of(schema) > MOST_DEPTH:
        raise invalid(f"'{where}' is nested too deeply.", where, "too_large")


def write_bounded(shown: Mapping[str, Any], what: str, where: str) -> str:
    """`shown` as JSON, as a turn of the request has it. Raises `ApiError` for more than `MOST_SCHEMA_BYTES` of it."""
    text = clean_controls(json.dumps(shown, ensure_ascii=False))
    if len(text.encode()) > MOST_SCHEMA_BYTES:
        raise invalid(f"{what} can have at most {MOST_SCHEMA_BYTES:,} bytes.", where, "too_large")
    return text
