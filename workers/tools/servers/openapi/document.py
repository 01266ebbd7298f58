"""What an OpenAPI document offers. Pure: nothing is fetched here, and references to other documents are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import yaml

from workers.tools.servers.listing import MAX_NOTES, MAX_TOOLS, Offered, clean, shorten
from workers.tools.servers.schemas import BadSchemaError, Budget, look_up, tidy_schema

METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options")
READS: Final = frozenset({"get", "head", "options"})
PLACES: Final = ("path", "query", "header")  # cookies are not sent
BODY: Final = "body"
MAX_PARAMETERS: Final = 60
_NOT_JSON_SCHEMA: Final = frozenset({"nullable", "example", "xml", "externalDocs", "discriminator"})
_SKIPPED_HEADERS: Final = frozenset({"accept", "content-type", "authorization"})  # as OpenAPI says


class BadDocumentError(Exception):
    """Why a document cannot be used, in words for staff."""


_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]  # which of the two depends on how the package was built
    """Reads dates as texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_document(text: str) -> dict[str, Any]:
    """The document of a JSON or YAML text. Raises `BadDocumentError`."""
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else _read_yaml(text)
    except (ValueError, yaml.YAMLError, RecursionError):
        raise BadDocumentError("it is neither JSON nor YAML") from None
    if not isinstance(found, dict):
        raise BadDocumentError("it is no OpenAPI document")
    version = str(found.get("openapi", ""))
    if not version.startswith(("3.0", "3.1")):
        said = "Swagger 2" if "swagger" in found else f"version {shorten(version, 20)}" if version else "no version"
        raise BadDocumentError(f"only OpenAPI 3.0 and 3.1 can be used, and it has {said}")
    if not isinstance(found.get("paths"), dict):
        raise BadDocumentError("it has no paths")
    return found


def _read_yaml(text: str) -> Any:
    """Refuses aliases: with merge keys a short text of them makes an endless document."""
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, _Safe)):
        raise BadDocumentError("it has YAML aliases")
    return yaml.load(text, _Loader)  # noqa: S506 -- it is a safe loader


def base_url(document: Mapping[str, Any], address: str, fetched_from: str) -> str:
    """Where the paths begin: as staff entered, else as the document says. Raises `BadDocumentError`."""
    found = address
    if not found:
        servers = document.get("servers") or [{"url": "/"}]
        first = servers[0] if isinstance(servers, list) and isinstance(servers[0], Mapping) else {}
        variables = first.get("variables")
        try:
            found = urljoin(fetched_from, str(first.get("url", "/")))
            for name, variable in variables.items() if isinstance(variables, Mapping) else ():
                default = variable.get("default", "") if isinstance(variable, Mapping) else ""
                found = found.replace(f"{{{name}}}", str(default))
            known = urlsplit(found).scheme in ("http", "https") and "{" not in found
        except ValueError:  # such as http://[
            known = False
        if not known:
            raise BadDocumentError("it does not say where the server is: enter the address")
    return found.rstrip("/")


def operations(document: Mapping[str, Any], notes: list[str]) -> list[Offered]:
    """Each operation as a tool. What cannot be one is named in `notes`."""
    found: list[Offered] = []
    taken: set[str] = set()
    budget = Budget()
    for path, method, shared, operation in _walk(document):
        if len(found) > MAX_TOOLS or len(notes) > MAX_NOTES:
            break  # no more is stored
        if budget.nodes <= 0:
            notes.insert(0, "The document is too large: its last operations were skipped.")
            break
        called = f"{method.upper()} {shorten(path, 80)}"
        if operation.get("deprecated") is True:
            continue
        try:
            schema, recipe = _parameters(document, path, method, shared, operation, budget)
        except BadSchemaError as error:
            notes.append(f"{called} was skipped: {error}.")
            continue
        name = clean(operation.get("operationId"), 64) or f"{method}_{path}"
        if name in taken:
            name = f"{method}_{path}"
        taken.add(name)
        title = clean(operation.get("summary"), 100) or name
        description = clean(operation.get("description"), 4000) or clean(operation.get("summary"), 400)
        found.append(Offered(name, title, description or called, schema, method in READS, recipe))
    return found


def _walk(document: Mapping[str, Any]) -> Iterator[tuple[str, str, list[Any], Mapping[str, Any]]]:
    for path, item in document["paths"].items():
        if not isinstance(path, str) or not path.startswith("/") or not isinstance(item, Mapping):
            continue
        shared = item.get("parameters") if isinstance(item.get("parameters"), list) else []
        for method in METHODS:
            operation = item.get(method)
            if isinstance(operation, Mapping):
                yield path, method, list(shared or []), operation


def _parameters(
    document: Mapping[str, Any], path: str, method: str, shared: list[Any], operation: Mapping[str, Any], budget: Budget
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One schema of the parameters and the body, and where each of them goes."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    places: dict[str, dict[str, Any]] = {}
    own = operation.get("parameters") or []
    by_place = {}
    for one in [*shared, *(own if isinstance(own, list) else [])]:
        parameter = _follow(document, one)
        # An operation's own comes later and counts.
        by_place[str(parameter.get("in")), str(parameter.get("name"))] = parameter
    for (place, name), parameter in by_place.items():
        if place not in PLACES or not isinstance(parameter.get("name"), str):
            if parameter.get("required") is True:
                raise BadSchemaError(f"it needs {shorten(str(name), 40)} in a place that is not supported")
            continue
        if place == "header" and name.lower() in _SKIPPED_HEADERS:
            continue
        key = name if name not in properties and name != BODY else f"{place}_{name}"
        schema = parameter.get("schema")
        described = {**schema} if isinstance(schema, Mapping) else {"type": "string"}
        if parameter.get("description"):
            described["description"] = parameter["description"]
        properties[key] = described
        places[key] = {"in": place, "name": name, "explode": parameter.get("explode", place == "query")}
        if parameter.get("required") is True or place == "path":
            required.append(key)
    if len(properties) > MAX_PARAMETERS:
        raise BadSchemaError(f"it has more than {MAX_PARAMETERS} parameters")
    recipe: dict[str, Any] = {"method": method.upper(), "path": path, "places": places}
    body = _body(document, operation)
    if body is not None:
        recipe["body"], schema, needed = body
        properties[BODY] = schema
        if needed:
            required.append(BODY)
    for template in _templates(path):
        if not any(one["in"] == "path" and one["name"] == template for one in places.values()):
            raise BadSchemaError(f"its path needs {shorten(template, 40)}, which is not described")
    whole = {"type": "object", "properties": properties, "required": required}
    return tidy_schema(whole, document, _as_json_schema, budget), recipe


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], bool] | None:
    """Media type, schema, and whether it is required; None: the operation has no body."""
    body = operation.get("requestBody")
    if body is None:
        return None
    body = _follow(document, body)
    content = body.get("content")
    for kind, media in content.items() if isinstance(content, Mapping) else ():
        plain = str(kind).partition(";")[0].strip().lower()
        if (plain == "application/json" or plain.endswith("+json")) and isinstance(media, Mapping):
            schema = media.get("schema")
            return plain, schema if isinstance(schema, Mapping) else {}, body.get("required") is True
    for kind, media in content.items() if isinstance(content, Mapping) else ():
        if str(kind).partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            return "application/x-www-form-urlencoded", media.get("schema") or {}, body.get("required") is True
    if body.get("required") is True:
        raise BadSchemaError("its body is not JSON")
    return None


def _follow(document: Mapping[str, Any], node: Any) -> Mapping[str, Any]:
    for _ in range(8):
        if not isinstance(node, Mapping):
            raise BadSchemaError("a parameter of it is not an object")
        if not isinstance(node.get("$ref"), str):
            return node
        node = look_up(node["$ref"], document)
    raise BadSchemaError("its references go in a circle")


def _templates(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _as_json_schema(node: Any) -> Any:
    """A schema of OpenAPI 3.0 as JSON Schema: `nullable` and `exclusiveMinimum: true` are written otherwise there."""
    if isinstance(node, list):
        return [_as_json_schema(one) for one in node]
    if not isinstance(node, Mapping):
        return node
    found: dict[str, Any] = {}
    for name, value in node.items():
        if name == "properties" and isinstance(value, Mapping):  # its names are the API's, whatever they are
            found[name] = {key: _as_json_schema(one) for key, one in value.items()}
        elif name not in _NOT_JSON_SCHEMA and not name.startswith("x-"):
            found[name] = _as_json_schema(value)
    if node.get("nullable") is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(found.get(exclusive), bool) and found.pop(exclusive) and bound in found:
            found[exclusive] = found.pop(bound)
    return found
