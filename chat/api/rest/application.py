"""The REST API as one django-ninja application, and its OpenAPI document."""

from __future__ import annotations

import functools
from typing import Final

import msgspec
from ninja import NinjaAPI

from chat.api.rest import account, conversations, files, members, messages
from chat.api.rest.answers import register_handlers

DESCRIPTION: Final = (
    "Conversations, messages, members, files and usage of the token's user. What the page may do, a token with the "
    "scope `conversations` may do; `conversations.read` and `usage.read` only read. Every error has the same shape."
)

api: Final = NinjaAPI(title="Antiphon", version="1", description=DESCRIPTION, docs_url=None, openapi_url=None)
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
