"""JSON schemas of parameters from servers: references resolved, bounded, and of type object."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from workers.tools.servers.schema_check import find_mistake

MAX_SCHEMA_CHARS: Final = 32 * 1024
MAX_DEPTH: Final = 24
MAX_NODES: Final = 4000
MAX_DOCUMENT_NODES: Final = 400_000  # in all schemas of a document
MAX_TEXT_CHARS: Final = 2000  # of a description within a schema


class BadSchemaError(Exception):
    """Why a schema cannot be used, in words for staff."""


@dataclass(slots=True)
class Budget:
    """How much may still be read of the schemas of one document: its references may name the same part many times."""

    nodes: int = MAX_DOCUMENT_NODES


def tidy_schema(
    schema: Any,
    document: Mapping[str, Any] | None = None,
    convert: Callable[[Any], Any] = lambda resolved: resolved,
    budget: Budget | None = None,
) -> dict[str, Any]:
    """The schema with local references replaced by what they name, cut where they are circular.

    `document` is what `#/…` is looked up in; None: the schema itself. `convert` makes JSON Schema of another dialect.
    `budget` is of all schemas of a document together. Raises `BadSchemaError`.
    """
    if not isinstance(schema, Mapping):
        raise BadSchemaError("its schema is not an object")
    most = MAX_NODES if budget is None else min(MAX_NODES, budget.nodes)
    left = [most]
    try:
        found = convert(_resolve(schema, document if document is not None else schema, (), 0, left))
    finally:
        if budget is not None:
            budget.nodes -= most - max(0, left[0])
    assert isinstance(found, dict)
    if found.get("type", "object") != "object":
        raise BadSchemaError("its parameters are not an object")
    found["type"] = "object"
    found.pop("$defs", None)
    found.pop("definitions", None)
    properties = found.setdefault("properties", {})
    if not isinstance(properties, dict):
        raise BadSchemaError("its schema has bad properties")
    if not isinstance(found.get("required", []), list):
        raise BadSchemaError("its schema has a bad list of required properties")
    check_schema(found)
    return found


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raises `BadSchemaError` for a schema that is too large or not valid."""
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARS:
        raise BadSchemaError(f"its schema is longer than {MAX_SCHEMA_CHARS} characters")
    try:
        mistake = find_mistake(schema)
    except RecursionError:
        raise BadSchemaError("its schema is nested too deeply") from None
    if mistake:
        raise BadSchemaError(f"its schema is not valid at {mistake[:120]}")


def _resolve(node: Any, document: Mapping[str, Any], within: tuple[str, ...], depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth > MAX_DEPTH or left[0] < 0:
        raise BadSchemaError("its schema is too large or nested too deeply")
    if isinstance(node, list):
        return [_resolve(one, document, within, depth + 1, left) for one in node]
    if not isinstance(node, Mapping):
        return node[:MAX_TEXT_CHARS] if isinstance(node, str) else node
    reference = node.get("$ref")
    if isinstance(reference, str):
        if reference in within:
            return {"description": "The same structure again."}  # a circle is cut where it begins again
        target = look_up(reference, document)
        rest = {name: value for name, value in node.items() if name != "$ref"}
        merged = {**target, **rest} if isinstance(target, Mapping) else target
        return _resolve(merged, document, (*within, reference), depth + 1, left)
    return {
        str(name): _resolve(value, document, within, depth + 1, left)
        for name, value in node.items()
        if depth > 0 or name not in ("$defs", "definitions", "$schema", "$id")
    }


def look_up(reference: str, document: Mapping[str, Any]) -> Any:
    """What `#/a/b` names in a document. Raises `BadSchemaError`, also for every other kind of reference."""
    if reference == "#":
        return document
    if not reference.startswith("#/"):
        raise BadSchemaError("its schema refers to another document")
    found: Any = document
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise BadSchemaError("its schema refers to something that is not there")
    return found
