"""A starter of `manage.py up` for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.integration.config.stack.up import Up


@pytest.fixture
def up(tmp_path: Path) -> Generator[Callable[..., Up], None, None]:
    """Starts `up` on a data folder of this test; stops it at the end."""
    made: list[Up] = []

    def start(*options: str, var: Path | None = None, **env: str) -> Up:
        one = Up(var or tmp_path / "var", *options, env=env)
        made.append(one)
        one.start()
        return one

    yield start
    for one in made:
        one.stop()
