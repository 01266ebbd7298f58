"""Static files: what `StaticFiles` answers from memory is what Django's chain would answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries

from config.web import static_files
from config.web.static_files import StaticFiles

SCRIPT = "/static/chat/js/main.js"


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    messages: int


async def ask(application: Any, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
    sent: list[dict[str, Any]] = []
    given = {"host": "localhost", **(headers or {})}
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": b"", "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ["127.0.0.1", 1], "server": ["127.0.0.1", 80],
    }  # fmt: skip
    gone = asyncio.Event()
    waiting = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not waiting:
            await gone.wait()
        return waiting.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)
    start, *rest = sent
    body = b"".join(message.get("body", b"") for message in rest)
    return Answer(start["status"], {name.lower(): value for name, value in start["headers"]}, body, len(sent))


@pytest.fixture(autouse=True)
def without_database() -> Iterator[None]:
    """Django's handler looks after the connections of the database before and after each request."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    request_started.disconnect(reset_queries)
    yield
    request_started.connect(reset_queries)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[StaticFiles, list[str]]]:
    """The application, and the paths of which it left the answer to the pages."""
    passed: list[str] = []

    async def pages(scope: dict[str, Any], _receive: Any, send: Any) -> None:
        passed.append(scope["path"])
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    yield StaticFiles(pages), passed
    static_files._chain.cache_clear()


@pytest.fixture(scope="module")
def chain() -> ASGIHandler:
    return ASGIHandler()


@pytest.mark.parametrize("headers", [{}, {"accept-encoding": "gzip, br"}, {"accept-encoding": "*"}])
@pytest.mark.parametrize("path", [SCRIPT, "/static/chat/img/mark.svg", "/static/unfold/css/styles.css"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_whole_file(
    made: tuple[StaticFiles, list[str]], chain: ASGIHandler, method: str, path: str, headers: dict[str, str]
) -> None:
    want = await ask(chain, path, method=method, headers=headers)
    for _ in range(2):  # read, and from memory
        got = await ask(made[0], path, method=method, headers=headers)
        assert got[:3] == want[:3]
        assert got.messages == 2
    assert (got.status, bool(got.body)) == (200, method == "GET")
    assert got.headers[b"x-content-type-options"] == b"nosniff"


async def test_what_the_browser_knows(made: tuple[StaticFiles, list[str]], chain: ASGIHandler) -> None:
    first = await ask(made[0], SCRIPT)
    for headers in (
        {"if-none-match": first.headers[b"etag"].decode()},
        {"if-modified-since": first.headers[b"last-modified"].decode()},
    ):
        got = await ask(made[0], SCRIPT, headers=headers)
        assert got[:3] == (await ask(chain, SCRIPT, headers=headers))[:3]
        assert (got.status, got.body) == (304, b"")
    assert (await ask(made[0], SCRIPT, headers={"if-none-match": '"other"'})).status == 200


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("GET", {"range": "bytes=2-5"}, 206), ("GET", {"range": "bytes=9999999-"}, 416), ("POST", {}, 405)],
)
async def test_all_else_is_left_to_django(
    made: tuple[StaticFiles, list[str]], chain: ASGIHandler, method: str, headers: dict[str, str], status: int
) -> None:
    got = await ask(made[0], SCRIPT, method=method, headers=headers)
    assert got.status == status
    assert got[:3] == (await ask(chain, SCRIPT, method=method, headers=headers))[:3]


async def test_where_no_file_is_the_pages_answer(made: tuple[StaticFiles, list[str]]) -> None:
    files, passed = made
    for path in ("/static/", "/static/none.js", "/static/../manage.py", "/static/chat/js/"):
        assert (await ask(files, path)).status == 404
        assert passed.pop() == path


async def test_https_is_asked_for_and_said(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 3600
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    static_files._chain.cache_clear()
    files, chain = StaticFiles(None), ASGIHandler()
    secure = {"x-forwarded-proto": "https"}
    assert (await ask(files, SCRIPT)).headers[b"location"] == b"https://localhost" + SCRIPT.encode()
    got = await ask(files, SCRIPT, headers=secure)
    assert got[:3] == (await ask(chain, SCRIPT, headers=secure))[:3]
    assert got.headers[b"strict-transport-security"] == b"max-age=3600"
    static_files._chain.cache_clear()


async def test_the_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    size = int((await ask(StaticFiles(None), SCRIPT)).headers[b"content-length"])
    for name in ("FILE_BYTES", "MEMORY_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(static_files, name, size - 1)
            files = StaticFiles(None)
            got = await ask(files, SCRIPT)
        assert (got.status, len(got.body)) == (200, size)
        assert files._bodies == {}
        assert files._left in (size - 1, 32 << 20)


async def test_a_file_that_was_edited_since_is_not_cut(made: tuple[StaticFiles, list[str]], tmp_path: Path) -> None:
    longer = tmp_path / "longer.js"
    longer.write_text("export {};")
    assert await made[0]._read(str(longer), 5) is None
    assert await made[0]._read(str(longer), 10) == b"export {};"
