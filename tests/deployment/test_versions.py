"""The last release and this version side by side: its code with the new schema, processes replaced one after the other,
forward and back again, while pages chat. The history checker judges what every page received.
"""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import tarfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.deployment.visitors import ends_of_answers
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import model_env
from tests.stack import Process, Stack, Web, Worker
from tests.templates import ROOT

RELEASE = "ca05de6a"  # 0.1.0 (CHANGELOG.md)
PROGRAM = ("accounts", "chat", "config", "workers", "templates", "manage.py")

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last release's program, from this repository's history."""
    command = ["git", "archive", RELEASE, *PROGRAM]
    packed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if packed.returncode != 0:
        pytest.skip(f"this clone has no history back to {RELEASE}")
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def stack(release: Path) -> Generator[Stack, None, None]:
    """All processes of the last release, with the database as this version's migrations leave it."""
    with FakeOpenAI() as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Process, "forked", False)
        patch.setattr(Process, "forked_again", False)
        env = {**model_env(upstream), "RUN_LEASE_SECONDS": "4", "WORKER_DRAIN_SECONDS": "12", "STATIC_VERSIONED": "0"}
        stack = Stack(web=2, workers=2, beat=False, env=env, own_postgres=False)
        for process in stack.processes:
            process.root = release
        try:
            stack.start()
            yield stack
        except BaseException:
            print(stack.logs())
            raise
        finally:
            stack.stop()


async def _replace(process: Web | Worker, installation: Path) -> None:
    process.kill(signal.SIGTERM)
    await asyncio.to_thread(process.wait, 40)
    process.stop()
    process.root = installation
    process.start()
    await asyncio.to_thread(process.await_ready)
    await asyncio.sleep(3)


async def test_an_update_process_by_process_and_back_loses_nothing(
    stack: Stack, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers first, then web processes: the order of docs/operations.md ("Upgrades"), and the other way back."""

    workers_first: list[Web | Worker] = [*stack.workers, *stack.webs]
    webs_first: list[Web | Worker] = [*stack.webs, *stack.workers]

    async def update_and_go_back() -> None:
        for process in workers_first:
            await _replace(process, ROOT)
        await asyncio.sleep(3)
        for process in webs_first:
            await _replace(process, release)

    ends = await ends_of_answers(stack, update_and_go_back, monkeypatch, asks=False)
    assert set(ends) == {"done"}, ends
    for process in stack.processes:
        for sign in (
            "command_crashed",
            "run_crashed",
            "tick_failed",
            "DataError",
            "ProgrammingError",
            "NotNullViolation",
        ):
            assert sign not in process.output(), (process.name, sign)
