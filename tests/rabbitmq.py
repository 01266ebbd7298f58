"""A private RabbitMQ of the machine's own package (`rabbitmq-server`), for tests of Celery's other broker.

It and its port mapper (`epmd`) listen on loopback, on free ports, and end with the test session.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from config.stack import leash

# The package's wrapper in PATH changes to a system user; the server itself is what it starts.
SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS: Final = 90.0


def is_installed() -> bool:
    """Whether this machine has RabbitMQ, as Debian's and Ubuntu's package installs it."""
    return SERVER.exists() and shutil.which("epmd") is not None


class PrivateRabbitMQ:
    """One server whose folder survives a crash, as RabbitMQ's does. `options` are of its application `rabbit`."""

    def __init__(self, folder: Path, options: Mapping[str, int] | None = None) -> None:
        self.folder = folder
        self.options = dict(options or {})
        self.port, self._distribution_port, self._mapper_port = free_ports(3)
        self.log = folder / "rabbitmq.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._mapper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Starts it and waits until it takes connections."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = self._environment()
        if self._mapper is None:
            mapper = ["epmd", "-address", "127.0.0.1", "-port", str(self._mapper_port)]
            self._mapper = leash.start(mapper, env=env, output=subprocess.DEVNULL)
        with self.log.open("ab") as log:
            self.process = leash.start([str(SERVER)], env=env, cwd=self.folder, output=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"RabbitMQ did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        assert self.process is not None
        leash.end(self.process, sig=signal.SIGKILL)
        self.process = None

    def forget(self) -> None:
        """Removes all that it has stored, while it does not run."""
        assert self.process is None
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def stop(self) -> None:
        for process in (self.process, self._mapper):
            if process is not None:
                leash.end(process, sig=signal.SIGKILL)
        self.process = self._mapper = None

    def _environment(self) -> dict[str, str]:
        home = self.folder / "home"  # of the cookie by which nodes know each other
        home.mkdir(mode=0o700, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper_port),
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the server, which the tests' signals then reach
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
                [
                    "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
                    *(f"-rabbit {name} {value}" for name, value in self.options.items()),
                ]
            ),
        }

    def _answers(self) -> bool:
        """Whether it speaks AMQP: it answers what is no protocol header with its own."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"AMQP\x09\x09\x09\x09")
                return connection.recv(8).startswith(b"AMQP")
        except OSError:
            return False


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
