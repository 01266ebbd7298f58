"""Each Redis and Valkey that this machine has, with the users of deploy/redis/users.acl: Debian's, and those of wheels.

Over TLS where the program was built with it: Debian's is, the wheels' are not. An answer streams, the server restarts
empty meanwhile, and everything goes on. Redis 6.2 and 8 come with `make test-deploy`.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from config.stack.valkey import binary
from tests.chaos.driving import answer, poll, scene
from tests.deployment import servers
from tests.deployment.tls import make_certificate
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import stack_with_model
from tests.rabbitmq import free_ports
from tests.stack import Stack
from tests.templates import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]
WANTED = ("redis 6", "redis 7", "redis 8", "valkey 9")
INSTALLED = ".venv-deploy/lib/python*/site-packages/*/bin/redis-server"


def _found() -> dict[str, Path]:
    """Programs by the name and major version of what they are."""
    packaged = shutil.which("redis-server", path=servers.PATH)
    programs = [binary(), *ROOT.glob(INSTALLED), *([Path(packaged)] if packaged else [])]
    found = {}
    for program in programs:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        if match := re.match(r"(Redis|Valkey) server v=(\d+)", said):
            found[f"{match[1]} {match[2]}".lower()] = program
    return found


FOUND = _found()


def _speaks_tls(program: Path) -> bool:
    """Without a certificate it ends at once; a program that was built without TLS says so."""
    command = [str(program), "--port", "0", "--tls-port", str(free_ports(1)[0]), "--save", ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    said = done.stdout + done.stderr
    assert "tls" in said.lower(), said
    return not any(sign in said for sign in ("Failed finding TLS support", "Bad directive"))


@pytest.fixture(scope="module", params=sorted({*WANTED, *FOUND}))
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[Stack, servers.Server], None, None]:
    if request.param not in FOUND:
        pytest.skip(f"{request.param} is not installed: `make test-deploy` and `apt install redis-server` bring them")
    [port] = free_ports(1)
    folder, program = tmp_path_factory.mktemp("redis"), FOUND[request.param]
    url = f"redis://antiphon:{servers.REDIS_PASSWORD}@localhost:{port}/0"
    certificate = make_certificate(folder) if _speaks_tls(program) else None
    if certificate is not None:
        url = url.replace("redis", "rediss", 1) + f"?ssl_ca_certs={certificate.certificate}"
    measured(f"{request.param} over", "TLS" if certificate else "TCP")
    server = servers.valkey(folder / "r", port, program=program, certificate=certificate)
    server.start()
    try:
        with stack_with_model(web=2, workers=1, env={"REDIS_URL": url, "RUN_LEASE_SECONDS": "4"}) as (stack, _):
            yield stack, server
    finally:
        server.stop()


async def test_an_answer_survives_an_empty_restart(running: tuple[Stack, servers.Server]) -> None:
    stack, server = running
    async with scene(stack) as here:
        client = await here.connect()
        first = await here.say(client, "First [[tokens=30]]")
        assert (await client.ended(first["run_id"]))["text"] == answer(30)
        long = await here.say(client, "Long [[tokens=300 rate=40]]", first["conversation_id"])
        await client.shows(long["run_id"], 20)
        server.kill()
        await asyncio.to_thread(server.start)
        await poll(lambda: all(web.status() == 200 for web in stack.webs), "readiness", 30)
        client = client if client.close_code is None else await here.connect(views=client.views)
        run = await client.ended(long["run_id"], 60)
        assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 1, answer(300))
        again = await here.say(client, "Again [[tokens=5]]", first["conversation_id"])
        assert (await client.ended(again["run_id"]))["text"] == answer(5)
        await here.judge(40)
    for process in stack.processes:
        assert "NOPERM" not in process.output(), process.name
