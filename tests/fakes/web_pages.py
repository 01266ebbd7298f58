"""A web server on the loopback with pages that do what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebPages:
    """`pages` are handlers by path. `asked` is what was requested, in order."""

    def __init__(self) -> None:
        self.pages: dict[str, Handler] = {}
        self.asked: list[web.Request] = []
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def show(self, path: str, body: str | bytes, kind: str = "text/html", status: int = 200, **headers: str) -> str:
        """A page with this body; returns its address."""
        content = body.encode() if isinstance(body, str) else body

        async def answer(request: web.Request) -> web.Response:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=content, status=status, headers={"Content-Type": kind, **named})

        self.pages[path] = answer
        return self.url(path)

    def redirect(self, path: str, target: str, status: int = 302) -> str:
        """A page that leads elsewhere; returns its address."""

        async def answer(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": target})

        self.pages[path] = answer
        return self.url(path)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        await request.read()
        handler = self.pages.get(request.path)
        return await handler(request) if handler is not None else web.Response(status=404, text="Not found")


@asynccontextmanager
async def serve_pages(host: str = "127.0.0.1") -> AsyncIterator[WebPages]:
    """Serves until the block ends."""
    pages = WebPages()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pages._answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    pages.port = runner.addresses[0][1]
    try:
        yield pages
    finally:
        await runner.cleanup()
