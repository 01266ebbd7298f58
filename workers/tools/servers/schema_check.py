"""Whether a JSON schema is valid (draft 2020-12), in time that grows with its length alone. Pure.

`jsonschema` checks a schema against the schema of schemas, which takes a second for 28 KiB, and a server lists up to
200. This is the same check of the keywords that schemas of parameters have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_SCHEMAS: Final = frozenset({
    "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
_LISTS_OF_SCHEMAS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS_OF_SCHEMAS: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value) and len(set(value)) == len(value)


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return bool(value) and _are_names(value) and set(value) <= _TYPES


_RULES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "type": _is_type,
    "required": _are_names,
    "dependentRequired": lambda value: isinstance(value, Mapping) and all(map(_are_names, value.values())),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    **dict.fromkeys(("enum", "examples"), _is_list),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **{f"{end}{what}": _is_count for end in ("min", "max") for what in ("Length", "Items", "Properties", "Contains")},
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _is_flag),
    **dict.fromkeys(
        ("title", "description", "format", "pattern", "$comment", "contentEncoding", "contentMediaType"), _is_text
    ),
}  # fmt: skip


def find_mistake(schema: Any, place: str = "") -> str:
    """What is wrong in a schema, such as "properties/a/type"; empty: nothing. Raises `RecursionError`."""
    if isinstance(schema, bool):
        return ""
    if not isinstance(schema, Mapping):
        return place or "the schema"
    for keyword, value in schema.items():
        here = f"{place}/{keyword}" if place else str(keyword)
        rule = _RULES.get(keyword)
        if rule is not None and not rule(value):
            return here
        if mistake := _find_within(keyword, value, here):
            return mistake
    return ""


def _find_within(keyword: str, value: Any, here: str) -> str:
    if keyword in _SCHEMAS:
        return find_mistake(value, here)
    if keyword in _LISTS_OF_SCHEMAS:
        if not isinstance(value, list) or not value:
            return here
        return next(filter(None, (find_mistake(one, here) for one in value)), "")
    if keyword in _MAPS_OF_SCHEMAS:
        if not isinstance(value, Mapping):
            return here
        return next(filter(None, (find_mistake(one, f"{here}/{name}") for name, one in value.items())), "")
    return ""
