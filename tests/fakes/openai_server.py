"""A scripted OpenAI-compatible server on a real socket, cheap enough to feed a bench.

    with FakeOpenAI() as server:                      # in a thread; or in a process of its own:
        settings.OPENAI_BASE_URL = server.url         #   python -m tests.fakes.openai_server --port 0

It serves `GET /v1/models` and `POST /v1/chat/completions`; what it answers is a `Script` (openai_scripts.py).
It remembers each request, when the client left, and how many tokens were written (`server.requests`, or
`GET /_requests` as JSON; `POST /_scripts {"script": "tokens=5", "times": 1}` queues; `POST /_reset` forgets).

All streams of one server share one timer (`Wheel`), and the bytes of a token are encoded once per script: on a plain
`asyncio.Protocol` that is well under 20 µs a token.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from tests.fakes.openai_connection import Connection, Request
from tests.fakes.openai_playback import Playback, Wheel
from tests.fakes.openai_scripts import (
    Script,
    error_body,
    find_script,
    json_body,
    parse_script,
    reasoner_refusal,
    without_fault,
)
from tests.fakes.scripted_calls import name_calls, refuse_tools


class FakeOpenAI:
    """The server. `with` runs it in a thread of its own; `serve` runs it on the current loop."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "",
        models: list[str | dict[str, Any]] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.api_key = api_key
        # Names, or entries of the list as they are sent.
        self.models: list[str | dict[str, Any]] = models if models is not None else ["fake-large", "fake-small"]
        self.models_status = 200
        self.ollama = True  # whether it passes for one
        self.window = 0  # tokens that its models read at most; 0: any number, and usage says 11
        self.listed_window = 0  # the same as its list says it; 0: it does not
        self.names_window = True  # whether a refusal does
        self.script = Script()  # for requests that ask for nothing
        self.requests: deque[Request] = deque(maxlen=20_000)
        self.open_connections: set[Connection] = set()
        self.connections = iter(range(1, sys.maxsize))
        self._queue: deque[Script] = deque()
        self._failed: Counter[str] = Counter()
        self._arrived = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def chats(self) -> list[Request]:
        return [request for request in self.requests if request.path.partition("?")[0].endswith("/chat/completions")]

    def play(self, script: Script | str, *, times: int = 1) -> None:
        """The next `times` requests get this script, whatever they ask for."""
        self._queue.extend([parse_script(script) if isinstance(script, str) else script] * times)

    def wait_chats(self, count: int, timeout: float = 5.0) -> list[Request]:
        """The chat requests, once there are `count`. Raises `TimeoutError`."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.chats) >= count, timeout):
                raise TimeoutError(f"{len(self.chats)} of {count} requests came")
        return self.chats

    def reset(self) -> None:
        self._queue.clear()
        self._failed.clear()
        self.requests.clear()

    def __enter__(self) -> FakeOpenAI:
        started = threading.Event()
        self._thread = threading.Thread(target=_run, args=(self.serve(started.set),), name="fake-openai", daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise TimeoutError("the fake server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join(10)

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def serve(self, on_ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.wheel = Wheel(self._loop)
        server = await self._loop.create_server(lambda: Connection(self), self.host, self.port, backlog=2048)
        self.port = server.sockets[0].getsockname()[1]
        on_ready()
        await self._stop.wait()
        server.close()
        for connection in list(self.open_connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # lets the aborted transports report before the loop closes

    def note(self, connection: int, method: str, path: str, headers: dict[str, str], body: Any) -> Request:
        request = Request(len(self.requests) + 1, connection, method, path, headers, body, time.monotonic())
        if not path.startswith("/_"):
            with self._arrived:
                self.requests.append(request)
                self._arrived.notify_all()
        return request

    def answer(self, connection: Connection, request: Request) -> None:
        path = request.path.partition("?")[0]
        if request.path == "/api/version" and self.ollama:
            connection.send_whole(200, b'{"version":"0.0.0-fake"}')
        elif request.path.startswith("/_"):
            connection.send_whole(200, json.dumps(self._control(request)).encode())
        elif self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            connection.send_whole(401, error_body(Script(status=401), ""))
        elif path == "/v1/models":
            common = {"object": "model", "created": 0, "owned_by": "fake"}
            if self.listed_window:
                common["context_length"] = self.listed_window
            entries = [{**common, **({"id": one} if isinstance(one, str) else one)} for one in self.models]
            connection.send_whole(self.models_status, json.dumps({"object": "list", "data": entries}).encode())
        elif path == "/v1/chat/completions" and request.body:
            self._chat(connection, request, self._choose(request))
        else:
            connection.send_whole(404, b'{"detail":"Not Found"}')

    def _overflow(self, tokens: int) -> bytes:
        words = "Please reduce the length of the prompt."
        if self.names_window:
            words = (
                f"This model's maximum context length is {self.window} tokens. However, your messages resulted in"
                f" {tokens} tokens. {words}"
            )
        return json.dumps({"error": {"message": words, "code": "context_length_exceeded"}}).encode()

    def _control(self, request: Request) -> object:
        if request.path == "/_requests":
            return [entry.as_json() for entry in self.requests]
        if request.path == "/_scripts":
            self.play(request.body["script"], times=request.body.get("times", 1))
        if request.path == "/_reset":
            self.reset()
        return {"ok": True}

    def _choose(self, request: Request) -> Script:
        texts = [turn["content"] for turn in request.body["messages"] if turn["role"] == "user"]
        last = str(texts[-1]) if texts else ""
        if self.window:
            return replace(self._scripted(request, last), prompt=prompt_tokens(request.body))
        return self._scripted(request, last)

    def _scripted(self, request: Request, last: str) -> Script:
        script = self._queue.popleft() if self._queue else self._asked_for(request, last) or self.script
        if script.fails:
            self._failed[last] += 1
            if self._failed[last] > script.fails:
                return without_fault(script)
        return script

    @staticmethod
    def _asked_for(request: Request, last: str) -> Script | None:
        found = find_script(request.body["model"], last)
        answered = request.body["messages"][-1]["role"] == "tool"
        if found is not None and found.calls and (answered or not request.body.get("tools")):
            return None
        return found

    def _chat(self, connection: Connection, request: Request, script: Script) -> None:
        if script.accept_delay:
            self.wheel.at(time.monotonic() + script.accept_delay, lambda _: self._begin(connection, request, script))
        else:
            self._begin(connection, request, script)

    def _begin(self, connection: Connection, request: Request, script: Script) -> None:
        if connection.request is not request:  # the client left while we waited
            return
        options = request.body.get("stream_options") or {}
        script = replace(script, calls=name_calls(script.calls, request.number)) if script.calls else script
        if 0 < self.window < prompt_tokens(request.body):
            connection.send_whole(400, self._overflow(prompt_tokens(request.body)))
            return
        if script.disconnect:
            connection.transport.close()
        elif script.status >= 300:
            extra = f"retry-after: {script.retry_after}\r\n" if script.retry_after else ""
            connection.send_whole(
                script.status, error_body(script, request.headers.get("authorization", "")), extra=extra
            )
        elif script.strict and options:
            connection.send_whole(422, b'{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]}')
        elif script.no_tools and request.body.get("tools"):
            connection.send_whole(400, refuse_tools(request.body["model"]))
        elif script.reasoner and (refusal := reasoner_refusal(request.body)):
            connection.send_whole(400, refusal)
        elif script.body == "html":
            connection.send_whole(200, b"<!doctype html><title>Welcome</title>", kind="text/html")
        elif script.body == "json" or not request.body.get("stream"):
            connection.send_whole(200, json_body(script))
        else:
            Playback(connection, request, script, self.wheel, usage=bool(options.get("include_usage"))).start()


def prompt_tokens(body: dict[str, Any]) -> int:
    """The tokens of a request by the fake's own tokenizer: one for each two characters."""
    return sum(4 + len(turn["content"] or "") // 2 for turn in body["messages"])


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Runs on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible server; prints its base URL.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--script", default="", help="for requests that ask for nothing, such as 'tokens=100 rate=20'")
    options = parser.parse_args()
    server = FakeOpenAI(host=options.host, port=options.port, api_key=options.api_key)
    server.script = parse_script(options.script)
    with contextlib.suppress(KeyboardInterrupt):
        _run(server.serve(lambda: print(server.url, flush=True)))


if __name__ == "__main__":
    main()
