"""The form that a program wants the answer to have (`response_format`, `text.format`), and its logprobs. Pure.

Source: OpenAI API reference, "Create chat completion" and "Create a model response".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from chat.api.errors import ApiError, invalid, unsupported
from chat.api.named import FORM_NAME, check_depth, read_name, write_bounded

MOST_ALTERNATIVES: Final = 20

Form = tuple[str, str]
"""The name of the form, and its description, schema and `strict` as JSON: `{}` is JSON of any form."""


def read_form(given: Any, where: str, *, nested: bool) -> Form | None:
    """The form; None: text. `nested`: a schema is in a field of its own. Raises `ApiError`."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise invalid(f"'{where}' must be an object.", where, "invalid_type")
    kind = given.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return "json", "{}"
    if kind != "json_schema":
        raise unsupported(where, f"'{where}' can be of the type text, json_object or json_schema.")
    found, where = (given.get("json_schema"), f"{where}.json_schema") if nested else (given, where)
    if not isinstance(found, dict):
        raise invalid(f"'{where}' must be an object.", where, "missing_required_parameter")
    return _read_schema(found, where)


def _read_schema(found: Mapping[str, Any], where: str) -> Form:
    name, description = read_name(found, where, FORM_NAME)
    schema, strict = found.get("schema"), found.get("strict")
    if not isinstance(schema, dict):
        raise invalid(f"'{where}.schema' must be a JSON schema.", f"{where}.schema", "missing_required_parameter")
    if strict is not None and not isinstance(strict, bool):
        raise invalid(f"'{where}.strict' must be true or false.", f"{where}.strict", "invalid_type")
    check_depth(schema, f"{where}.schema")
    shown = {"description": description, "schema": schema, "strict": bool(strict)}
    return name, write_bounded(shown, "A schema", f"{where}.schema")


def shown_format(form: Form | None) -> dict[str, Any]:
    """`text.format` as a response repeats it."""
    if form is None:
        return {"type": "text"}
    name, text = form
    found = json.loads(text)
    return {"type": "json_schema", "name": name, **found} if found else {"type": "json_object"}


def read_logprobs(body: Mapping[str, Any]) -> int | None:
    """How many alternatives of each token are wanted beside its own probability; None: neither. Raises `ApiError`."""
    wanted, most = body.get("logprobs"), body.get("top_logprobs")
    if wanted is not None and not isinstance(wanted, bool):
        raise invalid("'logprobs' must be true or false.", "logprobs", "invalid_type")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int)):
        raise invalid("'top_logprobs' must be a whole number.", "top_logprobs", "invalid_type")
    if most is not None and not 0 <= most <= MOST_ALTERNATIVES:
        raise invalid(f"'top_logprobs' must be from 0 to {MOST_ALTERNATIVES}.", "top_logprobs")
    if not wanted and most:
        raise _needs_logprobs()
    return (most or 0) if wanted else None


def _needs_logprobs() -> ApiError:
    return invalid("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs")
