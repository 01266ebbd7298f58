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
STEADY_SECONDS = 30.0  # a child that ran this long starts over with the first wait
POLL_SECONDS = 0.1
LONGEST_LOOK = 1.0  # seconds of silence counted between two looks, however long it was
LAST_WORDS_SECONDS = 1.0  # a child that hangs says where, before it is killed
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
        self.pulse: int | None = None  # the pipe it gives its signs into
        self.begun = False  # it has given one
        self.silent = 0.0  # seconds since the last one
        self.condemned: float | None = None  # when it is killed, because it hangs


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
        self.last_line = time.monotonic()  # when a child last wrote one

    def add(self, child: Child) -> None:
        self.children.append(child)
        self._width = max(self._width, len(child.name))

    def start(self) -> None:
        for child in self.children:
            self._start(child)

    def look(self) -> None:
        """One round: notices ended children and those that hang, starts those that are due."""
        now = time.monotonic()
        awake, self._looked = min(now - self._looked, LONGEST_LOOK), now
        for child in self.children:
            self._listen(child, now, awake)
            if child.process is not None and (code := child.process.poll()) is not None:
                leash.end(child.process)  # what it may have left in its session
                child.process, child.ready = None, False
                child.failures = 0 if now - child.started > STEADY_SECONDS else child.failures
                wait = min(FIRST_WAIT * 2**child.failures, LONGEST_WAIT)
                child.failures += 1
                child.due = now + wait
                self.say("up", f"{child.name} ended ({describe_exit(code)}); starting it again in {wait:g} s")
            if child.due is not None and now >= child.due:
                self._start(child)

    def _listen(self, child: Child, now: float, awake: float) -> None:
        """Takes its signs of life; one that hangs says where, and is killed."""
        if child.process is None or child.pulse is None:
            return
        try:
            signs = os.read(child.pulse, 65536)
        except BlockingIOError:
            signs = b""
        if signs:
            child.ready = child.ready or READY in signs
            child.begun, child.silent, child.condemned = True, 0.0, None
            return
        child.silent += awake if child.begun else 0.0
        if child.condemned is None and child.silent >= self.stuck_seconds:
            child.condemned = now + LAST_WORDS_SECONDS
            said = f"{child.name} hangs: it gave no sign of life for {self.stuck_seconds:g} s; killing it"
            self.say("up", said, level="error")
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGUSR2)
        elif child.condemned is not None and now >= child.condemned:
            child.condemned = None
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
        """Several lines of our own, which no child's line divides."""
        with self._printing, contextlib.suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()

    def say(self, name: str, line: str, *, level: str = "info") -> None:
        """A line of our own. On a terminal the name stands in front; else it is one more line of JSON."""
        if self._terminal:
            self.write(name, line)
        else:
            getattr(logger, level)(line, process=name)

    def write(self, name: str, line: str) -> None:
        """A child's line: as it is, on a terminal with the child's name in front, in its colour."""
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
        child.ready, child.begun, child.silent, child.condemned = False, False, 0.0, None
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
