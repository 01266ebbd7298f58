"""Two machines behind nginx, with PgBouncer in transaction mode, RabbitMQ with quorum queues, Redis with users and TLS.

Three pages chat while machines are deployed one after the other, one is killed whole, and the pooler and the broker
restart. The history checker judges what every page received (tests/history).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import ssl
import tempfile
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import people
from tests.chaos.driving import Scene
from tests.chaos.people import Page, World
from tests.client import session
from tests.deployment import servers
from tests.deployment.proxies import Nginx
from tests.deployment.tls import make_certificate
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import model_env
from tests.rabbitmq import PrivateRabbitMQ, free_ports, is_installed
from tests.stack import Process, Stack, Web, Worker
from tests.templates import ROOT

MISSING = [
    name for name in ("nginx", "pgbouncer", "redis-server") if not servers.installed(name)
] + ([] if is_installed() else ["rabbitmq-server"])  # fmt: skip
pytestmark = [
    pytest.mark.asyncio(loop_scope="function"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed (Debian: apt install {' '.join(MISSING)})"),
    pytest.mark.timeout(400),
]

PROGRAM = ("accounts", "chat", "config", "workers", "templates", "manage.py")
SCRIPTS = ("tokens=5", "tokens=60 rate=40", "tokens=150 rate=40", "tokens=20 first_delay=2 rate=40")
CONVERSATIONS = 8  # of each page


@dataclass
class Cluster:
    """`machines`: what runs on each of the two."""

    stack: Stack
    nginx: Nginx
    pooler: servers.Server
    broker: PrivateRabbitMQ
    trust: ssl.SSLContext

    @property
    def machines(self) -> list[tuple[Web, Worker]]:
        return list(zip(self.stack.webs, self.stack.workers, strict=True))


@pytest.fixture(autouse=True)
async def let_connections_close() -> AsyncGenerator[None, None]:
    """The end of a TLS connection needs the loop once more after its client session is closed."""
    yield
    await asyncio.sleep(0.3)


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster, None, None]:
    folder = Path(tempfile.mkdtemp(prefix="antiphon-cluster-"))  # which PgBouncer's user may enter, unlike pytest's
    folder.chmod(0o711)
    certificate = make_certificate(folder)
    [redis_port] = free_ports(1)
    store = servers.valkey(folder / "redis", redis_port, certificate=certificate)
    broker = PrivateRabbitMQ(folder / "rabbitmq")
    nginx = Nginx(folder / "nginx", certificate, ())
    user = f"antiphon:{servers.REDIS_PASSWORD}"
    with contextlib.ExitStack() as ending, FakeOpenAI() as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Process, "forked", False)
        patch.setattr(Process, "forked_again", False)
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        env = {
            **model_env(upstream), "HTTPS": "1", "TRUSTED_PROXIES": "1", "ALLOWED_HOSTS": "localhost",
            "ALLOWED_ORIGINS": nginx.url, "LOGIN_RATE": "100000/m/ip", "RUN_LEASE_SECONDS": "4",
            "WORKER_DRAIN_SECONDS": "12", "DATABASE_POOLER": "transaction", "BROKER_QUEUE_TYPE": "quorum",
            "CELERY_BROKER_URL": broker.url,
            "REDIS_URL": f"rediss://{user}@localhost:{redis_port}/0?ssl_ca_certs={certificate.certificate}",
        }  # fmt: skip
        stack = Stack(web=2, workers=2, beat=True, env=env, own_postgres=True)
        pooler = servers.pgbouncer(folder / "pgbouncer", stack.postgres)
        url = f"postgresql://antiphon:{stack.postgres.password}@127.0.0.1:{pooler.port}/{stack.database}"
        second = folder / "second"  # another installation, as on another machine
        for name in PROGRAM:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            second.mkdir(exist_ok=True)
            copy(ROOT / name, second / name)
        for process in stack.processes:
            process.env["DATABASE_URL"] = url
        for process in (stack.webs[1], stack.workers[1]):
            process.root, process.env["ANTIPHON_VAR"] = second, str(folder / "var2")
        for server in (store, broker):
            ending.callback(server.stop)
            server.start()
        ending.callback(stack.stop)
        ending.callback(pooler.stop)
        ending.callback(nginx.stop)
        stack.postgres.options["max_connections"] = "100"
        _start(stack, pooler)
        nginx.upstreams = [web.port for web in stack.webs]
        nginx.start()
        yield Cluster(stack, nginx, pooler, broker, certificate.trusted())


def _start(stack: Stack, pooler: servers.Server) -> None:
    """As `Stack.start`, with a pooler that starts once PostgreSQL runs."""
    start = stack.postgres.start

    def start_both(**options: Any) -> None:
        start(**options)
        pooler.start()

    stack.postgres.start = start_both  # type: ignore[method-assign]
    try:
        stack.start()
    except BaseException:
        print(stack.logs())
        raise


class Visitors(World):
    """Pages that know one address, as browsers do."""

    def __init__(self, cluster: Cluster, here: Scene) -> None:
        super().__init__(cluster.stack, here, None)  # type: ignore[arg-type]  # no hand is needed
        self.url = cluster.nginx.url
        for browser in self.browsers.values():
            browser.trust = cluster.trust
        self.pages = [Page("alice") for _ in range(3)]

    def any_web(self) -> str:
        return self.url


@contextlib.asynccontextmanager
async def chatting(cluster: Cluster) -> AsyncGenerator[Visitors, None]:
    """Three pages send messages while the block does its work; then all is judged."""
    async with session(cluster.nginx.url, fresh=True, trust=cluster.trust) as alice:
        here = Scene(cluster.stack, alice, judges_at=cluster.nginx.url)
        visitors = Visitors(cluster, here)
        for page in visitors.pages:  # one after the other: they share a log-in
            await visitors.socket(page)
        over = asyncio.Event()
        tasks = [asyncio.create_task(_chat(visitors, page, over)) for page in visitors.pages]
        try:
            yield visitors
        finally:
            over.set()
        sent = sum(await asyncio.gather(*tasks))
        took = await here.history.settle(cluster.stack, 60)
        measured("messages; seconds until all was at rest", f"{sent}; {took:.1f}")
        assert sent > 10
        for page in visitors.pages:
            await visitors.socket(page)
        await here.judge(40)
        await visitors.close()


async def _chat(visitors: Visitors, page: Page, over: asyncio.Event) -> int:
    sent, conversations = 0, list[str]()
    while not over.is_set():
        fields: dict[str, Any] = {
            "client_id": str(uuid.uuid4()), "text": f"{sent} [[{random.choice(SCRIPTS)}]]", "ask": True,
        }  # fmt: skip
        new = len(conversations) < CONVERSATIONS
        fields["conversation_id"] = None if new else conversations[sent % CONVERSATIONS]
        reply = await visitors.ask(page, "message.send", **fields)
        if reply.get("code") != "busy":  # its answer is still being written
            assert reply["type"] == "message.accepted", reply
            sent += 1
            if new:
                conversations.append(reply["conversation_id"])
        await asyncio.sleep(random.uniform(0.2, 1.0))
    return sent


async def _ends(
    cluster: Cluster, how: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    """Does it while pages chat; how many answers ended in which way."""
    monkeypatch.setattr(people, "AWAY_SECONDS", 90.0)
    [before] = cluster.stack.sql("SELECT clock_timestamp() AS now")
    async with chatting(cluster):
        await asyncio.sleep(5)
        await how()
        await asyncio.sleep(5)
    rows = cluster.stack.sql(
        "SELECT status, count(*) AS n FROM chat_run WHERE created_at > %s GROUP BY status", before["now"]
    )
    measured("ends", str(found := {row["status"]: row["n"] for row in rows}))
    return found


async def test_both_machines_are_deployed_one_after_the_other(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deploy() -> None:
        for web, worker in cluster.machines:
            for process in (worker, web):
                process.kill(signal.SIGTERM)
                await asyncio.to_thread(process.wait, 40)
                process.stop()
                process.start()
                await asyncio.to_thread(process.await_ready)

    ends = await _ends(cluster, deploy, monkeypatch)
    assert set(ends) == {"done"}, "the longest answer takes less than a worker waits"


async def test_a_machine_is_killed_whole(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    web, worker = cluster.machines[1]

    async def lose() -> None:
        for process in (web, worker):
            process.kill()
        await asyncio.sleep(10)
        for process in (web, worker):
            process.stop()
            process.start()
        for process in (web, worker):
            await asyncio.to_thread(process.await_ready)

    ends = await _ends(cluster, lose, monkeypatch)
    assert ends["done"] > ends.get("interrupted", 0)
    assert set(ends) <= {"done", "interrupted"}


async def test_the_pooler_and_the_broker_restart(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def restart() -> None:
        cluster.pooler.kill()
        await asyncio.sleep(2)
        cluster.pooler.start()
        await asyncio.sleep(3)
        cluster.broker.kill()
        cluster.broker.start()

    ends = await _ends(cluster, restart, monkeypatch)
    assert set(ends) <= {"done", "interrupted"}
    assert ends["done"] > 10


async def test_nothing_was_refused_and_no_session_state_was_missed(cluster: Cluster) -> None:
    """Users of Redis may do all that the program does; nothing relies on a session of PostgreSQL."""
    for process in cluster.stack.processes:
        said = process.output()
        for sign in ("NOPERM", "NoPermission", "prepared_statements_disabled", "InvalidCursorName", "command_crashed"):
            assert sign not in said, (process.name, sign)
    assert "beat_leads" in (cluster.stack.beat.output() if cluster.stack.beat else "")
