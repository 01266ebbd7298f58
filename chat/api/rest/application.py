"""The REST API as one django-ninja application, and its OpenAPI document."""

from __future__ import annotations

import functools
from typing import Any, Final

import msgspec
from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.parser import Parser

from accounts.lib.json_bounds import check_values
from chat.api.rest import account, conversations, files, members, messages
from chat.api.rest.answers import register_handlers
from chat.protocol.limits import MAX_FRAME_BYTES

DESCRIPTION: Final = (
    "Conversations, messages, members, files and usage of the token's user. What the page may do, a token with the "
    "scope `conversations` may do; `conversations.read` and `usage.read` only read. Every error has the same shape."
)


class BoundedParser(Parser):
    """Ninja's own parser, for bodies that it parses in a moment: it holds up the whole process."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Raises `TooManyValuesError`, and what the parser raises."""
        check_values(request.body, MAX_FRAME_BYTES)
        return super().parse_body(request)


api: Final = NinjaAPI(
    title="Antiphon", version="1", description=DESCRIPTION, docs_url=None, openapi_url=None, parser=BoundedParser()
)
register_handlers(api)
api.add_router("/conversations", conversations.router)
api.add_router("", messages.router)
api.add_router("", members.router)
api.add_router("", files.router)
api.add_router("", account.router)


@functools.cache
def openapi_document() -> bytes:
    """The OpenAPI document, as JSON."""
    return msgspec.json.encode(api.get_openapi_schema(path_prefix="/api/v1/"))
