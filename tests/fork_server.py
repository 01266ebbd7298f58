"""Forks the processes of test stacks: `python -m tests.fork_server <control fd> <module> ...` (tests/forking.py).

It loads the modules, which read neither settings nor the database, and then forks for each request on the control
socket. The fork becomes what a new interpreter would be: it has the request's environment, working folder and files,
is the first of its session, and runs the program from its first line, so that it reads settings of its own. All
processes end with this one, and this one ends with the control socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
from typing import Any

PR_SET_PDEATHSIG = 1
REQUEST_BYTES = 1 << 18
EXIT_CODE = struct.Struct("i")
PID = struct.Struct("i")


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork has no other threads than the one that forks"
    gc.collect()
    gc.freeze()  # what is loaded stays in pages that all processes share
    run(fork_until_closed(control))


def run(asked: dict[str, Any]) -> None:
    """Runs a program as Python's command line does. Returns or raises what the program does.

    Where `tests.set_up` is loaded, `manage.py` only has the command left to run.
    """
    program, *arguments = asked["command"]
    if program == "manage.py" and (set_up := sys.modules.get("tests.set_up")):
        set_up.run(arguments)
    elif program == "-m":
        sys.argv = list(arguments)
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


def fork_until_closed(control: socket.socket) -> dict[str, Any]:
    """Forks for each request and tells how each process ended. Returns the request, and only in a forked process."""
    server = os.getpid()
    running: dict[int, tuple[int, int]] = {}  # by its pidfd: the process, and the pipe for its exit code
    ready = select.poll()
    ready.register(control, select.POLLIN)
    while True:
        for fd, _ in ready.poll():
            if fd in running:
                ready.unregister(fd)
                _tell_the_end(fd, *running.pop(fd))
                continue
            message, files, _flags, _address = socket.recv_fds(control, REQUEST_BYTES, 16)
            if not message:
                sys.exit(0)
            pid = os.fork()
            if pid == 0:
                control.detach()
                asked: dict[str, Any] = json.loads(message)
                _become(asked, files[1:], server)
                return asked
            for file in files[1:]:
                os.close(file)
            pidfd = os.pidfd_open(pid)
            running[pidfd] = (pid, files[0])
            ready.register(pidfd, select.POLLIN)
            control.send(PID.pack(pid))


def _tell_the_end(pidfd: int, pid: int, pipe: int) -> None:
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, EXIT_CODE.pack(os.waitstatus_to_exitcode(status)))
    os.close(pipe)
    os.close(pidfd)


def _become(asked: dict[str, Any], files: list[int], server: int) -> None:
    """Gives this process the request's files, under the numbers that it names, its environment and its folder."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:  # it ended before the kernel was told
        os._exit(1)
    numbers: list[int] = asked["files"]
    above = [fcntl.fcntl(file, fcntl.F_DUPFD, max(numbers) + 1) for file in files]
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- numbers, not paths
        if int(name) not in above:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(int(name))
    for file, number in zip(above, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["folder"])
    if os.environ.get("PYTHONUNBUFFERED") and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(write_through=True)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:  # noqa: PTH123 -- what `top` shows
        comm.write(asked["command"][:2][-1])


if __name__ == "__main__":
    main()
