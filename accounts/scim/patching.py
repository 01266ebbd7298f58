"""PATCH of RFC 7644 §3.5.2: changes the JSON of a resource, which is then read like that of a PUT. Pure.

What directories really send is read, too: `active` as the text "False", and names with dots in an operation without a
path (both from Entra ID), operations in any case.
"""

from __future__ import annotations

import re
from typing import Any, Final

from accounts.scim.errors import ScimError, invalid
from accounts.scim.filters import Comparison, parse_filter

SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MOST_OPERATIONS: Final = 1_000
_PATH: Final = re.compile(r"(?:urn:[\w:.-]+:)?(?P<name>[A-Za-z$][\w$-]*)(?:\[(?P<filter>.+)\])?(?:\.(?P<sub>\w+))?")

Resource = dict[str, Any]


def apply_patch(resource: Resource, body: Any) -> None:
    """Changes `resource` in place, by all operations of a request. Raises `ScimError`."""
    operations = _get(body, "Operations") if isinstance(body, dict) else None
    if not isinstance(operations, list) or not operations or len(operations) > MOST_OPERATIONS:
        raise invalid(f"'Operations' must be a list of 1 to {MOST_OPERATIONS} operations.", "invalidSyntax")
    for operation in operations:
        if not isinstance(operation, dict):
            raise invalid("Each operation must be an object.", "invalidSyntax")
        kind = str(_get(operation, "op") or "").lower()
        if kind not in ("add", "replace", "remove"):
            raise invalid("'op' must be add, replace or remove.", "invalidSyntax")
        path, value = _get(operation, "path"), _get(operation, "value")
        if path:
            _change(resource, kind, str(path), value)
        elif kind == "remove":
            raise invalid("'remove' needs a path.", "noTarget")
        elif not isinstance(value, dict):
            raise invalid("An operation without a path needs an object as its value.")
        else:
            for name, one in value.items():
                _change(resource, kind, str(name), one)


def _get(found: Resource, name: str) -> Any:
    """The value of a name, whatever its case."""
    return next((value for key, value in found.items() if key.lower() == name.lower()), None)


def _key(found: Resource, name: str) -> str:
    """The name as the resource writes it."""
    return next((key for key in found if key.lower() == name.lower()), name)


def _change(resource: Resource, kind: str, path: str, value: Any) -> None:
    parsed = _PATH.fullmatch(path)
    if parsed is None:
        raise invalid(f"The path {path[:100]} is not understood.", "invalidPath")
    name, sub = _key(resource, parsed["name"]), parsed["sub"]
    if parsed["filter"]:
        _change_items(resource, kind, name, parse_filter(parsed["filter"]), sub, value)
    elif sub:
        inner = resource.get(name)
        inner = resource[name] = inner if isinstance(inner, dict) else {}
        _set(inner, kind, _key(inner, sub), value)
    else:
        _set(resource, kind, name, value)


def _set(target: Resource, kind: str, name: str, value: Any) -> None:
    before = target.get(name)
    if kind == "remove":
        if isinstance(before, list) and isinstance(value, list):  # some of many, as Entra ID removes members
            gone = {_value_of(one) for one in value}
            target[name] = [one for one in before if _value_of(one) not in gone]
        else:
            target.pop(name, None)
    elif kind == "add" and isinstance(before, list):
        known = {_value_of(one) for one in before}
        added = value if isinstance(value, list) else [value]
        target[name] = [*before, *(one for one in added if _value_of(one) not in known)]
    elif isinstance(before, dict) and isinstance(value, dict):
        for key, one in value.items():
            before[_key(before, key)] = one
    else:
        target[name] = value


def _value_of(item: Any) -> str:
    return str(item.get("value", item) if isinstance(item, dict) else item)


def _change_items(
    resource: Resource, kind: str, name: str, wanted: list[Comparison], sub: str | None, value: Any
) -> None:
    items = resource.get(name)
    items = resource[name] = items if isinstance(items, list) else []
    chosen = [one for one in items if isinstance(one, dict) and all(part.matches(one) for part in wanted)]
    if kind == "remove":
        if sub:
            for one in chosen:
                one.pop(_key(one, sub), None)
        else:
            gone = {id(one) for one in chosen}
            resource[name] = [one for one in items if id(one) not in gone]
        return
    if not chosen:
        if any(part.operator != "eq" for part in wanted):
            raise ScimError(400, f"Nothing in {name} is meant by this path.", "noTarget")
        chosen = [{part.attribute: part.value for part in wanted}]
        items.extend(chosen)
    for one in chosen:
        if sub:
            one[_key(one, sub)] = value
        elif isinstance(value, dict):
            one.update(value)
        else:
            raise invalid(f"The value for an item of {name} must be an object.")
