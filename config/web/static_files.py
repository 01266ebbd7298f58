"""Static files, answered whole from memory, each in one message.

Django's chain takes several milliseconds of CPU time for each file: it changes threads for synchronous middlewares and
signals, and for opening, reading and closing the file. Here the index of ServeStatic says which files there are and
what their headers are, and Django's security middleware adds its own.
"""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.security import SecurityMiddleware
from servestatic.middleware import ServeStaticMiddleware
from servestatic.responders import StaticFile

FILE_BYTES: Final = 1 << 20  # larger files are streamed
MEMORY_BYTES: Final = 32 << 20  # of all files together; what has no place is streamed

Send = Callable[[dict[str, Any]], Awaitable[None]]


class StaticFiles:
    """An ASGI application for the paths below STATIC_URL. `pages` answers those where there is no file.

    Ranges, other methods than GET and HEAD, redirects to https, and with DEBUG all requests go through Django's chain.
    """

    def __init__(self, pages: Any) -> None:
        self._pages = pages
        self._index: ServeStaticMiddleware | None = None
        self._listing = asyncio.Lock()
        self._secure = SecurityMiddleware(lambda _request: HttpResponse())
        self._bodies: dict[str, bytes] = {}
        self._left = MEMORY_BYTES

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        request = ASGIRequest(scope, io.BytesIO())
        index = self._index or await self._list()
        file = index.files.get(request.path_info)
        if file is None and not index.autorefresh:
            await self._pages(scope, receive, send)
        elif not isinstance(file, StaticFile) or not await self._answer(file, request, send):
            await _chain()(scope, receive, send)

    async def _list(self) -> ServeStaticMiddleware:
        """The index, made for the first request: it looks at every file, and many processes are never asked for one."""
        async with self._listing:
            if self._index is None:
                self._index = await asyncio.to_thread(ServeStaticMiddleware, _no_page)
            return self._index

    async def _answer(self, file: StaticFile, request: ASGIRequest, send: Send) -> bool:
        """Whether it has answered. It has not where the answer is neither the whole file nor "not modified"."""
        response = self._secure(request)
        assert isinstance(response, HttpResponseBase)  # of a synchronous middleware
        if response.status_code != HTTPStatus.OK or request.method not in ("GET", "HEAD") or "Range" in request.headers:
            return False
        if file.is_not_modified(request.META):
            response.status_code, found, body = HTTPStatus.NOT_MODIFIED, file.not_modified_response.headers, b""
        else:
            path, found = file.get_path_and_headers(request.META)
            read = await self._read(path, int(dict(found)["Content-Length"] or 0))
            if read is None:
                return False
            body = read
        del response["Content-Type"]
        for name, value in found:
            response[name] = value
        headers = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in response.items()]
        await send({"type": "http.response.start", "status": int(response.status_code), "headers": headers})
        await send({"type": "http.response.body", "body": body if request.method == "GET" else b""})
        return True

    async def _read(self, path: str, size: int) -> bytes | None:
        """A file of `size` bytes, kept from its first reading on; None where it is too large or no longer that long."""
        if path in self._bodies:
            return self._bodies[path]
        if size > min(FILE_BYTES, self._left):
            return None
        body = await asyncio.to_thread(Path(path).read_bytes)
        if len(body) != size:
            return None
        if path not in self._bodies:
            self._left -= size
        self._bodies[path] = body
        return body


async def _no_page(_request: HttpRequest) -> HttpResponseBase:
    raise AssertionError("the index is only read")


@functools.cache
def _chain() -> Any:
    """Django's chain with ServeStatic in it, which streams. It lists all files when it is made."""
    return ASGIHandler()
