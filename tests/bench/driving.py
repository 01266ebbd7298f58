"""The runner's side of a load client: starts it, hands it the plan, lets it take its steps."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

import msgspec

from tests.stack import ROOT


class ClientError(RuntimeError):
    """The client failed or fell silent; says how."""


class Client:
    """One run of one scenario (`tests.bench.client`)."""

    def __init__(self, scenario: str, plan: msgspec.Struct) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.client"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._write({"scenario": scenario, **msgspec.to_builtins(plan)})

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def await_step(self, name: str, seconds: float) -> dict[str, Any]:
        """Waits until the client has come to `name`; what it says there. It stays until `go`."""
        said = self._next(seconds)
        if said.get("step") != name:
            raise ClientError(f"the client was to be at {name!r}, but says {json.dumps(said)[:500]}")
        return said

    def go(self) -> None:
        self._write({})

    def result(self, seconds: float = 60.0) -> dict[str, Any]:
        said = self._next(seconds)
        if "result" not in said:
            raise ClientError(f"the client was to end, but says {json.dumps(said)[:500]}")
        result: dict[str, Any] = said["result"]
        return result

    def _write(self, line: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _next(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise ClientError(f"the client said nothing for {seconds:.0f} s") from None
        if not line:
            raise ClientError(f"the client ended with {self.process.wait(5)}")
        said: dict[str, Any] = json.loads(line)
        if "failed" in said:
            raise ClientError(f"{said['failed']}\n{said['trace']}")
        return said
