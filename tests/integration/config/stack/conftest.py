"""A starter of `manage.py up` for the tests of this folder, and what an earlier start has left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests import templates
from tests.integration.config.stack.up import Up
from tests.servers import FAST, servers


@pytest.fixture
def up(tmp_path: Path) -> Generator[Callable[..., Up], None, None]:
    """Starts `up` on a data folder of this test; stops it at the end."""
    made: list[Up] = []

    def start(*options: str, var: Path | None = None, forked: bool = False, **env: str) -> Up:
        one = Up(var or tmp_path / "var", *options, env=env, forked=forked)
        made.append(one)
        one.start()
        return one

    yield start
    for one in made:
        one.stop()


@pytest.fixture
def old_data() -> Path:
    """The data folder of an earlier start: PostgreSQL's files, with every migration and without an administrator.

    Creating them and migrating takes seconds of CPU time; one test of this folder does it. It lies where the servers of
    the tests do, in memory if there is enough, and is removed with theirs.
    """
    var = Path(tempfile.mkdtemp(prefix="old-", dir=servers.folder))
    templates.install(templates.make_server(var, FAST), servers.environment())
    (var / "pg.password").chmod(0o600)
    return var
