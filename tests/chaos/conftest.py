"""A failing chaos test shows what its processes said."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.conftest import FAILED
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import stack_with_model
from tests.stack import Process, Stack

# Of a test with the start of its system, where the test says nothing else: a start is up to 30 times slower at load 20.
SECONDS, LONG_SECONDS = 240, 1800


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long runs in `make chaos` only."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            is_long = item.get_closest_marker("long") is not None
            item.add_marker(pytest.mark.timeout(LONG_SECONDS if is_long else SECONDS))
    if os.environ.get("CHAOS_LONG"):
        return
    if long := [item for item in items if item.get_closest_marker("long")]:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item.get_closest_marker("long") is None]


@pytest.fixture(scope="package", autouse=True)
def new_interpreters() -> Generator[None, None, None]:
    """What is started again starts as in production: recovery shall not depend on how tests start processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Process, "forked_again", False)
        yield


@pytest.fixture(scope="module")
def new_system(request: pytest.FixtureRequest) -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    """As `system`, of new interpreters from the beginning. Forked processes have a cheaper password cost, and a log-in
    at a process with another cost than the last one stores the password anew, which ends all sessions.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Process, "forked", False)
        with stack_with_model(**request.module.SYSTEM) as running:
            yield running


@pytest.fixture(autouse=True)
def show_logs(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    yield
    used = [name for name in ("system", "new_system") if name in request.fixturenames]
    if request.node.stash.get(FAILED, False) and used:
        stack = request.getfixturevalue(used[0])[0]
        print(stack.logs())
        if folder := os.environ.get("CHAOS_LOGS"):  # whole logs, for whoever looks for the cause
            for process in stack.processes:
                with open(f"{folder}/{process.name}.log", "w") as file:  # noqa: PTH123 -- beside the others
                    file.write(process.output())
        for process in [*stack.webs, *stack.workers]:  # the next test finds all of them
            if process.popen is None or process.popen.poll() is not None:
                process.restart()
