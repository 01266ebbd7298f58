"""The ASGI application: health checks, metrics, streams of live shares, the API, static files, pages (Django), and
WebSockets (authentication, then consumer).
"""

from __future__ import annotations

import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)  # before imports of models

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from accounts.auth.websocket import SOCKET_PATH  # noqa: E402
from chat.api import endpoint as api  # noqa: E402
from chat.realtime.watching import endpoint as share_streams  # noqa: E402
from config.web import health, metrics, rest  # noqa: E402
from config.web.pages import Pages  # noqa: E402
from config.web.static_files import StaticFiles  # noqa: E402

pages = Pages()
static_files = StaticFiles(pages)
rest_api = rest.RestApi()


def make_sockets() -> Any:
    from accounts.auth.websocket import TicketAuthMiddleware
    from chat.protocol.limits import PROTOCOL
    from chat.realtime.consumer import ChatConsumer

    return TicketAuthMiddleware(ChatConsumer.as_asgi(), PROTOCOL)


sockets = make_sockets()


async def answer_http(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    handler: Any = pages
    if path in health.PATHS:
        handler = health.application
    elif path == metrics.PATH:
        handler = metrics.application
    elif share_streams.PATH.fullmatch(path):
        handler = share_streams.application
    elif path.startswith(api.PREFIX) or path == api.TICKET_PATH:
        handler = api.application
    elif path.startswith(rest.PREFIX):
        handler = rest_api
    elif path.startswith(settings.STATIC_URL):
        handler = static_files
    await handler(scope, receive, send)


async def answer_websocket(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Passes on sockets of `SOCKET_PATH`, refuses others: Daphne answers a close before accepting with HTTP 403."""
    if scope["path"] == SOCKET_PATH:
        await sockets(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close"})


application = ProtocolTypeRouter({"http": answer_http, "websocket": answer_websocket})
