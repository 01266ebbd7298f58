"""Which process of pytest-xdist gets which file of tests, and when."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.scheduling import STARTING_PROCESSES, FromBothEnds

FILES = [
    "tests/e2e/test_a.py", "tests/e2e/test_b.py", "tests/e2e/test_c.py", "tests/integration/test_d.py",
    "tests/integration/test_e.py", "tests/unit/test_f.py", "tests/unit/test_g.py",
]  # fmt: skip


class Node:
    """A process of xdist that remembers what it was sent and whether it was told to end."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.sent: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


class Run:
    """A run of `tests` by so many processes."""

    def __init__(self, tests: list[str], processes: int) -> None:
        options = {"tx": ["popen"] * processes, "dist": "loadfile"}
        config: Any = SimpleNamespace(getvalue=options.get, option=SimpleNamespace(loadscopereorder=False))
        self.tests = tests
        self.scheduler = FromBothEnds(config)
        self.nodes = [Node(f"gw{number}") for number in range(processes)]
        self.done: set[int] = set()
        for node in self.nodes:
            self.scheduler.add_node(node)
        for node in self.nodes:
            self.scheduler.add_node_collection(node, tests)
        self.scheduler.schedule()

    def files(self, number: int) -> list[str]:
        """What a process was sent, file by file."""
        return list(dict.fromkeys(self.tests[index].partition("::")[0] for index in self.nodes[number].sent))

    def is_ending(self, number: int) -> bool:
        return self.nodes[number].shutting_down

    def finish(self, number: int) -> None:
        """A process finishes its next test. It needs to know what comes next, or that nothing does."""
        node = self.nodes[number]
        waiting = [index for index in node.sent if index not in self.done]
        assert len(waiting) > 1 or node.shutting_down, f"{node.gateway.id} cannot run its last test"
        self.done.add(waiting[0])
        self.scheduler.mark_test_complete(node, waiting[0])


def of_files(files: list[str], each: int = 3) -> list[str]:
    return [f"{file}::test_{number}" for file in files for number in range(each)]


def test_the_third_takes_the_last_files_once_no_browser_test_is_left() -> None:
    run = Run(of_files(FILES), 3)
    assert run.files(0) == FILES[:1]
    assert run.files(1) == FILES[1:2]
    assert run.files(2) == []
    run.finish(0)
    run.finish(1)
    assert run.files(0) == [FILES[0], FILES[2]]
    assert run.files(1) == [FILES[1], FILES[3]]
    for _ in range(4):
        run.finish(0)
    assert run.files(2) == [], "a browser test is left"
    assert run.files(0)[2:] == [FILES[4]]
    run.finish(0)
    assert run.files(2) == [], "one is left still"
    run.finish(1)
    run.finish(1)
    assert run.files(2) == FILES[:-2:-1]


@pytest.mark.parametrize("each", [1, 2, 3])
@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("count", range(1, len(FILES) + 1))
def test_every_test_is_run_once_however_few_there_are(count: int, processes: int, each: int) -> None:
    tests = of_files(FILES[:count], each)
    run = Run(tests, processes)
    for _ in range(len(tests)):
        number = next(
            number
            for number, node in enumerate(run.nodes)
            if len(left := [index for index in node.sent if index not in run.done]) > 1
            or (left and (node.shutting_down or run.scheduler.tests_finished))
        )
        if run.scheduler.tests_finished:
            for node in run.nodes:
                node.shutdown()  # as xdist does
        run.finish(number)
    assert sorted(index for node in run.nodes for index in node.sent) == list(range(len(tests)))
    assert len(run.done) == len(tests)


def test_the_third_runs_nothing_beside_chaos() -> None:
    run = Run(of_files(["tests/chaos/test_a.py", "tests/chaos/test_b.py", *FILES[3:]], each=4), 3)
    run.finish(0)
    run.finish(0)
    assert run.files(0) == ["tests/chaos/test_a.py", FILES[3]]
    run.finish(0)
    run.finish(0)
    assert run.files(2) == [], "a chaos test is left"
    for _ in range(4):
        run.finish(1)
    assert run.files(2) == FILES[:-2:-1]


def test_the_fourth_computes_beside_browsers_and_ends_after_the_last_unit_test() -> None:
    run = Run(of_files(FILES), 4)
    assert run.files(3) == FILES[:-2:-1]
    run.finish(3)
    assert run.files(3) == [FILES[6], FILES[5]]
    assert run.files(2) == [], "browser tests are left"
    assert not run.is_ending(3)
    for _ in range(3):
        run.finish(3)
    assert run.is_ending(3), "it knows that nothing follows its last tests"
    run.finish(3)
    run.finish(3)
    assert run.files(3) == [FILES[6], FILES[5]]
    assert [run.files(0), run.files(1)] == [FILES[:1], FILES[1:2]]


def test_the_fourth_takes_nothing_more_once_no_browser_test_is_left() -> None:
    units = [f"tests/unit/test_{number}.py" for number in range(6)]
    run = Run(of_files([*FILES[:2], *units]), 4)
    for number in (0, 0, 0, 1, 1, 1):
        run.finish(number)
    assert run.files(3) == units[:-2:-1]
    run.finish(3)
    assert run.nodes[3].shutting_down
    assert run.files(3) == units[:-2:-1]


def test_the_fourth_leaves_unit_tests_that_start_processes_to_the_others() -> None:
    starting = min(STARTING_PROCESSES)
    run = Run(of_files([*FILES[:2], starting, *FILES[5:]]), 4)
    for _ in range(4):
        run.finish(3)
    assert run.files(3) == [FILES[6], FILES[5]]
    assert run.is_ending(3)


def test_the_files_that_start_processes_exist() -> None:
    assert [file for file in STARTING_PROCESSES if not Path(file).is_file()] == []


def test_with_two_it_is_loadfile() -> None:
    run = Run(of_files(FILES), 2)
    run.finish(1)
    assert run.files(1) == [FILES[1], FILES[2]]
