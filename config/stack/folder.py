"""The data folder of a stack: its lock, its secrets and the paths of its sockets."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import IO, Any

from config.stack.errors import StackError
from config.stack.postgres import fits_socket


def take_lock(var: Path) -> IO[str]:
    """Holds var/up.lock until closed (flock(2): it ends with the process, however that ends)."""
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (var / "up.lock").open("a+")
    except OSError as error:
        raise StackError(
            f"{var} cannot be written ({error.strerror}): change its owner, or set ANTIPHON_VAR."
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        known: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads((var / "stack.json").read_text())
        where = f" at {known['url']} (process {known['pid']})" if known else ""
        raise StackError(f"Antiphon is already running on {var}{where}: stop it first, or use it.") from None
    return file


def close_to_others(var: Path) -> None:
    """Takes everything under `var` from other users, as versions that were less strict left it.

    PostgreSQL looks after its own folder. The sockets' folder stays passable: their own modes say who may connect.
    """
    for folder, inner, names in os.walk(var):
        if Path(folder) == var:
            inner[:] = [name for name in inner if name not in ("pg", "run")]
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            with contextlib.suppress(OSError):  # gone meanwhile, or of somebody else
                mode = path.lstat().st_mode
                if not stat.S_ISLNK(mode) and mode & 0o077:
                    path.chmod(stat.S_IMODE(mode) & 0o700)


def write_private(path: Path, text: str) -> None:
    """Replaces a file at once, readable by its owner only."""
    partial = path.with_suffix(".part")
    partial.unlink(missing_ok=True)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    partial.replace(path)


def socket_folder(var: Path) -> Path:
    """The folder for the private servers' sockets: `var`, unless its path is too long or does not allow sockets.

    Then a folder in /tmp whose name follows from the path, so that one left by a killed `up` is found again.
    """
    inside = var / "run"
    if fits_socket(inside / "pg") and holds_sockets(inside):
        return inside
    mark = hashlib.sha256(os.fsencode(var.absolute())).hexdigest()[:12]
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 -- checked: ours, and closed to others
        outside = parent / f"antiphon-{os.geteuid()}-{mark}"
        if fits_socket(outside / "pg") and holds_sockets(outside) and outside.stat().st_uid == os.geteuid():
            return outside
    raise StackError(f"No folder with a short enough path for the servers' sockets: {var}, {parent}. Set TMPDIR=/tmp.")


def holds_sockets(folder: Path) -> bool:
    """Whether a unix socket can be created in `folder`, which is created if missing."""
    probe = folder / "probe.sock"
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder.chmod(0o711)
        probe.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as trial:
            trial.bind(str(probe))
        probe.unlink()
    except OSError:
        return False
    return True
