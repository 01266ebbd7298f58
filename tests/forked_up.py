"""`python -m tests.forked_up up ...`: `manage.py up` that forks its web, worker and beat processes (tests/forking.py).

Before it reads any setting it forks a server that has loaded what those processes load and nothing of ours. They are
what the supervisor would start: each reads its settings anew, from the environment that the supervisor gives it. What
else `up` starts is started as ever.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import manage
from config.stack import leash
from tests import fork_server, forking


def main() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        os.setsid()  # Ctrl-C reaches only `up`, as with processes that it starts itself
        fork_server.run(fork_server.fork_until_closed(theirs))
        return
    theirs.close()
    with tempfile.TemporaryFile() as log:
        _fork_children(forking.Control(ours, log))
        manage.main()


def _fork_children(server: forking.Control) -> None:
    """Has the supervisor's children forked by `server`."""
    start = leash.start

    def start_or_fork(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        if list(command[:2]) != [sys.executable, "manage.py"]:
            return start(command, **options)
        reading, writing = os.pipe()
        with open(os.devnull) as nothing:  # noqa: PTH123
            files = {0: nothing.fileno(), 1: writing, 2: writing, **{number: number for number in options["pass_fds"]}}
            forked = server.fork(command[1:], options["env"], files)
        os.close(writing)
        forked.stdout = open(reading, "rb")  # noqa: PTH123, SIM115 -- the supervisor reads and closes it
        return forked

    leash.start = start_or_fork


if __name__ == "__main__":
    main()
