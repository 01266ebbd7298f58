"""Runs the process of a recogniser on this machine: starts it, asks it for decoders, restarts it.

The process is a module with two arguments, the file descriptor of its control socket and its options as JSON. Control
socket (datagrams kept apart by their fixed size): out READY once the model is loaded; in one byte with a socket, which
is a decoder's from then on; out the id of the process that serves it. The end of the control socket ends the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

import structlog

from workers.asr.backends.decoder_protocol import PID, READY
from workers.asr.base import unavailable

LOAD_SECONDS: Final = 20.0
DECODER_SECONDS: Final = 5.0  # until a decoder is there
RETRY_SECONDS: Final = (0.2, 30.0)  # between starts, doubling
STEADY_SECONDS: Final = 60.0  # a process that has run so long is restarted without a delay

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder's socket and process id."""

    connection: socket.socket
    pid: int


class DecoderPool:
    """One process that has loaded a model, and the decoders that it serves. Belongs to one event loop.

    `name`: of the recogniser, in log events and errors; `module`: of the process; `options`: for it.
    """

    def __init__(self, name: str, module: str, **options: str) -> None:
        self._name = name
        self._module = module
        self._options = json.dumps(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = asyncio.Event()
        self._asked: deque[asyncio.Future[int]] = deque()
        self._keeper: asyncio.Task[None] | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Loads the model unless it is loaded. Raises `AsrError` after LOAD_SECONDS."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            raise unavailable(f"the process of {self._name} did not start") from None

    async def open(self) -> Decoder:
        """A decoder for one recording. Raises `AsrError`."""
        for _ in range(2):  # the process may have ended meanwhile
            await self.start()
            try:
                return await self._ask()
            except (OSError, TimeoutError):
                self.restart()  # a hung process as well
        raise unavailable(f"the process of {self._name} does not answer")

    def restart(self) -> None:
        """Ends the process, with all its decoders; another one is started."""
        self._ready.clear()
        if self._process is not None:
            self._process.kill()

    async def _ask(self) -> Decoder:
        if self._control is None:
            raise ConnectionError("the process ended")
        ours, theirs = socket.socketpair()
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            with theirs:
                socket.send_fds(self._control, [b"F"], [theirs.fileno()])
            self._asked.append(answer)
            async with asyncio.timeout(DECODER_SECONDS):
                pid = await answer
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        return Decoder(ours, pid)

    async def _keep(self) -> None:
        delay = RETRY_SECONDS[0]
        while True:
            began = time.monotonic()
            try:
                await self._run()
            except OSError as error:
                logger.warning("recogniser_process_lost", backend=self._name, error=type(error).__name__)
            finally:
                self._clean_up()
            if time.monotonic() - began > STEADY_SECONDS:
                delay = RETRY_SECONDS[0]
            logger.warning("recogniser_process_restart_scheduled", backend=self._name, seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_SECONDS[1])

    async def _run(self) -> None:
        """Starts the process and reads its messages until it ends."""
        ours, theirs = socket.socketpair()
        with theirs:
            # Popen returns when the child has called exec: a few milliseconds, once per life of the process.
            self._process = subprocess.Popen(  # noqa: ASYNC220
                [sys.executable, "-m", self._module, str(theirs.fileno()), self._options],
                stdin=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=(theirs.fileno(),),
            )
        self.starts += 1
        ours.setblocking(False)
        self._control = ours
        loop = asyncio.get_running_loop()
        buffer = b""
        while data := await loop.sock_recv(ours, 256):
            buffer += data
            while len(buffer) >= PID.size:
                message, buffer = buffer[: PID.size], buffer[PID.size :]
                if message == READY:
                    self._ready.set()
                elif self._asked:
                    asked = self._asked.popleft()
                    if not asked.done():
                        asked.set_result(PID.unpack(message)[0])

    def _clean_up(self) -> None:
        self._ready.clear()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None
        while self._asked:
            asked = self._asked.popleft()
            if not asked.done():
                asked.set_exception(ConnectionError("the process ended"))

    async def aclose(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None


def _environment() -> dict[str, str]:
    """This process's environment without its secrets: the decoder needs none."""
    words = ("KEY", "PASSWORD", "TOKEN", "_URL")
    return {name: value for name, value in os.environ.items() if not any(word in name for word in words)}
