"""`/scim/v2/`: directories provision users and groups here (docs/operations.md#scim)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import Error as DatabaseError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from accounts import erasure
from accounts.auth.adapter import client_ip
from accounts.auth.counters import api_refusals
from accounts.lib import rate_limit
from accounts.lib.json_bounds import TooManyValuesError, check_values
from accounts.lib.outage import OUTAGE
from accounts.models import AuditEntry, ScimToken, User
from accounts.scim import discovery, groups, users
from accounts.scim.errors import ScimError, invalid, not_found
from accounts.scim.filters import to_query
from accounts.scim.tokens import find_token

LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
MOST_BYTES: Final = 2**20
TYPE: Final = "application/scim+json"

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """How the resources of one kind are read and changed."""

    rows: Callable[[], QuerySet[Any]]
    fields: dict[str, str]
    find: Callable[[str], Any]
    show: Callable[[Any, str], dict[str, Any]]
    create: Callable[[dict[str, Any]], tuple[Any, users.Changes]]
    replace: Callable[[str, dict[str, Any]], tuple[Any, users.Changes]]
    patch: Callable[[str, Any, str], tuple[Any, users.Changes]]
    remove: Callable[[str], tuple[Any, users.Changes]]


KINDS: Final = {
    "Users": Kind(
        users.all_users, users.FIELDS, users.find_user, users.show_user, users.create_user, users.replace_user,
        users.patch_user, users.deactivate_user,
    ),
    "Groups": Kind(
        groups.all_groups, groups.FIELDS, groups.find_group, groups.show_group, groups.create_group,
        groups.replace_group, groups.patch_group, groups.empty_group,
    ),
}  # fmt: skip


@csrf_exempt  # no cookie is read: only the token says who asks
@never_cache
@rate_limit.own_rate
def answer_scim(request: HttpRequest, path: str) -> HttpResponse:
    """Any request below `/scim/v2/`."""
    try:
        token = _authenticate(request)
        status, body = _answer(request, token, [part for part in path.split("/") if part])
    except ScimError as error:
        status, body = error.status, error.body
    except erasure.LastAdministratorError as error:
        status, body = 403, ScimError(403, str(error), "mutability").body
    except OUTAGE as error:
        logger.warning("scim_request_failed", error=type(error).__name__)
        status, body = 503, ScimError(503, "The service is unavailable right now. Try again in a moment.").body
    except DatabaseError:
        logger.exception("scim_request_crashed", path=request.path)
        status, body = 500, ScimError(500, "Something went wrong on the server.").body
    response = HttpResponse(status=status) if status == 204 else JsonResponse(body, status=status, content_type=TYPE)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 429:
        response["Retry-After"] = str(body.pop("retryAfter", 1))
    if status == 201:
        response["Location"] = body["meta"]["location"]
    return response


def _authenticate(request: HttpRequest) -> ScimToken:
    """The directory's token. Raises `ScimError`: 401, or 429 for a network that tries many or asks too much."""
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    token = find_token(text.strip()) if kind.lower() == "bearer" else None
    network = rate_limit.network_of(client_ip(request) or "")
    if token is None:
        api_refusals["scim"] += 1
        logger.warning("scim_token_refused", client=network)
        _acquire(f"scim-refused:{network}", settings.RATE_API_REFUSED)
        raise ScimError(401, "Send the token of a directory in the header 'Authorization: Bearer …'.")
    _acquire(f"scim:{token.pk.hex}", settings.RATE_SCIM)
    return token


def _acquire(name: str, rate: str) -> None:
    if wait := rate_limit.try_acquire(rate_limit.required_limits((name, rate))):
        raise ScimError(429, f"Too many requests. Try again in {math.ceil(wait)} s.")


def _answer(request: HttpRequest, token: ScimToken, path: list[str]) -> tuple[int, Any]:
    base = request.build_absolute_uri("/scim/v2")
    kind = KINDS.get(path[0]) if path else None
    if kind is None:
        return 200, _describe(request, path, base)
    if len(path) == 1:
        if request.method == "GET":
            return 200, _list(kind, request.GET.dict(), base)
        if request.method == "POST":
            made, changes = kind.create(_read_body(request))
            _record(request, token, "scim_create", made, changes)
            return 201, kind.show(made, base)
        if request.method == "OPTIONS":
            return 204, None
    elif len(path) == 2 and path[1] == ".search":
        raise ScimError(501, "Searching by POST is not supported. Use GET with a filter.")
    elif len(path) == 2:
        return _answer_one(request, token, kind, path[1], base)
    raise ScimError(405 if len(path) < 3 else 404, f"There is no {request.method} {request.path} here.")


def _answer_one(request: HttpRequest, token: ScimToken, kind: Kind, id_: str, base: str) -> tuple[int, Any]:
    if request.method == "GET":
        return 200, kind.show(kind.find(id_), base)
    if request.method == "PUT":
        row, changes = kind.replace(id_, _read_body(request))
    elif request.method == "PATCH":
        row, changes = kind.patch(id_, _read_body(request), base)
    elif request.method == "DELETE":
        row, changes = kind.remove(id_)
        _record(request, token, "scim_delete", row, changes)
        return 204, None
    else:
        raise ScimError(405, f"There is no {request.method} {request.path} here.")
    if changes:
        _record(request, token, "scim_change", row, changes)
    return 200, kind.show(row, base)


def _list(kind: Kind, query: dict[str, str], base: str) -> dict[str, Any]:
    rows = kind.rows()
    if "sortBy" in query:
        raise ScimError(501, "Lists are not sorted here. Ask without sortBy.")
    if query.get("filter"):
        rows = rows.filter(to_query(query["filter"], kind.fields)).distinct()
    start, count = max(1, _number(query, "startIndex", 1)), min(discovery.MOST, max(0, _number(query, "count", 100)))
    shown = rows[start - 1 : start - 1 + count]
    hidden = "members" in query.get("excludedAttributes", "")  # what directories ask for to read many groups
    if kind.rows is groups.all_groups:
        found = [groups.show_group(row, base, members=not hidden) for row in shown]
    else:
        found = [kind.show(row, base) for row in shown]
    return {
        "schemas": [LIST], "totalResults": rows.count(), "startIndex": start, "itemsPerPage": len(found),
        "Resources": found,
    }  # fmt: skip


def _number(query: dict[str, str], name: str, usual: int) -> int:
    try:
        return min(int(query.get(name, usual)), 10**9)
    except ValueError:
        raise invalid(f"'{name}' must be a number.") from None


def _describe(request: HttpRequest, path: list[str], base: str) -> Any:
    """What the service says of itself. Raises `ScimError`."""
    if request.method != "GET":
        raise ScimError(405, f"There is no {request.method} {request.path} here.")
    if path == ["ServiceProviderConfig"]:
        return discovery.service_provider_config(base)
    found = {"ResourceTypes": discovery.resource_types, "Schemas": discovery.schemas}.get(path[0] if path else "")
    if found is None or len(path) > 2:
        raise ScimError(404, f"There is no {request.path} here.")
    items = found(base)
    if len(path) == 1:
        shape = {"totalResults": len(items), "startIndex": 1, "itemsPerPage": len(items), "Resources": items}
        return {"schemas": [LIST], **shape}
    item = next((one for one in items if one["id"] == path[1]), None)
    if item is None:
        raise not_found(path[0], path[1])
    return item


def _read_body(request: HttpRequest) -> dict[str, Any]:
    if int(request.headers.get("Content-Length") or 0) > MOST_BYTES:
        raise ScimError(413, "The body has more than 1 MiB.")
    try:
        check_values(request.body, MOST_BYTES)
        body = json.loads(request.body)
    except TooManyValuesError:
        raise ScimError(413, "The body can't have so many lists, objects and values.") from None
    except SuspiciousOperation:  # it came without its length, and is longer than any body may be
        raise ScimError(413, "The body has more than 1 MiB.") from None
    except (ValueError, RecursionError):
        raise invalid("The body is not JSON.", "invalidSyntax") from None
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.", "invalidSyntax")
    return body


def _record(request: HttpRequest, token: ScimToken, verb: str, what: Model, changes: users.Changes) -> None:
    """What a directory has done, in the audit log."""
    AuditEntry.objects.create(
        actor=None, actor_email="", verb=verb, ip=client_ip(request), object_id=str(what.pk),
        object_type=what._meta.label_lower,  # noqa: SLF001  # Django documents it
        details=f"{token.name} ({token.prefix})", changes={name: list(pair) for name, pair in changes.items()},
        subjects=[what.pk] if isinstance(what, User) else [],
    )  # fmt: skip
