"""Starts child processes that end with their parent, even if the parent is killed with SIGKILL.

`start` runs this very file as a small program that arranges it and then becomes the command. On Linux the kernel
does the rest (prctl(2), PR_SET_PDEATHSIG); elsewhere the program stays and watches for its parent.
Linux counts the end of the *thread* that started a child as the parent's end, so children are started by the main
thread, or for other threads by one that lasts as long as the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.3


def start(
    command: Sequence[str],
    *,
    at_parents_end: signal.Signals = signal.SIGKILL,
    prefix: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: int | IO[Any] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts `command` in a session of its own; it is sent the signal `at_parents_end` when this process ends.

    `prefix` is a command that runs the rest as another user. `output` takes both stdout and stderr.
    """
    leash = [sys.executable, "-I", "-S", __file__, str(int(at_parents_end)), str(os.getpid())]

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*prefix, *leash, *command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,  # so that Ctrl-C reaches only the parent, which stops the rest in order
        )

    if threading.current_thread() is threading.main_thread():
        return begin()
    return _starter().submit(begin).result()


@functools.cache
def _starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="leash")


def end(process: subprocess.Popen[bytes], *, sig: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> bool:
    """Asks the process to end with `sig`, then kills the rest of its session. Returns whether it ended by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(sig)
    try:
        process.wait(seconds)
        gently = True
    except subprocess.TimeoutExpired:
        gently = False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)
    return gently


def _become(sig: int, parent: int, command: list[str]) -> None:
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before the kernel was told
            sys.exit(1)
        os.execvp(command[0], command)  # noqa: S606 -- no shell is wanted: the command is a list
    child = subprocess.Popen(command, close_fds=False)
    for forwarded in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(forwarded, lambda number, _: child.send_signal(number))
    while child.poll() is None:
        if os.getppid() != parent:
            child.send_signal(sig)
        time.sleep(POLL_SECONDS)
    sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
