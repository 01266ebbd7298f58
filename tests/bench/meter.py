"""What processes cost, from /proc: CPU with all descendants (ended ones too), and resident memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

Roles = Mapping[str, Iterable[int]]  # "web" -> process ids; descendants are found here


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds and resident bytes by role, at a moment."""

    cpu_s: dict[str, float]
    rss: dict[str, int]
    at: float
    busy_s: float  # of all cores, by anybody
    ours_s: float  # of this process and all it started: systems, clients, upstream

    def since(self, before: Cost) -> dict[str, float]:
        """CPU seconds spent since `before`, by role."""
        return {role: seconds - before.cpu_s[role] for role, seconds in self.cpu_s.items()}

    def others(self, before: Cost) -> float:
        """Cores that were busy with things that are not the bench: they spoil its figures."""
        spent = (self.busy_s - before.busy_s) - (self.ours_s - before.ours_s)
        return max(0.0, spent / max(0.001, self.at - before.at))


def read_cost(roles: Roles) -> Cost:
    cpu: dict[str, float] = {}
    rss: dict[str, int] = {}
    for role, pids in roles.items():
        found = [_family(pid) for pid in pids]
        cpu[role], rss[role] = sum(seconds for seconds, _ in found), sum(size for _, size in found)
    everything = psutil.cpu_times()
    busy = everything.user + everything.nice + everything.system + everything.irq + everything.softirq
    return Cost(cpu, rss, time.monotonic(), busy, _family(os.getpid())[0])


def _family(pid: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of a process and its descendants; of ended ones, what their parents counted."""
    seconds, resident = 0.0, 0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        try:
            times, memory = process.cpu_times(), process.memory_info()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
        resident += memory.rss
    return seconds, resident


def describe_machine() -> dict[str, str | int | float]:
    """Where the figures come from."""
    import platform

    model = "unknown"
    with open("/proc/cpuinfo") as file:  # noqa: PTH123 -- not a file of ours
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu": model,
        "cores": psutil.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(psutil.getloadavg()[0], 2),
    }
