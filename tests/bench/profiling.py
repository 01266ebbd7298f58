"""Where a process spends its time while the bench runs: py-spy, if it is installed (`pip install py-spy`).

Writes folded stacks to var/bench (https://www.speedscope.app reads them) and prints the heaviest functions.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.bench.systems import System

RATE: Final = 200  # samples a second
# Where a thread stands when it has nothing to do; py-spy takes some of these for work.
WAITING: Final = (
    "epoll_wait", "epoll_pwait", "pthread_cond", "PyThread_acquire_lock", "poll (libc", "sem_clockwait", "take_gil",
    "wait (threading.py", "_worker (concurrent/futures/thread.py",
)  # fmt: skip
OURS: Final = re.compile(r"\((?:accounts|chat|workers|config)/")
LEAVES: Final = 4  # frames from the end of a stack in which those are looked for


class Profiler:
    """Watches the first process of a role."""

    def __init__(self, role: str, folder: Path, *, native: bool = True) -> None:
        found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if found is None:
            raise SystemExit("--profile needs py-spy: pip install py-spy")
        self.program = found
        self.role, self.folder, self.native = role, folder, native
        self.path = folder / f"profile-{role}.folded"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, system: System, what: str) -> None:
        if self.role not in system.roles:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / f"profile-{system.name}-{self.role}-{what}.folded"
        command = [
            *(self.program, "record", f"--pid={system.roles[self.role][0]}", f"--rate={RATE}", "--format=raw"),
            *("--function", "--duration=600", f"--output={self.path}"),
            *(["--native"] if self.native else []),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(2)  # SIGINT: py-spy writes what it has
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process = None
        print(summarise(self.path))


def summarise(path: Path, top: int = 25) -> str:
    """The heaviest functions of folded stacks, by own samples and with what they call."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if any(place in frame for frame in frames[-LEAVES:] for place in WAITING):
            continue
        frames = [frame for frame in frames if not frame.startswith("0x")] or frames
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    lines = [f"{path}: {total / RATE:.1f} s of work", "   own  whole  function"]
    total = max(1, total)
    lines += [f"{own[name] / total:6.1%} {whole[name] / total:6.1%}  {name}" for name, _ in own.most_common(top)]
    lines.append("by what they call, the project's own:")
    own_code = [(name, samples) for name, samples in whole.most_common() if OURS.search(name)]
    lines += [f"       {samples / total:6.1%}  {name}" for name, samples in own_code[: top * 2]]
    lines.append("by what they call, everything:")
    lines += [f"       {samples / total:6.1%}  {name}" for name, samples in whole.most_common(top * 3)]
    return "\n".join(lines)
