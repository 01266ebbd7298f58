"""`manage.py up` as a process, for its tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from config.stack import leash
from tests import forking
from tests.servers import FOREIGN, servers
from tests.stack import ROOT, NotReadyError

STARTED = "Antiphon is running."
STEP = re.compile(r" *\d+\.\d s  (.+)")


class Up:
    """One `manage.py up` on its own data folder and a free port.

    `forked`: it begins as tests/forking.py says, and so do its web, worker and beat processes (tests/forked_up.py).
    Otherwise all of them are new interpreters.
    """

    def __init__(self, var: Path, *options: str, env: Mapping[str, str] | None = None, forked: bool = False) -> None:
        self.var = var
        self.forked = forked
        self.options = options or ("--port=0",)
        self.log = servers.folder / f"up-{uuid.uuid4().hex}.log"
        foreign = {*FOREIGN, "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "STATIC_VERSIONED", "DJANGO_SETTINGS_MODULE"}
        kept = {name: value for name, value in os.environ.items() if name not in foreign}
        self.env = {**kept, "ANTIPHON_VAR": str(var), "ANTIPHON_ENV_FILE": os.devnull, **(env or {})}
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["manage.py", "up", *self.options]
        with self.log.open("ab") as log, open(os.devnull) as nothing:  # noqa: PTH123
            if self.forked and forking.can_fork(self.env):
                files = {0: nothing.fileno(), 1: log.fileno(), 2: log.fileno()}
                command = ["-m", "tests.forked_up", *command[1:]]
                self.popen = forking.fork(command, env=self.env, files=files)
            else:
                self.popen = leash.start([sys.executable, *command], env=self.env, cwd=ROOT, output=log)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def await_start(self, silent: float = 60.0) -> None:
        """Waits until it runs. That takes as long as the machine needs: 285 s with two cores at a load of 20, of which
        14 for the settings and 135 for the migrations. Meanwhile it says every 10 s how far it is.
        """
        assert self.popen is not None
        said, since = "", time.monotonic()
        while STARTED not in (output := self.output()):
            if output != said:
                said, since = output, time.monotonic()
            if self.popen.poll() is not None or time.monotonic() - since > silent:
                raise NotReadyError(f"up ({self.popen.returncode}) said nothing more:\n{output[-6000:]}")
            time.sleep(0.05)

    def await_output(self, text: str, seconds: float = 200.0) -> None:
        assert self.popen is not None
        deadline = time.monotonic() + seconds
        while text not in self.output():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise NotReadyError(f"no {text!r} from up ({self.popen.returncode}):\n{self.output()[-6000:]}")
            time.sleep(0.05)

    def steps(self) -> list[str]:
        """What it said that it was doing, without the times."""
        return [found[1] for line in self.output().splitlines() if (found := STEP.fullmatch(line))]

    def manage(self, *command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Another command on the same data; without a terminal, so that passwords come from `stdin`."""
        return forking.run(*command, env=self.env, stdin=stdin or "")

    @property
    def known(self) -> dict[str, Any]:
        """What stands in var/stack.json."""
        found: dict[str, Any] = json.loads((self.var / "stack.json").read_text())
        return found

    @property
    def password(self) -> str | None:
        found = re.search(r"password: (\S+)", self.output())
        return found[1] if found else None

    def descendants(self) -> list[psutil.Process]:
        """None of a process that has ended."""
        assert self.popen is not None
        try:
            return list(psutil.Process(self.popen.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def child(self, words: str) -> psutil.Process:
        """The one direct child whose command line holds `words`."""
        assert self.popen is not None
        children = psutil.Process(self.popen.pid).children()
        found = [one for one in children if words in command_of(one)]
        assert len(found) == 1, [command_of(one) for one in children]
        return found[0]

    def stop(self) -> None:
        if self.popen is not None:
            leash.end(self.popen, seconds=20)


def command_of(process: psutil.Process) -> str:
    """Its command line; empty for one that ends just now."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def still_there(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that run after `seconds` at the most."""
    return list(psutil.wait_procs(processes, timeout=seconds)[1])
