"""What one message costs, and of whom: CPU, wake-ups, statements and Redis commands, by process.

    python -m tests.bench.account [--senders 50] [--rounds 8] [--statements] [--prepared-off]

100 or fewer people send into conversations of their own, first at a person's pace, then all at once; the answers have
four tokens. Nothing here is a time that somebody waited, so that it can be measured while others want the cores: CPU
seconds of our processes (a busy machine raises them by what its caches lose), their voluntary context switches, and
what PostgreSQL's log and Redis's `INFO commandstats` count. Then sockets are opened: what a reconnect costs. The
statements are counted in a phase of their own, because writing the log costs CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil
import redis

from tests.bench.__main__ import FOLDER, raise_file_limit
from tests.bench.client import Admission, Idle
from tests.bench.crowds import log_statements
from tests.bench.driving import Client
from tests.bench.meter import read_cost
from tests.bench.profiling import Profiler
from tests.bench.streams import FIRST_MODEL
from tests.bench.systems import System, Upstream, run_ours
from tests.servers import servers

EVERY_S: Final = 2.0
PACE: Final = "at a person's pace"
BURST: Final = "all at once"
# A line of PostgreSQL's log with `log_line_prefix = '%a|'`; a statement may go on in lines that begin with a tab.
_LINE: Final = re.compile(
    r"^(web\d+|worker\d+|)\|LOG:\s+duration: ([\d.]+) ms\s+(?:statement|execute [^:]*): (.*(?:\n\t.*)*)", re.MULTILINE
)
_SLEPT: Final = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)
_VALUE: Final = re.compile(r"'(?:[^']|'')*'(?:::\w+(?:\[\])?)?|\b\d+(?:\.\d+)?\b")
_SHOWN: Final = 96  # characters of a statement


def normalised(statement: str) -> str:
    """A statement without its values, on one line."""
    text = " ".join(_VALUE.sub("?", statement).split())
    return re.sub(r"(?:\?(?:::\w+)?, ?)+\?", "?…", text)


def count_by_process(log: Path, mark: int) -> dict[str, dict[str, list[float]]]:
    """The statements in the log since byte `mark`, without their values, by the role of the process that sent them. Of
    each the ms that it took in the server, every time.
    """
    with log.open("rb") as file:
        file.seek(mark)
        text = file.read().decode(errors="replace")
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for process, ms, statement in _LINE.findall(text):
        if process:
            found[process.rstrip("0123456789")][normalised(statement)].append(float(ms))
    return found


def switches(pids: list[int]) -> int:
    """How often the threads of these processes and their children have gone to sleep."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                for status in Path(f"/proc/{process.pid}/task").glob("*/status"):
                    with contextlib.suppress(OSError):
                        found = _SLEPT.search(status.read_text())
                        total += int(found[1]) if found else 0
    return total


class Meter:
    """Costs since it was made."""

    def __init__(self, system: System) -> None:
        assert system.stack is not None
        self.system = system
        self.redis = redis.Redis.from_url(system.stack.redis.url)
        self.commands = self._commands()
        self.switches = {role: switches(pids) for role, pids in system.roles.items()}
        self.cost = read_cost(system.roles)

    def _commands(self) -> Counter[str]:
        told: dict[str, Any] = self.redis.info("commandstats")
        return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in told.items()})

    def show(self, what: str, count: int) -> None:
        """Prints the costs of one of `count`."""
        after = read_cost(self.system.roles)
        cpu = {role: seconds * 1000 / count for role, seconds in after.since(self.cost).items()}
        slept = {role: (switches(pids) - self.switches[role]) / count for role, pids in self.system.roles.items()}
        commands = self._commands() - self.commands
        print(f"\n{what}: {count}; other programs used {after.others(self.cost):.1f} cores")
        print("  CPU ms:   " + ", ".join(f"{role} {ms:.2f}" for role, ms in cpu.items()) + f"; {sum(cpu.values()):.1f}")
        print("  wake-ups: " + ", ".join(f"{role} {times:.1f}" for role, times in slept.items()))
        told = ", ".join(f"{name} {times / count:.1f}" for name, times in commands.most_common(16))
        print(f"  Redis commands: {commands.total() / count:.1f} ({told})", flush=True)


def show_statements(found: dict[str, dict[str, list[float]]], count: int, least: float = 0.05) -> None:
    """Prints what each role sent for each of `count`, the transaction's own statements among them."""
    for role, statements in sorted(found.items()):
        calls = sum(map(len, statements.values()))
        print(f"\n  statements of {role}: {calls / count:.1f}; ms in PostgreSQL, half of them took less than:")
        for statement, ms in sorted(statements.items(), key=lambda one: -sum(one[1])):
            if len(ms) / count >= least:
                print(f"    {len(ms) / count:5.2f} × {median(ms):6.2f} ms  {statement[:_SHOWN]}")


def measure(system: System, senders: int, rounds: int, bursts: int, sockets: int, *, statements: bool,
            profiler: Profiler | None = None, during: str = PACE) -> None:  # fmt: skip
    assert system.stack is not None
    log = system.stack.postgres.log
    plan = Admission(system.urls, system.sessions[:senders], FIRST_MODEL, rounds, EVERY_S, bursts)
    with Client("admission", plan) as client:
        client.await_step("connected", 120)
        for what in (PACE, BURST, "statements"):
            counting = what == "statements"
            if counting and not statements:
                break
            if counting:
                log_statements(system, True)
                mark = log.stat().st_size
            meter = Meter(system)
            with profiling(profiler if what == during else None, system):
                client.go()
                told = client.await_step("sent", rounds * EVERY_S + bursts * 20 + 60)
            count = len(told["answers"])
            failed = Counter(one["code"] or one["ending"] for one in told["answers"] if not one["accepted_us"])
            if counting:
                log_statements(system, False)
                show_statements(count_by_process(log, mark), count)
            else:
                got = [sum(one[name] for one in told["answers"]) / count for name in ("bytes", "delta_bytes")]
                print(f"\n  an answer's bytes at the socket: {got[0]:.0f}, {got[1]:.0f} of them deltas")
                meter.show(f"messages {what}" + (f" (not accepted: {dict(failed)})" if failed else ""), count)
        client.process.kill()
    if sockets:
        time.sleep(1.0)
        with profiling(profiler if during == "sockets" else None, system):
            open_sockets(system, sockets, statements=statements)


@contextlib.contextmanager
def profiling(profiler: Profiler | None, system: System) -> Iterator[None]:
    if profiler is None:
        yield
        return
    profiler.start(system, "account")
    try:
        yield
    finally:
        profiler.stop()


def open_sockets(system: System, sockets: int, *, statements: bool) -> None:
    """Opens sockets with tickets of their own; then all are cut, and resume."""
    assert system.stack is not None
    log = system.stack.postgres.log
    if statements:
        log_statements(system, True)
    with Client("idle", Idle(system.urls, system.sessions, [sockets], resumed=True)) as client:
        for what in ("sockets opened", "sockets resumed"):
            mark, meter = log.stat().st_size, Meter(system)
            if what == "sockets resumed":
                client.go()
            client.await_step("open", 120)
            meter.show(what, sockets)
            if statements:
                show_statements(count_by_process(log, mark), sockets)
        client.process.kill()
    if statements:
        log_statements(system, False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.account", description=__doc__.partition("\n")[0])
    parser.add_argument("--senders", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=8, help="messages of each, at a person's pace")
    parser.add_argument("--bursts", type=int, default=4, help="messages of each, all at once")
    parser.add_argument("--sockets", type=int, default=200, help="opened at the end")
    parser.add_argument("--statements", action="store_true", help="count PostgreSQL's statements, too")
    parser.add_argument("--profile", choices=("web", "worker"), help="py-spy on one process")
    parser.add_argument("--during", choices=(PACE, BURST, "sockets"), default=PACE, help="when it is profiled")
    options = parser.parse_args()
    raise_file_limit()
    upstream = Upstream()
    names = {name: {"PGAPPNAME": name} for name in ("web1", "worker1")}
    try:
        with run_ours(
            upstream, web=1, workers=1, people=max(options.senders, options.sockets), rooms=[], models=[FIRST_MODEL],
            env={"TIMING_STAMPS": "0"}, env_of=names, postgres={"log_line_prefix": "%a|"},
        ) as system:  # fmt: skip
            measure(system, options.senders, options.rounds, options.bursts, options.sockets,
                    statements=options.statements,
                    profiler=Profiler(options.profile, FOLDER) if options.profile else None,
                    during=options.during)  # fmt: skip
    finally:
        upstream.stop()
        servers.stop()


if __name__ == "__main__":
    main()
