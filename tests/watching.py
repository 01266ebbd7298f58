"""A client of live shares for tests: reads server-sent events and keeps a view of what a reader sees.

The view is made from what docs/protocol.md §6 promises and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import aiohttp

from tests.client_view import DELTAS, TERMINAL, ProtocolViolationError


class Watcher:
    """One stream after another of one share; `last` is the id from which the next one resumes."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url  # of the stream
        self.last = ""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []  # `type`, `id`, and the fields of the data
        self.times: list[float] = []
        self.comments = 0
        self.title = ""
        self.messages: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}  # attempt, text, reasoning, ended by run id
        self.snapshots = 0
        self.ended = ""  # the reason of the event `end`
        self._task: asyncio.Task[None] | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._changed = asyncio.Condition()

    async def open(self, *, at: str | None = None, last: str | None = None) -> Watcher:
        """Connects; returns when the headers are there. `at`: another web process; `last`: instead of its own id."""
        url = self.url if at is None else at + self.url[self.url.index("/s/") :]
        resume = self.last if last is None else last
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": resume} if resume else {})}
        if self._response is not None:
            self._response.close()
        self._response = await self.http.get(url, headers=headers)
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.headers.items()}
        if self.status == 200:
            self._task = asyncio.create_task(self._read(self._response))
        else:
            self._response.close()
        return self

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            while line := await response.content.readline():
                text = line.decode().rstrip("\n")
                if text.startswith(":"):
                    self.comments += 1
                elif text:
                    name, _, value = text.partition(": ")
                    fields[name] = value
                elif fields:
                    if "data" in fields:
                        self._handle(fields)
                    fields = {}
                async with self._changed:
                    self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    def _handle(self, fields: dict[str, str]) -> None:
        data = json.loads(fields["data"])
        event = {**data, "id": fields.get("id", "")}
        self.events.append(event)
        self.times.append(time.monotonic())
        if event["id"]:
            self._check_order(event)
            self.last = event["id"]
        if (fields.get("event") or "message") != {"snapshot": "snapshot", "end": "end"}.get(data["type"], "message"):
            raise ProtocolViolationError(f"an event named {fields.get('event')!r}: {data}")
        self._apply(event)

    def _check_order(self, event: dict[str, Any]) -> None:
        if event["type"] == "snapshot" or not self.last:
            return
        (old, before), (new, now) = (one.rsplit(".", 1) for one in (self.last, event["id"]))
        if old == new and int(now) <= int(before):
            raise ProtocolViolationError(f"{event['id']} after {self.last}: {event}")
        if old != new:
            raise ProtocolViolationError(f"another epoch without a snapshot: {event['id']} after {self.last}")

    def _apply(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "snapshot":
            self.snapshots += 1
            self.title, self.runs = event["title"], {}
            self.messages = {message["id"]: message for message in event["messages"]}
            for message in event["messages"]:
                self._note_run(message)
        elif kind == "end":
            self.ended = event["reason"]
        elif kind == "conversation.updated":
            self.title = event["title"]
        elif kind in ("message.created", "message.updated"):
            self.messages[event["message"]["id"]] = event["message"]
            if event["message"].get("run") and event["message"]["run"]["run_id"] not in self.runs:
                self._note_run(event["message"])
        elif kind.startswith("run."):
            self._apply_run(event)

    def _note_run(self, message: dict[str, Any]) -> None:
        run = message.get("run")
        if run:
            ended = None if run["status"] in ("queued", "running", "waiting") else f"run.{run['status']}"
            self.runs[run["run_id"]] = {
                "attempt": run["attempt"],
                "text": message["text"],
                "base": message["text"][: run.get("base_length", 0)],
                "reasoning": (run.get("reasoning") or {}).get("text", ""),
                "ended": ended,
            }

    def _apply_run(self, event: dict[str, Any]) -> None:
        fresh = {"attempt": 0, "text": "", "base": "", "reasoning": "", "ended": None}
        run = self.runs.setdefault(event["run_id"], fresh)
        if event["attempt"] < run["attempt"]:
            return
        if event["attempt"] > run["attempt"]:
            kept = event.get("kept", {})
            text = run["text"][: kept["text"]] if kept else run["base"]
            reasoning = run["reasoning"][: kept.get("reasoning", 0)]
            run.update(attempt=event["attempt"], text=text, reasoning=reasoning, ended=None)
        if event["type"] in DELTAS:
            kind = DELTAS[event["type"]]
            if event["index"] != len(run[kind]):
                raise ProtocolViolationError(f"{kind} at {event['index']}, but {len(run[kind])} characters are there")
            run[kind] += event["text"]
        elif event["type"] in TERMINAL:
            if event.get("next_attempt") and "kept" in event:
                run["text"] = run["text"][: event["text_length"]]
            if event["text_length"] != len(run["text"]):
                raise ProtocolViolationError(f"{event['type']} says {event['text_length']}, not {len(run['text'])}")
            run["ended"] = None if event.get("next_attempt") else event["type"]

    async def until(self, condition: Callable[[], Any], what: str = "", seconds: float = 20) -> Any:
        """Waits until `condition()` is truthy, looking after each line; its value."""
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    while not (value := condition()):
                        if self._task is None or self._task.done():
                            if self._task is not None:
                                self._task.result()
                            if value := condition():
                                return value
                            raise ConnectionError(f"{self.status}: the stream has ended while waiting for {what}")
                        await self._changed.wait()
            except TimeoutError:
                tail = "\n".join(str(event)[:300] for event in self.events[-8:])
                raise TimeoutError(f"no {what or 'such state'} within {seconds} s; last events:\n{tail}") from None
            return value

    async def sees_end_of(self, run_id: str, seconds: float = 30) -> dict[str, Any]:
        """Waits for a run's end; the run."""

        def find() -> dict[str, Any] | None:
            run = self.runs.get(run_id)
            return run if run and run["ended"] else None

        found: dict[str, Any] = await self.until(find, f"the end of {run_id}", seconds)
        return found

    async def closed(self, seconds: float = 20) -> None:
        """Waits until the server has ended the stream."""
        assert self._task is not None
        async with asyncio.timeout(seconds):
            await asyncio.wait({self._task})
        self._task.result()

    @property
    def is_open(self) -> bool:
        return self._task is not None and not self._task.done()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._response is not None:
            self._response.close()

    async def keep_open(self, *, at: Callable[[], str], stop: asyncio.Event) -> None:
        """Connects again whenever the stream breaks, as a browser does, until `stop` or an event `end`."""
        while not stop.is_set() and not self.ended:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                if self.is_open:
                    assert self._task is not None
                    await asyncio.wait({self._task, asyncio.ensure_future(stop.wait())}, return_when="FIRST_COMPLETED")
                    if self._task.done():
                        self._task.result()
                    continue
                await self.open(at=at())
                if self.status == 404:
                    return
            if not self.is_open:
                await asyncio.sleep(0.3)


@contextlib.asynccontextmanager
async def watcher(url: str, *, http: aiohttp.ClientSession | None = None) -> AsyncGenerator[Watcher, None]:
    """A reader of the share at this address (of its page), without an account unless `http` has one."""
    async with contextlib.AsyncExitStack() as stack:
        if http is None:
            timeout = aiohttp.ClientTimeout(total=None, connect=20)
            connector = aiohttp.TCPConnector(limit=0)
            http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, connector=connector))
        one = Watcher(http, url + "/events")
        try:
            yield one
        finally:
            await one.close()
