"""Which responses an operation has, and how a failure becomes one. Every error has one shape (`chat.api.errors`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from accounts.lib.json_bounds import TooManyValuesError
from accounts.lib.outage import OUTAGE
from chat.api.errors import SERVER, ApiError, invalid, of_chat_error, unavailable
from chat.api.rest.schemas import ErrorOut
from chat.protocol.errors import ChatError, Moderated

REFUSALS: Final = frozenset({400, 401, 403, 404, 409, 429, 503})
WRONG_OFFSET: Final = "offset"

logger = structlog.get_logger(__name__)


def answers(shape: Any, status: int = 200) -> dict[Any, Any]:
    """The responses of an operation, for the OpenAPI document."""
    return {status: shape, REFUSALS: ErrorOut}


def respond(api: NinjaAPI, request: HttpRequest, error: ApiError) -> HttpResponse:
    response = api.create_response(request, error.body, status=error.status)
    for name, value in error.headers:
        response.headers[name.decode()] = value.decode()
    return response


def of_error(error: ChatError) -> ApiError:
    """A refusal of the site, with what a client needs to go on."""
    refused = of_chat_error(error)
    if isinstance(error, Moderated):
        refused.more = {"case_id": str(error.case_id)}
    if error.code == WRONG_OFFSET:
        refused.more = {"received": getattr(error, "received", None)}
    if error.code == "conflict":
        refused.code = "conflict"
    return refused


def of_validation(problems: Sequence[dict[str, Any]]) -> ApiError:
    """The first thing that is wrong with a request, named by its path."""
    problem = problems[0] if problems else {}
    where = [str(one) for one in problem.get("loc", ())]
    # ("body", "<name of the parameter in the view>", "text") names the field "text"
    param = ".".join(where[2:] if where[:1] in (["body"], ["form"], ["file"]) and len(where) > 2 else where[1:])
    kind = str(problem.get("type", ""))
    code = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}.get(kind, "invalid_value")
    if "json" in kind:
        code = "invalid_json"
    return invalid(f"{problem.get('msg', 'This request is not valid')}.", param or None, code)


def register_handlers(api: NinjaAPI) -> None:
    """Makes all that an operation raises a response of the one shape."""

    def handle(kind: type[Exception], make: Any) -> None:
        def handler(request: HttpRequest, error: Any) -> HttpResponse:
            return respond(api, request, make(request, error))

        api.add_exception_handler(kind, handler)

    handle(Exception, _unexpected)
    handle(SuspiciousOperation, lambda _request, _error: invalid("This request is not valid."))
    handle(RequestDataTooBig, lambda _request, _error: ApiError(413, "The body is too large.", code="too_large"))
    handle(ApiError, lambda _request, error: error)
    handle(ChatError, lambda _request, error: of_error(error))
    handle(ValidationError, lambda _request, error: of_validation(error.errors))
    handle(AuthenticationError, lambda _request, _error: ApiError(
        401, "Send your API token in the header 'Authorization: Bearer …'.", code="missing_api_key"
    ))  # fmt: skip
    handle(HttpError, lambda _request, error: _of_http_error(error))
    handle(Http404, lambda _request, _error: ApiError(
        404, "This doesn't exist, or you don't have access to it.", code="not_found"
    ))  # fmt: skip
    for outage in OUTAGE:
        handle(outage, _away)


def _of_http_error(error: HttpError) -> ApiError:
    if isinstance(error.__cause__, TooManyValuesError):
        return ApiError(413, "The body can't have so many lists, objects and values.", code="too_large")
    code = "invalid_json" if "body" in str(error) else "invalid_value"
    return ApiError(error.status_code, f"{error}.", code=code)


def _away(_request: HttpRequest, error: Exception) -> ApiError:
    logger.warning("api_request_failed", error=type(error).__name__)
    return unavailable()


def _unexpected(request: HttpRequest, error: Exception) -> ApiError:
    logger.error("api_request_crashed", path=request.path, exc_info=error)
    return ApiError(500, "Something went wrong on the server.", code="internal", kind=SERVER)
