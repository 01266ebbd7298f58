"""Who runs a command on this machine, for the audit log."""

from __future__ import annotations

import os
import pwd
import socket
from typing import Final

LENGTH: Final = 100


def system_user() -> str:
    """The operating-system user and the machine, such as `root@chat1 (sudo: ana)`.

    The user is the process's own, not what the environment claims; who called sudo is what sudo says.
    """
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    who = f"{name}@{socket.gethostname()}"
    caller = os.environ.get("SUDO_USER", "") if uid == 0 else ""
    return (f"{who} (sudo: {caller})" if caller else who)[:LENGTH]
