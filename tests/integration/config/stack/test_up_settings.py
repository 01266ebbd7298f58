"""`manage.py up` starts under each combination of the settings that change what processes log and where they listen."""

from __future__ import annotations

import http.client
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.config.stack.up import Up
from tests.servers import servers
from tests.stack import make_database

pytestmark = pytest.mark.timeout(600)  # as in test_up

# Each pair of values of two settings is in one of these; the levels of logs count as loud and quiet.
COMBINATIONS = [
    # level, format, METRICS, HTTPS, web and worker processes
    ("DEBUG", "human", "0", "0", (1, 1)),
    ("INFO", "json", "1", "1", (1, 2)),
    ("DEBUG", "json", "1", "0", (3, 2)),
    ("WARNING", "human", "1", "1", (3, 2)),
    ("ERROR", "json", "0", "1", (3, 2)),
    ("WARNING", "json", "1", "0", (1, 1)),
    ("INFO", "human", "0", "1", (1, 1)),
]


@pytest.fixture(scope="module")
def database() -> str:
    """One database for all of them; the cast is in it."""
    name = f"up_{uuid.uuid4().hex}"
    make_database(servers.postgres, name)
    return servers.postgres.url(name)


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all of them: only the first start prepares the database."""
    return tmp_path_factory.mktemp("up") / "var"


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that are free now."""
    for first in range(21_000, 60_000, 41):
        try:
            for number in range(first, first + count):
                socket.create_server(("127.0.0.1", number)).close()
        except OSError:
            continue
        return first
    raise AssertionError(f"no {count} free ports in a row")


def get(address: str, path: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(("level", "form", "metrics", "https", "size"), COMBINATIONS)
def test_it_starts(
    up: Callable[..., Up],
    database: str,
    var: Path,
    level: str,
    form: str,
    metrics: str,
    https: str,
    size: tuple[int, int],
) -> None:
    web, workers = size
    first = free_ports(web + workers)
    one = up(
        "--port=0", f"--web={web}", f"--workers={workers}",
        LOG_LEVEL=level, LOG_FORMAT=form, METRICS=metrics, HTTPS=https, STATIC_VERSIONED="0",
        DATABASE_URL=database, REDIS_URL=servers.redis.url, var=var, forked=True,
        WEB_METRICS_PORT=str(first), WORKER_METRICS_PORT=str(first + web),
    )  # fmt: skip
    one.await_start()
    address = one.known["url"].removeprefix("http://")
    assert get(address, "/readyz") == 200
    assert get(address, "/accounts/login/") == (301 if https == "1" else 200)
    ports = range(first, first + web + workers)
    if metrics == "1":
        assert [get(f"127.0.0.1:{port}", "/metrics") for port in ports] == [200] * len(ports)
    else:
        assert get(address, "/metrics") == 404
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                get(f"127.0.0.1:{port}", "/metrics")
