"""Plays one script onto one connection, token by token, at the script's pace."""

from __future__ import annotations

import asyncio
import functools
import heapq
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from tests.fakes.openai_scripts import (
    Script,
    call_events,
    closing_events,
    error_event,
    garbage_event,
    reasoning_event,
    role_event,
    token_count,
    token_event,
)

HEADERS: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
TICK: Final = 0.004  # seconds; how exactly tokens keep their time (half of it costs 10 µs more a token)
PAUSE: Final = 0.01  # seconds between looks at a client that does not read


class Wheel:
    """One loop timer for any number of callbacks, in slots of `TICK`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Callable[[float], None]]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float, callback: Callable[[float], None]) -> None:
        """Calls back with the time at `when` (of `time.monotonic`), up to `TICK` later."""
        slot = int(when / TICK) + 1
        callbacks = self._slots.get(slot)
        if callbacks is not None:
            callbacks.append(callback)
            return
        self._slots[slot] = [callback]
        heapq.heappush(self._order, slot)
        if self._order[0] == slot:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Not `call_at`: uvloop's clock counts whole milliseconds.
        self._timer = self._loop.call_later(max(0.0, self._order[0] * TICK - time.monotonic()), self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._order and self._order[0] * TICK <= now:
            for callback in self._slots.pop(heapq.heappop(self._order)):
                callback(now)
        if self._order and self._timer is None:
            self._arm()


def frame(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@functools.lru_cache(maxsize=64)
def _reel(script: Script) -> list[bytes]:
    """The framed bytes of each write, in order: encoded once, played by any number of streams."""
    writes = [reasoning_event(script, index) for index in range(script.reasoning)]
    for index in range(token_count(script)):
        if index == script.garbage:
            writes.append(garbage_event(script))
        writes.append(token_event(script, index))
    writes += call_events(script)
    if not writes:
        return []
    writes[0] = role_event(script) + writes[0]
    return [frame(data) for data in writes]


@functools.lru_cache(maxsize=64)
def _split_reel(script: Script, *, usage: bool) -> list[bytes]:
    """The whole body in writes of `split` bytes, cutting through lines and characters."""
    if script.body == "raw":
        body = script.text.encode()
    else:
        events = [reasoning_event(script, index) for index in range(script.reasoning)]
        events += [token_event(script, index) for index in range(token_count(script))]
        events += call_events(script)
        body = role_event(script) + b"".join(events) + _closing(script, usage=usage)
    return [frame(body[start : start + script.split]) for start in range(0, len(body), script.split)]


@functools.lru_cache(maxsize=64)
def _closing(script: Script, *, usage: bool) -> bytes:
    return closing_events(script if usage else replace(script, usage=False))


class Playback:
    """One answer under way."""

    def __init__(self, connection: Any, request: Any, script: Script, wheel: Wheel, *, usage: bool) -> None:
        self.connection = connection
        self.request = request
        self.script = script
        self.wheel = wheel
        self.usage = usage
        self.writes = _split_reel(script, usage=usage) if script.split else _reel(script)
        self.plain = not script.stamp
        self.next = 0
        self.interval = script.drip if script.split else 1 / script.rate if script.rate else 0.0
        self.stop_at, self.fault = self._first_fault()
        self.due = 0.0

    def _first_fault(self) -> tuple[int, str]:
        faults = [(getattr(self.script, name), name) for name in ("hang", "cut", "reset", "error")]
        found = [fault for fault in faults if fault[0] >= 0]
        at, name = min(found, default=(len(self.writes), ""))
        return min(at, len(self.writes)), name

    def start(self) -> None:
        self.connection.transport.write(HEADERS.replace(b"200 OK", b"%d OK" % self.script.status))
        if self.script.body == "raw" and not self.script.split:
            if self.script.text:
                self.connection.transport.write(frame(self.script.text.encode()))
            self._close_body()
            return
        self.due = time.monotonic() + self.script.first_delay
        if self.script.first_delay:
            self.wheel.at(self.due, self.step)
        else:
            self.step(self.due)

    def step(self, now: float) -> None:
        """Writes what is due, and comes back when the next is."""
        connection = self.connection
        if connection.request is not self.request:  # the client left
            return
        if connection.paused:
            self.wheel.at(now + PAUSE, self.step)
            return
        start = self.next
        end = self.stop_at
        if self.interval:
            late = now - self.due
            end = min(end, start + 1 + (int(late / self.interval) if late > self.interval else 0))
        if end > start:
            connection.transport.write(
                self.writes[start] if self.plain and end == start + 1 else self._join(start, end, now)
            )
            self.request.tokens_sent = self.next = end
            self.due += (end - start) * self.interval
        if end < self.stop_at:
            self.wheel.at(self.due, self.step)
        elif self.fault:
            self._fail()
        else:
            self._finish()

    def _join(self, start: int, end: int, now: float) -> bytes:
        if not self.script.stamp:
            return b"".join(self.writes[start:end])
        sent = int(now * 1e6)
        return b"".join(frame(token_event(self.script, index, sent)) for index in range(start, end))

    def _finish(self) -> None:
        if not self.script.split:
            closing = _closing(self.script, usage=self.usage)
            if closing:
                self.connection.transport.write(frame(closing))
        if self.script.linger:
            self.wheel.at(time.monotonic() + self.script.linger, lambda _: self._close_body())
        else:
            self._close_body()

    def _close_body(self) -> None:
        if self.connection.request is not self.request:
            return
        self.connection.transport.write(LAST_CHUNK)
        self.connection.finish()

    def _fail(self) -> None:
        transport = self.connection.transport
        if self.fault == "cut":
            self.connection.finish()
            transport.close()
        elif self.fault == "reset":
            self.wheel.at(time.monotonic() + PAUSE, self._reset)  # a reset overtakes bytes that were not read yet
        elif self.fault == "error":
            transport.write(frame(error_event(self.script, self.request.headers.get("authorization", ""))))
            self._close_body()

    def _reset(self, _: float) -> None:
        transport = self.connection.transport
        self.connection.finish()
        # Closing a socket whose linger time is zero sends RST.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
