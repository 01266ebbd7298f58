"""People who talk to a running server, for `manage.py loadtest`: sockets that log in, send, and time what comes.

They know the server as a page does, by docs/protocol.md, and nothing else of it. What is timed is what a person sees:
from the message's frame to the first words, and between two pieces of text.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from yarl import URL

PROTOCOL: Final = "chat.v1"
TERMINAL: Final = frozenset({"run.done", "run.stopped", "run.failed", "run.interrupted"})
ACK_EVERY: Final = 16
ANSWER_SECONDS: Final = 120.0  # an answer that has not ended by then is lost
SOCKETS_PER_ACCOUNT: Final = 10  # of the accounts that are made: a user may have 20
ACCOUNTS: Final = 15  # are made at the most: the server lets one address make 20 a minute
CONNECT_SECONDS: Final = 30.0


class RefusedError(Exception):
    """The server does not let us in; says why in a sentence."""


@dataclass
class Seen:
    """What all people saw. Times in seconds."""

    sent: int = 0
    answered: int = 0
    characters: int = 0
    dropped: int = 0  # answers of which text is missing, doubled or out of place
    unanswered: int = 0  # no end within `ANSWER_SECONDS`, or lost with a socket
    first_words: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)  # by code; also of answers that failed
    closes: Counter[int] = field(default_factory=Counter)  # by code, of sockets that the server closed

    def report(self, seconds: float) -> dict[str, Any]:
        """As JSON: times in milliseconds, the 50th and the 99th of 100."""
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
    """A browser session, from which sockets are opened."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.http = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0)
        )

    async def enter(self, path: str, fields: dict[str, str], what: str) -> None:
        """Fills in a form of the account pages. Raises `RefusedError`."""
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
        """A socket. Raises `RefusedError`."""
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
class _Answer:
    """One message on its way."""

    sent: float
    characters: int = 0
    last: float = 0.0
    broken: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Person:
    """One socket; says one thing at a time, each in a conversation of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, seen: Seen) -> None:
        self.socket = socket
        self.seen = seen
        self.answer: _Answer | None = None
        self.run_id = ""
        self._events: Counter[str] = Counter()
        self._reader = asyncio.create_task(self._read())

    @property
    def free(self) -> bool:
        return self.answer is None and not self._reader.done()

    async def say(self, text: str, model: str) -> None:
        """Sends a message and waits for the end of its answer."""
        answer = self.answer = _Answer(time.monotonic())
        self.run_id = ""
        self.seen.sent += 1
        command: dict[str, Any] = {
            "type": "message.send", "ref": "say", "conversation_id": None, "client_id": str(uuid.uuid4()), "text": text,
        }  # fmt: skip
        if model:
            command["model"] = model
        try:
            await self._send(command)
            async with asyncio.timeout(ANSWER_SECONDS):
                await answer.ended.wait()
        except TimeoutError:
            self.seen.unanswered += 1
        finally:
            self.answer = None

    async def leave(self) -> None:
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
        self.seen.closes[self.socket.close_code or 1006] += 1
        if self.answer is not None:
            self.seen.unanswered += 1
            self.answer.ended.set()

    async def _handle(self, frame: dict[str, Any], now: float) -> None:
        kind, answer = frame["type"], self.answer
        if kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "error":
            self.seen.errors[frame["code"]] += 1
            if answer is not None and frame.get("ref") == "say":
                answer.ended.set()
        elif kind == "message.accepted":
            self.run_id = frame["run_id"]
        elif answer is not None and frame.get("run_id") == self.run_id:
            if kind == "run.delta":
                self._take(answer, frame, now)
            elif kind in TERMINAL:
                self._end(answer, frame, now)
        if "seq" in frame:
            await self._acknowledge(frame, at_once=kind in TERMINAL)

    def _take(self, answer: _Answer, frame: dict[str, Any], now: float) -> None:
        if answer.last:
            self.seen.gaps.append(now - answer.last)
        else:
            self.seen.first_words.append(now - answer.sent)
        answer.last = now
        answer.broken = answer.broken or frame["index"] != answer.characters
        answer.characters += len(frame["text"])

    def _end(self, answer: _Answer, frame: dict[str, Any], now: float) -> None:
        self.seen.characters += answer.characters
        if answer.broken or frame["text_length"] != answer.characters:
            self.seen.dropped += 1
        if frame["type"] == "run.done":
            self.seen.answered += 1
            self.seen.lengths.append(now - answer.sent)
        else:
            self.seen.errors[frame.get("code") or frame["type"]] += 1
        answer.ended.set()

    async def _acknowledge(self, frame: dict[str, Any], *, at_once: bool) -> None:
        conversation = frame["conversation_id"]
        self._events[conversation] += 1
        if at_once or self._events[conversation] % ACK_EVERY == 0:
            await self._send({"type": "ack", "conversation_id": conversation, "seq": frame["seq"]})


@dataclass(frozen=True)
class Plan:
    """`users` sockets, `rate` messages a second from all of them together, for `seconds`."""

    url: str
    users: int
    rate: float
    seconds: float
    text: str
    model: str = ""
    email: str = ""
    password: str = ""


async def run(plan: Plan, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Carries it out; `Seen.report`, with the accounts that were made. Raises `RefusedError`. `say` takes progress."""
    seen = Seen()
    accounts: list[Account] = []
    people: list[Person] = []
    made: list[str] = []
    talking: set[asyncio.Task[None]] = set()
    try:
        try:
            made = await _let_in(plan, accounts)
            for number in range(plan.users):
                async with asyncio.timeout(CONNECT_SECONDS):
                    people.append(Person(await accounts[number % len(accounts)].open(), seen))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RefusedError(f"{plan.url} cannot be reached ({type(error).__name__}).") from None
        say(f"{len(people)} sockets of {len(accounts)} accounts are open.")
        began = time.monotonic()
        await _talk(plan, people, seen, talking, say)
        if talking:
            await asyncio.wait(talking, timeout=ANSWER_SECONDS)
        return {"users": plan.users, "rate": plan.rate, **seen.report(time.monotonic() - began), "accounts": made}
    finally:
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        await asyncio.gather(*(person.leave() for person in people))
        await asyncio.gather(*(account.http.close() for account in accounts))


async def _let_in(plan: Plan, accounts: list[Account]) -> list[str]:
    """Logs in, or makes accounts for this test; their addresses."""
    if plan.email:
        accounts.append(Account(plan.url))
        await accounts[0].enter("/accounts/login/", {"login": plan.email, "password": plan.password}, "Logging in")
        return []
    made: list[str] = []
    name, password = secrets.token_hex(4), secrets.token_urlsafe(24)
    for number in range(min(ACCOUNTS, -(-plan.users // SOCKETS_PER_ACCOUNT))):
        accounts.append(Account(plan.url))
        email = f"loadtest-{name}-{number}@example.org"
        await accounts[-1].enter("/accounts/signup/", {"email": email, "password1": password}, "Signing up")
        made.append(email)
    return made


async def _talk(
    plan: Plan, people: list[Person], seen: Seen, talking: set[asyncio.Task[None]], say: Callable[[str], None]
) -> None:
    """Messages at even distances, each from somebody who is free; where nobody is, it waits and comes late."""
    loop = asyncio.get_running_loop()
    began = told = loop.time()
    due = 0
    while (now := loop.time()) - began < plan.seconds:
        while due < (now - began) * plan.rate and (free := [person for person in people if person.free]):
            due += 1
            task = asyncio.create_task(random.choice(free).say(plan.text, plan.model))
            talking.add(task)
            task.add_done_callback(talking.discard)
            await asyncio.sleep(0)  # so that it is no longer free
        if now - told >= 5:
            told = now
            say(f"{now - began:4.0f} s: {seen.sent} sent, {seen.answered} answered, {sum(seen.errors.values())} errors")
        if not any(not person._reader.done() for person in people):  # noqa: SLF001 -- of this module
            return
        await asyncio.sleep(min(0.02, 1 / plan.rate))
