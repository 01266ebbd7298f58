"""Renders answers in child processes, with a hard deadline: whatever a text does, it costs others nothing for long.

A process renders one text after the other. One that misses the deadline, or dies at its limit of memory or CPU time, is
killed and replaced, and its text is shown without formatting. Nothing here runs on an event loop: a thread waits.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import os
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import structlog

from chat.markdown.child import LENGTH
from chat.markdown.plain import plain_with_note

RENDER_SECONDS: Final = 3.0  # for one text; an answer of the greatest length takes about one
CPU_SECONDS: Final = 3.0  # of one text; the kernel counts whole seconds
MEMORY_BYTES: Final = 512 * 1024 * 1024  # address space of a process
START_SECONDS: Final = 20.0
PROCESSES: Final = 2  # of one worker process
WAIT_SECONDS: Final = 5.0  # how long the end of an answer waits for its HTML, with those before it
NICE: Final = 5  # streams of tokens go first
NICE_IN_BACKGROUND: Final = 15  # and answers that somebody waits for
MAX_TEXT_CHARS: Final = 1_000_000  # longer ones are not even sent to the process
MAX_HTML_BYTES: Final = 32 * 1024 * 1024

BASE_DIR: Final = Path(__file__).resolve().parents[2]
# What an interpreter needs to start; nothing of the site's own settings, which hold secrets.
KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")

logger = structlog.get_logger(__name__)


class RenderingUnavailableError(Exception):
    """No process could be started. The text has no HTML for now; `workers.runtime.rendering` tries again."""


class RenderProcess:
    """One child process, started at its first text. For one thread at a time."""

    def __init__(self, seconds: float = RENDER_SECONDS, memory_bytes: int = MEMORY_BYTES, niceness: int = NICE) -> None:
        self._seconds = seconds
        self._arguments = [f"{CPU_SECONDS:g}", str(memory_bytes), str(niceness)]
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def render(self, text: str) -> str:
        """The HTML of `text`. Blocks for `seconds` at most, and while the process starts. A process that fails is
        killed, and the text is then without formatting. Raises `RenderingUnavailableError`.
        """
        self.start()
        deadline = time.monotonic() + self._seconds
        try:
            data = text.encode("utf-8", "replace")
            self._send(LENGTH.pack(len(data)) + data, deadline)
            return self._receive(deadline).decode()
        except TimeoutError:
            logger.warning("rendering_killed", length=len(text), seconds=self._seconds)
        except OSError as error:
            logger.warning("rendering_process_lost", length=len(text), error=type(error).__name__)
        self.close()
        return plain_with_note(text)

    def start(self) -> None:
        """Starts the process, unless it runs. Raises `RenderingUnavailableError`."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                self._socket = ours
                self._process = subprocess.Popen(
                    [sys.executable, "-s", "-m", "chat.markdown.child", *self._arguments],
                    stdin=theirs.fileno(),
                    cwd=BASE_DIR,
                    env={name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
                )
            self._receive(time.monotonic() + START_SECONDS)
        except OSError as error:
            self.close()
            raise RenderingUnavailableError(type(error).__name__) from error

    def close(self) -> None:
        """Kills the process, if there is one. The next text starts another."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None

    def _send(self, data: bytes, deadline: float) -> None:
        assert self._socket is not None
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        self._socket.sendall(data)

    def _receive(self, deadline: float) -> bytes:
        """One message. Raises `TimeoutError` at the deadline, another `OSError` if the process is gone."""
        [size] = LENGTH.unpack(self._read(LENGTH.size, deadline))
        if size > MAX_HTML_BYTES:
            raise ConnectionError("more than any answer has")
        return self._read(size, deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._socket is not None
        data = bytearray()
        while len(data) < size:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = self._socket.recv(min(size - len(data), 1 << 20))
            if not piece:
                raise ConnectionError("the process ended")
            data += piece
        return bytes(data)


class RenderPool:
    """Some processes, and as many threads that wait for them."""

    def __init__(self, processes: int = PROCESSES, *, seconds: float = RENDER_SECONDS, niceness: int = NICE) -> None:
        self.processes = [RenderProcess(seconds, niceness=niceness) for _ in range(processes)]
        self._free: queue.LifoQueue[RenderProcess] = queue.LifoQueue()
        for process in self.processes:
            self._free.put(process)
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="render")

    def render(self, text: str) -> str:
        """The HTML of `text`, '' for an empty one. Blocks this thread. Raises `RenderingUnavailableError`."""
        if not text or len(text) > MAX_TEXT_CHARS:
            return plain_with_note(text)
        with self._take() as process:
            return process.render(text)

    async def render_soon(self, text: str) -> str:
        """The HTML of `text`, or '' if there is none within `WAIT_SECONDS`: then it is made later, in the background.

        Other tasks of the loop go on meanwhile.
        """
        future = asyncio.get_running_loop().run_in_executor(self._threads, self.render, text)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await future
        except TimeoutError:
            logger.warning("rendering_postponed", length=len(text))
        except RenderingUnavailableError as error:
            logger.error("rendering_unavailable", error=str(error))
        return ""

    def start(self) -> None:
        """Starts a process in the background, so that the first answer does not wait for it."""
        self._threads.submit(self._start_one)

    def end_process(self) -> None:
        """Ends a process that is free, in the background. The next text starts it again."""
        self._threads.submit(self._end_one)

    def _end_one(self) -> None:
        with self._take() as process:
            process.close()

    def close(self) -> None:
        """Ends the processes. Texts that are waiting are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self.processes:
            process.close()

    def _start_one(self) -> None:
        with self._take() as process:
            try:
                process.start()
            except RenderingUnavailableError as error:
                logger.error("rendering_unavailable", error=str(error))

    @contextlib.contextmanager
    def _take(self) -> Iterator[RenderProcess]:
        process = self._free.get()
        try:
            yield process
        finally:
            self._free.put(process)


@functools.cache
def shared_pool() -> RenderPool:
    """This process's pool for answers that somebody waits for, made at the first call."""
    pool = RenderPool()
    atexit.register(pool.close)
    return pool


@functools.cache
def background_pool() -> RenderPool:
    """One process for the answers that nobody waits for, as of an import. It gets what CPU time the others leave."""
    pool = RenderPool(1, niceness=NICE_IN_BACKGROUND)
    atexit.register(pool.close)
    return pool
