"""Django's ASGI handler with one thread hop a request instead of about twenty.

Under ASGI each classic middleware is called twice through `sync_to_async`, and all of it on the process's one
"thread-sensitive" thread. Our views and middlewares are synchronous, so here the whole chain is, and a request runs
from end to end on one thread of a small pool.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest, HttpResponseBase

THREADS: Final = 4
STATIC_MIDDLEWARE: Final = "servestatic.middleware.ServeStaticMiddleware"


class Pages(ASGIHandler):
    """Answers everything but static files, whose middleware streams them asynchronously."""

    def __init__(self) -> None:
        super().__init__()
        executor = ThreadPoolExecutor(THREADS, thread_name_prefix="pages")
        self._respond: Any = sync_to_async(self._respond_here, thread_sensitive=False, executor=executor)

    def load_middleware(self, is_async: bool = False) -> None:
        """The chain, synchronous whatever is asked for, without the one middleware that can only be asynchronous."""
        everything = settings.MIDDLEWARE
        settings.MIDDLEWARE = [name for name in everything if name != STATIC_MIDDLEWARE]
        try:
            super().load_middleware(is_async=False)
        finally:
            settings.MIDDLEWARE = everything

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self._respond(request)
        return response

    def _respond_here(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return self.get_response(request)
        finally:
            # Django closes connections on the thread of its signals, which is not this one.
            connections.close_all()
