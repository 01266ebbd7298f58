"""Runs `manage.py prepare` and says now and then how far it is, since it can take minutes on a busy machine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from config.stack.errors import StackError

EVERY_SECONDS: Final = 10.0
PROGRESS: Final = "progress: "  # how `manage.py prepare --progress` begins such a line


def run_prepare(
    command: Sequence[str], root: Path, env: Mapping[str, str], say: Callable[[str], None], every: float = EVERY_SECONDS
) -> dict[str, str]:
    """What `prepare` printed: the administrator's `email` and `password`. `say` gets a line every `every` seconds while
    it runs. Raises `StackError` with its last line of stderr.
    """
    process = subprocess.Popen(
        command, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    errors: list[str] = []
    readers = [
        threading.Thread(target=_read, args=(process.stdout, said), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, errors), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        while True:
            try:
                process.wait(every)
                break
            except subprocess.TimeoutExpired:
                say(_how_far(errors))
    except BaseException:
        process.kill()
        raise
    for reader in readers:
        reader.join()
    if process.returncode != 0:
        lines = [line for line in errors if not line.startswith(PROGRESS)] or ["it said nothing."]
        raise StackError(f"The database could not be prepared: {lines[-1]}")
    found: dict[str, str] = json.loads(said[-1])
    return found


def command_of(admin_email: str) -> list[str]:
    return [sys.executable, "manage.py", "prepare", "--progress", f"--admin-email={admin_email}"]


def _read(stream: IO[str], lines: list[str]) -> None:
    with stream:
        for line in stream:
            if line := line.strip():
                lines.append(line)  # noqa: PERF401  # another thread reads them meanwhile


def _how_far(errors: Sequence[str]) -> str:
    steps = [line.removeprefix(PROGRESS) for line in list(errors) if line.startswith(PROGRESS)]
    return f"Still preparing: {steps[-1]}" if steps else "Still preparing"
