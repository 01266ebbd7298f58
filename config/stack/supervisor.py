"""Starts, restarts and stops child processes, and prefixes their output with their names.

A child that ends is started again. So is one that hangs: each sends a byte a second (`accounts.lib.watchdog`), and one
that has started to and then sends nothing for `stuck_seconds` is killed. Only time during which this process was awake
counts, so a paused machine or process group is not mistaken for a hang.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from accounts.lib.watchdog import READY, VARIABLE
from config.stack import leash

FIRST_WAIT = 0.5  # seconds before a child that ended is started again ...
LONGEST_WAIT = 30.0  # ... doubled each time, up to this
STEADY_SECONDS = 30.0  # after running this long, a child restarts with the first wait again
POLL_SECONDS = 0.1
LONGEST_LOOK = 1.0  # at most so many seconds of silence are counted between two checks
STACK_TRACE_SECONDS = 1.0  # for a stuck child to print its stack traces before it is killed
COLOURS = (36, 32, 33, 35, 34, 31)  # ANSI foregrounds, in turn

logger = structlog.get_logger(__name__)


class Child:
    """One process that should always run. `grace`: seconds from SIGTERM until it is killed.

    `env` is added to the supervisor's. `ready` is true from the moment the process announces it
    (`accounts.lib.watchdog`) until it ends.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        grace: float,
        pass_fds: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.command = command
        self.grace = grace
        self.pass_fds = pass_fds
        self.env = dict(env or {})
        self.ready = False
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.failures = 0
        self.due: float | None = None  # when to start it again
        self.pulse: int | None = None  # the pipe it writes heartbeats to
        self.begun = False  # it has written one
        self.silent = 0.0  # seconds since the last heartbeat
        self.kill_at: float | None = None  # when it is killed, because it is stuck


class Supervisor:
    """Call from one thread."""

    def __init__(self, env: Mapping[str, str], folder: Path, *, stuck_seconds: float = 30.0) -> None:
        self.env = env
        self.stuck_seconds = stuck_seconds
        self._looked = time.monotonic()
        self.folder = folder
        self.children: list[Child] = []
        self._printing = threading.Lock()
        self._terminal = sys.stdout.isatty()
        self._width = 8
        self.last_line = time.monotonic()  # when a child last wrote a line

    def add(self, child: Child) -> None:
        self.children.append(child)
        self._width = max(self._width, len(child.name))

    def start(self) -> None:
        for child in self.children:
            self._start(child)

    def look(self) -> None:
        """One round: restarts children that have ended, and kills those that are stuck."""
        now = time.monotonic()
        awake, self._looked = min(now - self._looked, LONGEST_LOOK), now
        for child in self.children:
            self._listen(child, now, awake)
            if child.process is not None and (code := child.process.poll()) is not None:
                leash.end(child.process)  # processes it may have left in its session
                child.process, child.ready = None, False
                child.failures = 0 if now - child.started > STEADY_SECONDS else child.failures
                wait = min(FIRST_WAIT * 2**child.failures, LONGEST_WAIT)
                child.failures += 1
                child.due = now + wait
                self.say("up", f"{child.name} ended ({describe_exit(code)}); restarting it in {wait:g} s")
            if child.due is not None and now >= child.due:
                self._start(child)

    def _listen(self, child: Child, now: float, awake: float) -> None:
        """Reads its heartbeats. A stuck child prints its stack traces and is killed."""
        if child.process is None or child.pulse is None:
            return
        try:
            signs = os.read(child.pulse, 65536)
        except BlockingIOError:
            signs = b""
        if signs:
            child.ready = child.ready or READY in signs
            child.begun, child.silent, child.kill_at = True, 0.0, None
            return
        child.silent += awake if child.begun else 0.0
        if child.kill_at is None and child.silent >= self.stuck_seconds:
            child.kill_at = now + STACK_TRACE_SECONDS
            said = f"{child.name} is stuck: no heartbeat for {self.stuck_seconds:g} s; killing it"
            self.say("up", said, level="error")
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGUSR2)
        elif child.kill_at is not None and now >= child.kill_at:
            child.kill_at = None
            leash.end(child.process, sig=signal.SIGKILL)

    def stop(self, is_urgent: Callable[[], bool]) -> None:
        """SIGTERM to all at once, then SIGKILL to each that outlives its grace, or to all as soon as `is_urgent`."""
        running = [child for child in self.children if child.process is not None]
        for child in running:
            child.due = None
            assert child.process is not None
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while running:
            late = time.monotonic() - began
            for child in running:
                assert child.process is not None
                ended = child.process.poll() is not None
                if ended or is_urgent() or late > child.grace:
                    leash.end(child.process, sig=signal.SIGKILL)
                    child.process = None
                    if not ended:
                        self.say("up", f"{child.name} was killed: it did not end within {late:.0f} s")
            running = [child for child in running if child.process is not None]
            time.sleep(POLL_SECONDS if running else 0)

    def write_block(self, text: str) -> None:
        """Prints several lines without a child's line between them."""
        with self._printing, contextlib.suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()

    def say(self, name: str, line: str, *, level: str = "info") -> None:
        """Prints a line of `up` itself: with its name in front on a terminal, as JSON otherwise."""
        if self._terminal:
            self.write(name, line)
        else:
            getattr(logger, level)(line, process=name)

    def write(self, name: str, line: str) -> None:
        """Prints a child's line unchanged; on a terminal with the child's coloured name in front."""
        if self._terminal:
            names = [child.name for child in self.children]
            colour = COLOURS[names.index(name) % len(COLOURS)] if name in names else 1
            line = f"\x1b[{colour}m{name.ljust(self._width)}\x1b[0m | {line}"
        with self._printing, contextlib.suppress(OSError):  # a reader that went away does not end the stack
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def _start(self, child: Child) -> None:
        child.due = None
        child.started = time.monotonic()
        if child.pulse is not None:
            os.close(child.pulse)
        child.pulse, theirs = os.pipe()
        child.ready, child.begun, child.silent, child.kill_at = False, False, 0.0, None
        os.set_blocking(child.pulse, False)
        os.set_blocking(theirs, False)
        try:
            child.process = leash.start(
                child.command,
                env={**self.env, **child.env, "ANTIPHON_PROCESS": child.name, VARIABLE: str(theirs)},
                cwd=self.folder,
                output=subprocess.PIPE,
                pass_fds=(*child.pass_fds, theirs),
            )
        finally:
            os.close(theirs)
        threading.Thread(target=self._speak, args=(child, child.process), daemon=True).start()

    def _speak(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self.last_line = time.monotonic()
                self.write(child.name, line.decode(errors="replace").rstrip())


def describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
