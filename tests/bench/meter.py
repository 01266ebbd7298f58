"""What processes cost, from /proc: CPU with all descendants (ended ones too), and resident memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

Roles = Mapping[str, Iterable[int]]  # "web" -> process ids; descendants are found here


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds and resident bytes by role."""

    cpu_s: dict[str, float]
    rss: dict[str, int]

    def since(self, before: Cost) -> dict[str, float]:
        """CPU seconds spent since `before`, by role."""
        return {role: seconds - before.cpu_s[role] for role, seconds in self.cpu_s.items()}


def read_cost(roles: Roles) -> Cost:
    cpu: dict[str, float] = {}
    rss: dict[str, int] = {}
    for role, pids in roles.items():
        cpu[role], rss[role] = 0.0, 0
        for pid in pids:
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            for process in family:
                try:
                    times, memory = process.cpu_times(), process.memory_info()
                except psutil.NoSuchProcess:
                    continue
                # A child that ended and was waited for is counted in its parent.
                cpu[role] += times.user + times.system + times.children_user + times.children_system
                rss[role] += memory.rss
    return Cost(cpu, rss)


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
