"""A failing chaos test shows what its processes said."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests.conftest import FAILED


@pytest.fixture(autouse=True)
def show_logs(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    yield
    if request.node.stash.get(FAILED, False) and "system" in request.fixturenames:
        stack = request.getfixturevalue("system")[0]
        print(stack.logs())
        if folder := os.environ.get("CHAOS_LOGS"):  # whole logs, for whoever looks for the cause
            for process in stack.processes:
                with open(f"{folder}/{process.name}.log", "w") as file:  # noqa: PTH123 -- beside the others
                    file.write(process.output())
