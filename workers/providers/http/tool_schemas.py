"""JSON schemas of tools' parameters in the forms that APIs take. Pure: no I/O.

References are put in place of what they name, because few APIs follow them. What an API does not know is left out: it
says less about the arguments, which are checked before a call all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from workers.providers.http.json_values import read_object, read_objects

MAX_NODES: Final = 4000  # schemas in one, after references were put in place
MAX_BYTES: Final = 100_000
MAX_DEPTH: Final = 24
MAX_DESCRIPTION: Final = 1024  # characters, of a tool at OpenAI
KEPT: Final = 1000  # schemas as they are sent

_ALTERNATIVES: Final = ("anyOf", "oneOf")
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS: Final = ("properties", "patternProperties", "dependentSchemas")
_SINGLES: Final = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_DROPPED: Final = frozenset({"$ref", "$schema", "$id", "$defs", "definitions", "$comment", "$anchor"})
# Gemini API reference, "Schema".
_GEMINI: Final = frozenset(
    {
        "title", "description", "nullable", "maxItems", "minItems", "minProperties", "maxProperties", "minLength",
        "maxLength", "pattern", "minimum", "maximum",
    }
)  # fmt: skip
_FORMATS: Final = frozenset({"enum", "date-time", "int32", "int64", "float", "double"})
_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object"})


_sent: Final[dict[int, tuple[Mapping[str, Any], dict[str, Any]]]] = {}


class _TooLarge(Exception):
    """The schema is larger than is sent."""


def object_schema(parameters: Mapping[str, Any], *, keep: bool = True) -> dict[str, Any]:
    """The schema of an object without references and without alternatives at its top, as OpenAI's and Anthropic's APIs
    want it; that of an object of any form where the schema is too large or is none.

    It is kept, because every answer sends the same ones (but for those of a program's request, without `keep`): callers
    change neither `parameters` nor what is returned.
    """
    if not keep:
        return _sendable(parameters)
    known = _sent.get(id(parameters))
    if known is None:
        # With the parameters, so that nothing else gets their id.
        known = _sent[id(parameters)] = (parameters, _sendable(parameters))
        while len(_sent) > KEPT:
            _sent.pop(next(iter(_sent)), None)
    return known[1]


def _sendable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = _flatten_top(_Inliner(parameters).resolve(parameters))
        if len(msgspec.json.encode(found)) <= MAX_BYTES:
            return found
    except (_TooLarge, TypeError, ValueError, RecursionError):
        pass
    return {"type": "object", "properties": {}}


def gemini_schema(parameters: Mapping[str, Any], *, plain: bool = False, keep: bool = True) -> dict[str, Any]:
    """The schema in the subset that Gemini takes. `plain`: without anything but types, names and descriptions, for
    servers that refuse more.
    """
    return _Subset(plain=plain).convert(object_schema(parameters, keep=keep))


class _Inliner:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = 0

    def resolve(self, schema: object, seen: tuple[str, ...] = (), depth: int = 0) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _TooLarge
        if not isinstance(schema, Mapping):
            return schema if isinstance(schema, bool) else {}
        if depth > MAX_DEPTH:
            return {}
        own = {str(key): value for key, value in schema.items() if key not in _DROPPED}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = self._find(reference)
            if target is None or reference in seen:  # nothing, or itself again
                return own
            found = self.resolve(target, (*seen, reference), depth + 1)
            own = {**(found if isinstance(found, dict) else {}), **own}
        for key in _LISTS:
            if isinstance(own.get(key), list):
                own[key] = [self.resolve(one, seen, depth + 1) for one in own[key]]
        for key in _MAPS:
            if isinstance(own.get(key), Mapping):
                own[key] = {str(name): self.resolve(one, seen, depth + 1) for name, one in own[key].items()}
        for key in _SINGLES:
            if isinstance(own.get(key), Mapping):
                own[key] = self.resolve(own[key], seen, depth + 1)
        return own

    def _find(self, reference: str) -> object | None:
        if not reference.startswith("#"):
            return None
        found: object = self._root
        for step in reference[1:].split("/"):
            if step:
                step = step.replace("~1", "/").replace("~0", "~")
                found = found.get(step) if isinstance(found, Mapping) else None
        return found


def _flatten_top(schema: Any) -> dict[str, Any]:
    """An object with the properties of its alternatives; only what all of them require is required."""
    found = dict(schema) if isinstance(schema, dict) else {}
    properties = dict(found["properties"]) if isinstance(found.get("properties"), dict) else {}
    required = _names(found.get("required"))
    for key in (*_ALTERNATIVES, "allOf"):
        parts = [_flatten_top(one) for one in read_objects(found.pop(key, None))]
        for part in parts:
            for name, one in part["properties"].items():
                properties.setdefault(name, one)
        wanted = [set(part.get("required", ())) for part in parts]
        if wanted:
            required |= set.union(*wanted) if key == "allOf" else set.intersection(*wanted)
    for key in ("enum", "not", "const", "if", "then", "else"):
        found.pop(key, None)
    found |= {"type": "object", "properties": properties}
    found.pop("required", None)
    if names := [name for name in properties if name in required]:
        found["required"] = names
    return found


def _names(value: object) -> set[str]:
    return {one for one in value if isinstance(one, str)} if isinstance(value, list) else set()


class _Subset:
    def __init__(self, *, plain: bool) -> None:
        self._plain = plain

    def convert(self, schema: object) -> dict[str, Any]:
        given = schema if isinstance(schema, dict) else {}
        given = _merge_all(given)
        kind, nullable = _type_of(given)
        kept = {"description"} if self._plain else _GEMINI
        found: dict[str, Any] = {key: value for key, value in given.items() if key in kept}
        alternatives = [one for key in _ALTERNATIVES for one in read_objects(given.get(key))]
        others = [one for one in alternatives if one.get("type") != "null"]
        nullable = nullable or len(others) < len(alternatives)
        if others and not kind:
            if len(others) == 1 or self._plain:
                found = {**self.convert(others[0]), **found}
            else:
                found["anyOf"] = [self.convert(one) for one in others]
            return {**found, "nullable": True} if nullable else found
        found["type"] = kind or "string"
        self._add_values(found, given)
        if nullable:
            found["nullable"] = True
        if found["type"] == "array":
            found["items"] = self.convert(given.get("items"))
        if found["type"] == "object":
            self._add_properties(found, given)
        return found

    def _add_values(self, found: dict[str, Any], given: Mapping[str, Any]) -> None:
        values = given.get("enum") or ([given["const"]] if "const" in given else None)
        if isinstance(values, list) and found["type"] == "string":
            texts = [one for one in values if isinstance(one, str) and one]
            if texts:
                found["enum"] = texts
        if not self._plain and isinstance(given.get("format"), str) and given["format"] in _FORMATS:
            found["format"] = given["format"]

    def _add_properties(self, found: dict[str, Any], given: Mapping[str, Any]) -> None:
        properties = given.get("properties")
        if not isinstance(properties, dict) or not properties:
            return
        found["properties"] = {name: self.convert(one) for name, one in properties.items()}
        if required := [name for name in properties if name in _names(given.get("required"))]:
            found["required"] = required


def _merge_all(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`allOf` in one schema; the first that says a thing counts."""
    found = dict(schema)
    for one in read_objects(found.pop("allOf", None)):
        part = _merge_all(one)
        properties = {**read_object(part.get("properties")), **read_object(found.get("properties"))}
        required = sorted(_names(part.get("required")) | _names(found.get("required")))
        found = {**part, **found}
        if properties:
            found["properties"], found["required"] = properties, required
    return found


def _type_of(schema: Mapping[str, Any]) -> tuple[str, bool]:
    """The type, and whether null is one, too. Empty: it says none, or several."""
    said = schema.get("type")
    kinds = [one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str)]
    known = [one.lower() for one in kinds if one.lower() in _TYPES]
    nullable = "null" in kinds or schema.get("nullable") is True
    if known:
        return known[0], nullable
    if "properties" in schema:
        return "object", nullable
    if "items" in schema:
        return "array", nullable
    said = schema.get("enum")
    values = said if isinstance(said, list) and said else [schema.get("const")]
    number = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
    return ("number" if number else ""), nullable
