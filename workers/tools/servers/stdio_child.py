"""Started in place of a tool server's command: sets limits, then becomes the command. Uses nothing but the standard
library. Arguments: memory in MB, the command, its arguments.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    memory, command, *arguments = sys.argv[1:]
    limits = {
        resource.RLIMIT_AS: int(memory) * 1024 * 1024,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_FSIZE: 256 * 1024 * 1024,
    }
    for kind, wanted in limits.items():
        _, hard = resource.getrlimit(kind)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):  # macOS has no limit of address space
            continue
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # it does not outlive a worker that was killed
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execvp(command, [command, *arguments])  # noqa: S606 -- the operator's own command line


if __name__ == "__main__":
    main()
