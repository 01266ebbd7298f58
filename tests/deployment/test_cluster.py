"""Two machines behind nginx, with PgBouncer in transaction mode, RabbitMQ with quorum queues, Redis with users and TLS.

Event logs are on two servers, the cache on another, and jobs in RabbitMQ. Each machine has workers for some queues.

Three pages chat while machines are deployed one after the other, one is killed whole, and the pooler and the broker
restart. The history checker judges what every page received (tests/history).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import servers
from tests.deployment.closing import let_connections_close
from tests.deployment.proxies import Nginx
from tests.deployment.tls import make_certificate
from tests.deployment.visitors import ends_of_answers
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import model_env
from tests.rabbitmq import PrivateRabbitMQ, free_ports, is_installed
from tests.stack import Process, Stack, Web, Worker
from tests.templates import ROOT

MISSING = [
    name for name in ("nginx", "pgbouncer", "redis-server") if not servers.installed(name)
] + ([] if is_installed() else ["rabbitmq-server"])  # fmt: skip
__all__ = ["let_connections_close"]  # for the tests here
pytestmark = [
    pytest.mark.asyncio(loop_scope="function"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed (Debian: apt install {' '.join(MISSING)})"),
    pytest.mark.timeout(400),
]

PROGRAM = ("accounts", "chat", "config", "workers", "templates", "manage.py")


@dataclass
class Cluster:
    """`machines`: what runs on each of the two."""

    stack: Stack
    nginx: Nginx
    pooler: servers.Server
    broker: PrivateRabbitMQ
    stores: list[servers.Server]  # of everything else, of event logs (two), of the cache
    trust: ssl.SSLContext

    @property
    def machines(self) -> list[tuple[Web, Worker]]:
        return list(zip(self.stack.webs, self.stack.workers, strict=True))


@pytest.fixture(scope="module")
def cluster() -> Generator[Cluster, None, None]:
    folder = Path(tempfile.mkdtemp(prefix="antiphon-cluster-"))  # which PgBouncer's user may enter, unlike pytest's
    folder.chmod(0o711)
    certificate = make_certificate(folder)
    ports = free_ports(4)
    stores = [
        servers.valkey(folder / f"redis{number}", port, certificate=certificate) for number, port in enumerate(ports)
    ]
    main, *logs, cache = [
        f"rediss://antiphon:{servers.REDIS_PASSWORD}@localhost:{port}/0?ssl_ca_certs={certificate.certificate}"
        for port in ports
    ]
    broker = PrivateRabbitMQ(folder / "rabbitmq")
    nginx = Nginx(folder / "nginx", certificate, ())
    with contextlib.ExitStack() as ending, FakeOpenAI() as upstream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Process, "forked", False)
        patch.setattr(Process, "forked_again", False)
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        env = {
            **model_env(upstream), "HTTPS": "1", "TRUSTED_PROXIES": "1", "ALLOWED_HOSTS": "localhost",
            "ALLOWED_ORIGINS": nginx.url, "LOGIN_RATE": "100000/m/ip", "RUN_LEASE_SECONDS": "4",
            "VAPID_PRIVATE_KEY": base64.urlsafe_b64encode(bytes(range(1, 33))).rstrip(b"=").decode(),
            "WORKER_DRAIN_SECONDS": "12", "DATABASE_POOLER": "transaction", "BROKER_QUEUE_TYPE": "quorum",
            "CELERY_BROKER_URL": broker.url,
            "REDIS_URL": main, "EVENT_LOG_REDIS_URLS": ",".join(logs), "CACHE_REDIS_URL": cache,
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
        for worker, queues in zip(
            stack.workers, ("answers,speech,tools", "answers,files,moderation,maintenance"), strict=True
        ):
            worker.command.append(f"--queues={queues}")
        for process in (stack.webs[1], stack.workers[1]):
            process.root, process.env["ANTIPHON_VAR"] = second, str(folder / "var2")
        started: list[servers.Server | PrivateRabbitMQ] = [*stores, broker]
        for server in started:
            ending.callback(server.stop)
            server.start()
        ending.callback(stack.stop)
        ending.callback(pooler.stop)
        ending.callback(nginx.stop)
        stack.postgres.options["max_connections"] = "100"
        _start(stack, pooler)
        nginx.upstreams = [web.port for web in stack.webs]
        nginx.start()
        yield Cluster(stack, nginx, pooler, broker, stores, certificate.trusted())


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


async def _ends(
    cluster: Cluster, how: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    return await ends_of_answers(cluster.stack, how, monkeypatch, url=cluster.nginx.url, trust=cluster.trust)


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


async def test_conversations_are_spread_over_both_servers_of_event_logs(cluster: Cluster) -> None:
    """And over no other; the tests before have made them."""
    script = "from django.core.cache import cache; cache.set('a', 1); assert cache.get('a') == 1"
    await asyncio.to_thread(cluster.stack.manage, "shell", "--no-imports", "-c", script)
    main, *logs, cache = [_keys(cluster, store) for store in cluster.stores]
    assert all(any(name.startswith("log:") for name in keys) for keys in logs), logs
    assert not any(name.startswith("log:") for name in (*main, *cache))
    assert not any(name.startswith(("ticket:", "worker:", "cache")) for keys in logs for name in keys)
    assert cache
    assert all(name.startswith("cache") for name in cache), cache


def _keys(cluster: Cluster, store: servers.Server) -> list[str]:
    found = subprocess.run(
        ["redis-cli", "--tls", "--cacert", str(cluster.nginx.certificate.certificate), "-p", str(store.port), "--user",
         "antiphon", "--pass", servers.REDIS_PASSWORD, "--no-auth-warning", "--scan"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return found.stdout.split()


async def test_check_deploy_finds_all_processes(cluster: Cluster) -> None:
    found = await asyncio.to_thread(_check, cluster.stack)
    said = {one["name"]: (one["level"], one["said"]) for one in found["findings"]}
    assert said["processes"][1].startswith("2 web, 2 worker, 1 beat, all of version"), said
    assert [name for name, (level, _) in said.items() if level != "ok"] == [], said
    assert "EVENT_LOG_REDIS_URLS (2) 7" in said["stores"][1]
    assert "answers 0" in said["queues"][1], "RabbitMQ counts"


def _check(stack: Stack) -> Any:
    done = stack.commands.run("check_deploy", "--json")
    return json.loads(done.out)


async def test_nothing_was_refused_and_no_session_state_was_missed(cluster: Cluster) -> None:
    """Users of Redis may do all that the program does; nothing relies on a session of PostgreSQL."""
    for process in cluster.stack.processes:
        said = process.output()
        for sign in ("NOPERM", "NoPermission", "prepared_statements_disabled", "InvalidCursorName", "command_crashed"):
            assert sign not in said, (process.name, sign)
    assert "beat_leads" in (cluster.stack.beat.output() if cluster.stack.beat else "")
