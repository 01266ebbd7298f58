"""A client of `chat.v1` for tests: logs in like a browser, keeps a view of each conversation, records every frame.

The view is made from what the protocol promises and nothing else: snapshots, then events in order of `seq`, deltas
appended at their `index`, a new attempt replacing the text of the one before. Reasoning is a text like the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from ssl import SSLContext
from typing import Any

import aiohttp
from yarl import URL

from tests import log_ins
from tests.client_view import (
    TERMINAL,
    ProtocolViolationError,
    ShortDeltas,
    View,
    apply_event,
    apply_snapshot,
)

PASSWORD = "correct horse battery staple"
FEATURES = [  # of every server
    "reasoning", "compare", "members", "queue", "ask", "branches", "ratings", "seen", "folders", "files",
    "collections", "short_deltas",
]  # fmt: skip


class Session:
    """A logged-in browser session; opens any number of sockets."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http

    def _token(self) -> str:
        cookies = self.http.cookie_jar.filter_cookies(URL(self.url))
        return next((c.value for name, c in cookies.items() if name.endswith("csrftoken")), "")

    async def post(self, path: str, data: dict[str, str] | None = None) -> aiohttp.ClientResponse:
        headers = {"X-CSRFToken": self._token(), "Referer": self.url + "/", "Origin": self.url}
        return await self.http.post(self.url + path, data=data or {}, headers=headers, allow_redirects=False)

    async def login(self, email: str, password: str = PASSWORD) -> None:
        async with self.http.get(self.url + "/accounts/login/") as page:
            html = await page.text()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', html)
        assert token is not None, html[:500]
        form = {"login": email, "password": password, "csrfmiddlewaretoken": token[1]}
        answer = await self.post("/accounts/login/", form)
        assert answer.status == 302, (answer.status, (await answer.text())[:2000])

    async def ticket(self) -> str:
        answer = await self.post("/ws/ticket/")
        assert answer.status == 200, (answer.status, (await answer.text())[:500])
        return str((await answer.json())["ticket"])

    async def connect(self, *, at: str | None = None, ticket: str = "", short: bool = False, **options: Any) -> Client:
        """A new socket, greeted. `at`: another web process. `ticket`: one that another socket has handed over. `short`:
        it gets deltas in the short form, as a page does.
        """
        url = at or self.url
        ticket = ticket or await self.ticket()
        ws = await self.http.ws_connect(
            url.replace("http", "ws", 1) + "/ws/",
            protocols=("chat.v1", f"ticket.{ticket}"),
            origin=url,
            autoping=True,
            max_msg_size=0,
        )
        client = Client(ws, **options)
        await client.next("hello")
        if short:
            await client.send("deltas", short=True)
        return client


class Client:
    """One socket. A task reads for as long as it is open."""

    def __init__(
        self, ws: aiohttp.ClientWebSocketResponse, *, views: dict[str, View] | None = None, ack: bool = True
    ) -> None:
        self.ws = ws
        self.frames: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.audio: list[bytes] = []  # binary frames
        self.short = ShortDeltas()
        self.characters = 0  # of all text frames as they came, without compression
        self.sent: list[dict[str, Any]] = []
        self.views = views if views is not None else {}
        self.following: set[str] = set()  # conversations this socket gets events of
        self.ack = ack
        self.pong = True
        self._cursor = 0
        self._unacked: dict[str, int] = {}
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @property
    def close_code(self) -> int | None:
        return self.ws.close_code if self._reader.done() else None

    async def _read(self) -> None:
        async for message in self.ws:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.audio.append(message.data)
                async with self._changed:
                    self._changed.notify_all()
                continue
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            self.characters += len(message.data)
            frame = self.short.expand(json.loads(message.data))
            self.frames.append(frame)
            self.times.append(time.monotonic())
            await self._handle(frame)
            async with self._changed:
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    async def _handle(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "ping" and self.pong:
            await self.send("pong")
        elif frame["type"] == "subscribed":
            view = self.views.setdefault(frame["conversation_id"], View())
            if not frame["recovered"]:
                apply_snapshot(view, frame)
            elif (frame["position"]["epoch"], frame["position"]["seq"]) != (view.epoch, view.seq):
                raise ProtocolViolationError(f"recovered at {frame['position']}, not at {view.epoch}:{view.seq}")
            self.following.add(frame["conversation_id"])
        elif frame["type"] == "message.accepted" and frame["conversation_id"] not in self.following:
            view = self.views.setdefault(frame["conversation_id"], View())
            view.epoch, view.seq = frame["position"]["epoch"], frame["position"]["seq"]
            view.came_in = datetime.now(UTC).isoformat()
            self.following.add(frame["conversation_id"])
        elif frame["type"] == "reset":
            self.views[frame["conversation_id"]].resets += 1
            self.following.discard(frame["conversation_id"])
            await self.send("subscribe", conversation_id=frame["conversation_id"])
        elif "seq" in frame:
            if frame["conversation_id"] not in self.following:
                raise ProtocolViolationError(f"an event of a conversation nobody subscribed to: {frame}")
            apply_event(self.views[frame["conversation_id"]], frame)
            if self.ack:
                # Large ones count for many: nothing here acks after 250 ms, as a page does.
                count = self._unacked.get(frame["conversation_id"], 0) + 1 + len(frame.get("text", "")) // 4096
                if count >= 16 or frame["type"] in TERMINAL:
                    count = 0
                    await self.send("ack", conversation_id=frame["conversation_id"], seq=frame["seq"])
                self._unacked[frame["conversation_id"]] = count

    async def send(self, kind: str, **fields: Any) -> None:
        self.sent.append({"type": kind, **fields})
        with contextlib.suppress(ConnectionResetError, aiohttp.ClientError):
            await self.ws.send_str(json.dumps({"type": kind, **fields}))

    async def until(self, condition: Callable[[], Any], what: str = "", seconds: float = 15) -> Any:
        """Waits until `condition()` is truthy, looking after each frame; its value."""
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    while not (value := condition()):
                        if self._reader.done():
                            self._reader.result()
                            if not (value := condition()):
                                raise ConnectionError(f"closed {self.ws.close_code} while waiting for {what}")
                            return value
                        await self._changed.wait()
            except TimeoutError:
                tail = "\n".join(str(frame)[:300] for frame in self.frames[-8:])
                raise TimeoutError(f"no {what or 'such state'} within {seconds} s; last frames:\n{tail}") from None
            return value

    async def next(self, *kinds: str, seconds: float = 15, **fields: Any) -> dict[str, Any]:
        """The next frame of one of these types with these fields; frames before it are passed over."""

        def find() -> dict[str, Any] | None:
            while self._cursor < len(self.frames):
                frame = self.frames[self._cursor]
                self._cursor += 1
                if frame["type"] in kinds and all(frame.get(name) == value for name, value in fields.items()):
                    return frame
            return None

        found: dict[str, Any] = await self.until(find, f"{'/'.join(kinds)} {fields or ''}", seconds)
        return found

    async def ask(self, kind: str, *, seconds: float = 15, **fields: Any) -> dict[str, Any]:
        """Sends a command and gives its reply (also an error)."""
        ref = uuid.uuid4().hex
        await self.send(kind, ref=ref, **fields)

        def find() -> dict[str, Any] | None:
            return next((frame for frame in reversed(self.frames) if frame.get("ref") == ref), None)

        reply: dict[str, Any] = await self.until(find, f"reply to {kind}", seconds)
        return reply

    async def say(self, text: str, conversation_id: str | None = None, **fields: Any) -> dict[str, Any]:
        """Sends a message that asks the model, if nothing else is said; the reply."""
        fields.setdefault("client_id", str(uuid.uuid4()))
        fields.setdefault("ask", True)
        return await self.ask("message.send", conversation_id=conversation_id, text=text, **fields)

    def shown(self, run_id: str) -> str:
        """The text of a run as the views have it; empty while nothing is known of it."""
        found = (view.runs[run_id] for view in self.views.values() if run_id in view.runs)
        return str(next((run["text"] for run in found), ""))

    async def shows(self, run_id: str, characters: int) -> None:
        """Waits until so much of an answer is there."""
        await self.until(lambda: len(self.shown(run_id)) >= characters, f"{characters} characters of {run_id}")

    async def ended(self, run_id: str, seconds: float = 20) -> dict[str, Any]:
        """Waits for the run's end as the views have it; the run."""

        def find() -> dict[str, Any] | None:
            for view in self.views.values():
                run = view.runs.get(run_id)
                if run and run["ended"]:
                    return run
            return None

        run: dict[str, Any] = await self.until(find, f"the end of run {run_id}", seconds)
        return run

    async def closed(self, seconds: float = 10) -> int | None:
        """Waits until the server has closed; the code."""
        async with asyncio.timeout(seconds):
            await asyncio.wait({self._reader})
        self._reader.result()
        return self.ws.close_code

    async def drop(self) -> None:
        """Cuts the connection without a goodbye."""
        self._reader.cancel()
        transport = self.ws._response.connection.transport if self.ws._response.connection else None
        if transport is not None:
            transport.abort()
        await asyncio.gather(self._reader, return_exceptions=True)
        self.ws._response.close()

    async def close(self) -> None:
        await self.ws.close()
        await asyncio.gather(self._reader, return_exceptions=True)


@contextlib.asynccontextmanager
async def session(
    url: str, email: str = "alice@example.org", *, fresh: bool = False, trust: SSLContext | None = None
) -> AsyncGenerator[Session, None]:
    """A browser that has logged in. Logins are rate-limited, so all share one session unless `fresh`. `trust`: whose
    certificates it accepts, where `url` is https.
    """
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of 127.0.0.1
    connector = aiohttp.TCPConnector(limit=0, ssl=trust or True)  # of sockets it has 100 otherwise
    async with aiohttp.ClientSession(cookie_jar=jar, connector=connector) as http:
        logged_in = Session(url, http)
        known = None if fresh else log_ins.kept.get((url, email))
        if known:
            jar.update_cookies(known, URL(url))
        else:
            await logged_in.login(email)
            if not fresh:
                found = jar.filter_cookies(URL(url))
                log_ins.kept[url, email] = {name: cookie.value for name, cookie in found.items()}
        yield logged_in
