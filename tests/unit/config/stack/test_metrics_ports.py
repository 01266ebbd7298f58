"""Which port each process of a kind shows its metrics on."""

from __future__ import annotations

import socket
from collections.abc import Generator

import pytest

from config.stack.errors import StackError
from config.stack.metrics_ports import assign

HOST = "127.0.0.1"
NAMES = {"web": ["web1", "web2"], "worker": ["worker1", "worker2"]}


@pytest.fixture
def free() -> int:
    """The first of four ports that are free now."""
    for first in range(20_000, 60_000, 37):
        try:
            for number in range(first, first + 4):
                socket.create_server((HOST, number)).close()
        except OSError:
            continue
        return first
    raise AssertionError("no four free ports in a row")


@pytest.fixture
def taken() -> Generator[int, None, None]:
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_each_process_gets_the_next_port(free: int) -> None:
    found = assign(NAMES, {"web": free, "worker": free + 2}, HOST)
    assert found == {
        "web1": {"WEB_METRICS_PORT": str(free)},
        "web2": {"WEB_METRICS_PORT": str(free + 1)},
        "worker1": {"WORKER_METRICS_PORT": str(free + 2)},
        "worker2": {"WORKER_METRICS_PORT": str(free + 3)},
    }


def test_no_port_and_free_ports() -> None:
    found = assign(NAMES, {"web": None, "worker": 0}, HOST)
    assert found == {"worker1": {"WORKER_METRICS_PORT": "0"}, "worker2": {"WORKER_METRICS_PORT": "0"}}


def test_a_port_in_use_is_named_with_its_setting(taken: int) -> None:
    with pytest.raises(StackError) as refused:
        assign({"web": [], "worker": ["worker1"]}, {"web": None, "worker": taken}, HOST)
    assert str(refused.value) == (
        f"WORKER_METRICS_PORT: port {taken} on 127.0.0.1, for the metrics of worker1, cannot be had (another process "
        "uses it, or METRICS_HOST is not an address of this machine): choose another WORKER_METRICS_PORT, or 0 for "
        "free ports."
    )


def test_two_processes_never_want_the_same_port(free: int) -> None:
    with pytest.raises(StackError, match=rf"worker1 would get port {free + 1}, which the metrics of web2 use"):
        assign(NAMES, {"web": free, "worker": free + 1}, HOST)
    with pytest.raises(StackError, match=rf"web2 would get port {free + 1}, which the pages \(--port\) use"):
        assign(NAMES, {"web": free, "worker": None}, HOST, taken=free + 1)


def test_a_port_beyond_the_last_one_is_refused(free: int) -> None:
    for first in (-1, 70_000):
        with pytest.raises(StackError, match="ports go from 1 to 65535"):
            assign(NAMES, {"web": first, "worker": None}, HOST)
