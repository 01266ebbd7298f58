"""Django's ASGI handler with one thread switch per request instead of about twenty.

Under ASGI each synchronous middleware is called twice through `sync_to_async`, all on the process's single
thread-sensitive thread. The views and middlewares here are synchronous, so the whole chain runs synchronously, and a
request is handled from start to end on one thread of a small pool, for which requests wait by turns
(`config.web.fair_line`). Requests with passwords have a pool of their own (`config.web.password_line`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest, HttpResponseBase

from accounts.lib.rate_limit import network_of
from config.web import password_line
from config.web.fair_line import FairLine

THREADS: Final = 4
STATIC_MIDDLEWARE: Final = "servestatic.middleware.ServeStaticMiddleware"


class Pages(ASGIHandler):
    """Answers all requests except those for static files, which their middleware streams asynchronously."""

    def __init__(self) -> None:
        super().__init__()
        self._respond = self._on_threads(THREADS, "pages")
        self._turns = FairLine(THREADS)
        self._respond_to_password = self._on_threads(password_line.THREADS, "passwords")
        self._line = password_line.PasswordLine()

    def _on_threads(self, count: int, name: str) -> Any:
        executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        return sync_to_async(self._respond_here, thread_sensitive=False, executor=executor)

    def load_middleware(self, is_async: bool = False) -> None:
        """Loads the chain as synchronous, whatever `is_async` says, without the middleware that is asynchronous."""
        everything = settings.MIDDLEWARE
        settings.MIDDLEWARE = [name for name in everything if name != STATIC_MIDDLEWARE]
        try:
            super().load_middleware(is_async=False)
        finally:
            settings.MIDDLEWARE = everything

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase
        if not password_line.checks_password(request):
            return await self._respond_in_turn(request)
        with self._line.place(request) as has_place:
            if not has_place:
                password_line.refuse(request)
                return await self._respond_in_turn(request)
            response = await self._respond_to_password(request)
            return response

    async def _respond_in_turn(self, request: HttpRequest) -> HttpResponseBase:
        visitor = request.COOKIES.get(settings.SESSION_COOKIE_NAME) or request.headers.get("Authorization", "")
        async with self._turns.turn(network_of(request.META.get("REMOTE_ADDR") or ""), visitor):
            response: HttpResponseBase = await self._respond(request)
            return response

    def _respond_here(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return self.get_response(request)
        finally:
            # Django closes connections in the thread that handles its signals, which is another one.
            connections.close_all()
