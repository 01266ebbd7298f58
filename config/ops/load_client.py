"""The client side of `manage.py loadtest`: sessions that log in, and sockets that send messages and time the answers.

It uses the server as the page does, by docs/protocol.md. Measured are the times a user notices: from sending a message
to the first text of its answer, between two pieces of text, and to the answer's end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from yarl import URL

from chat.protocol.limits import PROTOCOL

TERMINAL: Final = frozenset({"run.done", "run.stopped", "run.failed", "run.interrupted"})
ACK_EVERY: Final = 16  # events
ANSWER_SECONDS: Final = 120.0  # an answer that has not ended by then counts as lost


class RefusedError(Exception):
    """The server refused the test; the message says why."""


@dataclass
class Results:
    """What all simulated users measured. Times in seconds."""

    sent: int = 0
    answered: int = 0
    characters: int = 0
    dropped: int = 0  # answers with missing, repeated or misplaced text
    unanswered: int = 0  # answers without an end within `ANSWER_SECONDS`, or lost with a socket
    first_words: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)  # by code, with those of failed answers
    closes: Counter[int] = field(default_factory=Counter)  # by code, of sockets that the server closed

    def report(self, seconds: float) -> dict[str, Any]:
        """The results as JSON values: times in milliseconds, as 50th and 99th percentiles."""
        return {
            "seconds": round(seconds, 1),
            "sent": self.sent,
            "answered": self.answered,
            "characters_per_second": round(self.characters / seconds, 1) if seconds else 0.0,
            "first_words_ms": _percentiles(self.first_words),
            "gap_ms": _percentiles(self.gaps),
            "answer_ms": _percentiles(self.lengths),
            "dropped": self.dropped,
            "unanswered": self.unanswered,
            "errors": dict(sorted(self.errors.items())),
            "closes": {str(code): count for code, count in sorted(self.closes.items())},
        }


def _percentiles(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1)
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }


class Account:
    """A logged-in HTTP session, from which sockets are opened."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.http = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0)
        )

    async def submit_form(self, path: str, fields: dict[str, str], what: str) -> None:
        """Submits a form of the account pages, which logs in. `what` names it in errors. Raises `RefusedError`."""
        async with self.http.get(self.url + path) as page:
            text = await page.text()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', text)
        if page.status != 200 or token is None:
            raise RefusedError(f"{what} is not possible here ({self.url}{path} answers {page.status}).")
        form = {**fields, "csrfmiddlewaretoken": token[1]}
        async with self.http.post(self.url + path, data=form, headers=self._headers(), allow_redirects=False) as answer:
            if answer.status != 302:
                raise RefusedError(f"{what} was refused ({answer.status}).")

    def _headers(self) -> dict[str, str]:
        cookies = self.http.cookie_jar.filter_cookies(URL(self.url))
        token = next((cookie.value for name, cookie in cookies.items() if name.endswith("csrftoken")), "")
        return {"X-CSRFToken": token, "Origin": self.url, "Referer": f"{self.url}/"}

    async def open(self) -> aiohttp.ClientWebSocketResponse:
        """Opens a socket. Raises `RefusedError`."""
        async with self.http.post(f"{self.url}/ws/ticket/", headers=self._headers()) as answer:
            if answer.status != 200:
                raise RefusedError(f"A ticket was refused ({answer.status}).")
            ticket = (await answer.json())["ticket"]
        try:
            return await self.http.ws_connect(
                f"{self.url.replace('http', 'ws', 1)}/ws/",
                protocols=(PROTOCOL, f"ticket.{ticket}"),
                origin=self.url,
                max_msg_size=0,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise RefusedError(f"A socket was refused ({error.status}).") from None


@dataclass
class PendingAnswer:
    """A message that was sent, and what has arrived of its answer."""

    sent: float
    characters: int = 0
    last: float = 0.0
    broken: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class SimulatedUser:
    """One socket. Sends one message at a time, each in a new conversation."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, results: Results) -> None:
        self.socket = socket
        self.results = results
        self.answer: PendingAnswer | None = None
        self.run_id = ""
        self._events: Counter[str] = Counter()
        self._reader = asyncio.create_task(self._read())

    @property
    def free(self) -> bool:
        """Whether it can send a message: its socket is open and no answer is pending."""
        return self.answer is None and self.connected

    @property
    def connected(self) -> bool:
        """Whether the server has not closed the socket."""
        return not self._reader.done()

    async def send_message(self, text: str, model: str) -> None:
        """Sends a message and waits for the end of its answer."""
        answer = self.answer = PendingAnswer(time.monotonic())
        self.run_id = ""
        self.results.sent += 1
        command: dict[str, Any] = {
            "type": "message.send",
            "ref": "send",
            "conversation_id": None,
            "client_id": str(uuid.uuid4()),
            "text": text,
        }
        if model:
            command["model"] = model
        try:
            await self._send(command)
            async with asyncio.timeout(ANSWER_SECONDS):
                await answer.ended.wait()
        except TimeoutError:
            self.results.unanswered += 1
        finally:
            self.answer = None

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(5):
                await self.socket.close()

    async def _send(self, frame: dict[str, Any]) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self.socket.send_str(json.dumps(frame))

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            await self._handle(json.loads(message.data), time.monotonic())
        self.results.closes[self.socket.close_code or 1006] += 1
        if self.answer is not None:
            self.results.unanswered += 1
            self.answer.ended.set()

    async def _handle(self, frame: dict[str, Any], now: float) -> None:
        kind, answer = frame["type"], self.answer
        if kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "error":
            self.results.errors[frame["code"]] += 1
            if answer is not None and frame.get("ref") == "send":
                answer.ended.set()
        elif kind == "message.accepted":
            self.run_id = frame["run_id"]
        elif answer is not None and frame.get("run_id") == self.run_id:
            if kind == "run.delta":
                self._add_text(answer, frame, now)
            elif kind in TERMINAL:
                self._end(answer, frame, now)
        if "seq" in frame:
            await self._acknowledge(frame, at_once=kind in TERMINAL)

    def _add_text(self, answer: PendingAnswer, frame: dict[str, Any], now: float) -> None:
        if answer.last:
            self.results.gaps.append(now - answer.last)
        else:
            self.results.first_words.append(now - answer.sent)
        answer.last = now
        answer.broken = answer.broken or frame["index"] != answer.characters
        answer.characters += len(frame["text"])

    def _end(self, answer: PendingAnswer, frame: dict[str, Any], now: float) -> None:
        self.results.characters += answer.characters
        if answer.broken or frame["text_length"] != answer.characters:
            self.results.dropped += 1
        if frame["type"] == "run.done":
            self.results.answered += 1
            self.results.lengths.append(now - answer.sent)
        else:
            self.results.errors[frame.get("code") or frame["type"]] += 1
        answer.ended.set()

    async def _acknowledge(self, frame: dict[str, Any], *, at_once: bool) -> None:
        conversation = frame["conversation_id"]
        self._events[conversation] += 1
        if at_once or self._events[conversation] % ACK_EVERY == 0:
            await self._send({"type": "ack", "conversation_id": conversation, "seq": frame["seq"]})
