"""The ways to Redis: sockets, TLS, Sentinel, both event loops; and what the layer takes from redis-py's inside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import uvloop
from channels_redis.utils import create_pool
from redis.asyncio.connection import DefaultParser

from chat.channel_layer import StreamingChannelLayer, resp
from config.stack import leash
from config.stack.valkey import PrivateValkey, binary
from tests.integration.chat.channel_layer.layer_servers import (
    command,
    frozen,
    make_certificate,
    tcp_front,
    until,
)

Run = Callable[[Any], None]
both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@pytest.fixture
def certificate() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield make_certificate(Path(folder))


async def converse(layer: StreamingChannelLayer, kind: type[Any]) -> None:
    """Publishing and receiving of many small and one large message over wires of the expected kind."""
    inbox: list[dict[str, Any]] = []
    channel = await layer.new_channel()
    layer.attach(channel, inbox.append)
    await layer.group_add("g", channel)
    await asyncio.gather(*(layer.group_send("g", {"type": "m", "n": n}) for n in range(2000)))
    await layer.group_send("g", {"type": "m", "n": 2000, "x": "x" * 3_000_000})
    await until(lambda: len(inbox) == 2001)
    assert [message["n"] for message in inbox] == list(range(2001))
    shard = layer._get_layer()._shards[0]
    assert type(shard.publisher._connection) is kind
    assert type(shard.subscriber._connection) is kind


def no_warnings(run: Run, main: Any) -> None:
    """Runs to the end of the loop without closing the layer: the loop's end has to do it, leaving nothing open."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        began = time.monotonic()
        run(main)
        assert time.monotonic() - began < 8, "something waited for its timeout"
        gc.collect()


@both_loops
def test_unix_socket(server: PrivateValkey, run: Run) -> None:
    layer = StreamingChannelLayer(hosts=[server.url])
    no_warnings(run, converse(layer, resp.DirectConnection))
    assert layer._layers == {}


@both_loops
def test_ends_and_silence_are_noticed(server: PrivateValkey, run: Run) -> None:
    """The loops differ in when they tell of an end; test_layer_loss.py has the cases, on asyncio's."""

    async def main() -> None:
        layer = StreamingChannelLayer(hosts=[server.url], timeout=0.4, ping_interval=0.4)
        inbox: list[dict[str, Any]] = []
        channel = await layer.new_channel()
        layer.attach(channel, inbox.append)
        await layer.group_send("g", {"type": "m"})
        server.kill()
        server.start()
        await layer.group_send("g", {"type": "m"})
        await until(lambda: len(inbox) == 1)
        with frozen(server):
            with pytest.raises(redis.TimeoutError):
                await layer.group_send("g", {"type": "m"})
            subscriber = layer._get_layer()._shards[0].subscriber
            await until(lambda: subscriber._connection is None)
        await until(lambda: len(inbox) == 2)
        await layer.group_send("g", {"type": "m"})
        await layer.close()

    no_warnings(run, main())


@both_loops
@pytest.mark.parametrize("form", ["url", "pair", "dict"])
def test_tcp(server: PrivateValkey, run: Run, form: str) -> None:
    async def main() -> None:
        async with tcp_front(server) as port:
            host = {
                "url": f"redis://127.0.0.1:{port}/0?protocol=3",
                "pair": ("127.0.0.1", port),
                "dict": {"host": "127.0.0.1", "port": port, "decode_responses": True, "client_name": "layer"},
            }[form]
            layer = StreamingChannelLayer(hosts=[host])
            await converse(layer, resp.DirectConnection)
            await layer.close()

    no_warnings(run, main())


@both_loops
def test_tls(server: PrivateValkey, certificate: tuple[Path, Path], run: Run) -> None:
    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        async with tcp_front(server, context) as port:
            layer = StreamingChannelLayer(
                hosts=[{"address": f"rediss://127.0.0.1:{port}", "ssl_ca_certs": str(certificate[0])}]
            )
            await converse(layer, resp.DirectConnection)
            await layer.close()
            stranger = StreamingChannelLayer(hosts=[f"rediss://127.0.0.1:{port}"], timeout=1)
            with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
                await stranger.group_send("g", {"type": "m"})
            await stranger.close()

    run(main())


@both_loops
def test_the_public_way_works_where_the_fast_one_does_not(
    server: PrivateValkey, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redis-py that keeps its transport elsewhere: slower, and nothing else."""
    monkeypatch.setattr(resp, "transport_of", lambda connection: None)

    async def main() -> None:
        layer = StreamingChannelLayer(hosts=[server.url])
        await converse(layer, resp.FallbackConnection)
        inbox: list[dict[str, Any]] = []
        channel = await layer.new_channel()
        layer.attach(channel, inbox.append)
        with pytest.raises(redis.ResponseError):
            await layer.group_execute("g", "NO-SUCH-COMMAND")
        server.kill()
        server.start()
        await until(lambda: inbox == [{"type": "layer.reset"}])
        await layer.close()

    no_warnings(run, main())


@both_loops
def test_redis_py_still_is_what_the_fast_way_takes_over(server: PrivateValkey, run: Run) -> None:
    """Fails when redis-py changes what `chat/channel_layer/resp.py` relies on; until fixed, the slow path is taken."""

    async def main() -> None:
        pool = create_pool({"address": server.url})
        connection = pool.make_connection()
        assert resp.transport_of(connection) is None
        await connection.connect()
        transport = resp.transport_of(connection)
        assert transport is not None
        assert transport.get_extra_info("socket").fileno() > 0
        assert not await connection.can_read()
        # The fast way's error replies become redis-py's exceptions.
        assert type(DefaultParser.parse_error("NOPERM no")) is redis.exceptions.NoPermissionError  # type: ignore[no-untyped-call]
        await connection.disconnect()
        assert resp.transport_of(connection) is None
        await pool.aclose()

    run(main())


def test_what_is_not_redis_is_dropped() -> None:
    async def main() -> None:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            await reader.read(100)
            writer.close()

        front = await asyncio.start_server(babble, "127.0.0.1", 0)
        layer = StreamingChannelLayer(hosts=[front.sockets[0].getsockname()[:2]], timeout=0.5)
        with pytest.raises(redis.RedisError):
            await layer.group_send("g", {"type": "m"})
        await layer.close()
        front.close()
        await front.wait_closed()

    asyncio.run(main())


# --- Sentinel ---


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def tcp_redis(folder: Path, port: int, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{port}.log").open("wb") as log:
        process = leash.start(
            [str(binary()), *arguments, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)], output=log
        )
    try:
        deadline = time.monotonic() + 10
        with redis.Redis(port=port) as client:
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, (folder / f"{port}.log").read_text()
        yield process
    finally:
        leash.end(process)


def test_sentinel_leads_to_the_new_master() -> None:
    async def main(sentinel: int, master: int, kill: Callable[[], object]) -> None:
        host = {"sentinels": [("127.0.0.1", sentinel)], "master_name": "main"}
        layer = StreamingChannelLayer(hosts=[host], timeout=10)
        inbox: list[dict[str, Any]] = []
        channel = await layer.new_channel()
        layer.attach(channel, inbox.append)
        await layer.group_add("g", channel)
        await layer.group_send("g", {"type": "m", "n": 1})
        await until(lambda: len(inbox) == 1)
        kill()
        await until(lambda: inbox[-1] == {"type": "layer.reset"}, seconds=30)
        await layer.group_send("g", {"type": "m", "n": 2})
        await until(lambda: inbox[-1] == {"type": "m", "n": 2})
        assert await layer.group_execute("g", "SET", "k", "v") == b"OK"  # a replica would refuse
        await layer.close()

    with tempfile.TemporaryDirectory(dir="/tmp") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        ports = [free_port() for _ in range(3)]
        quiet = ("--save", "", "--repl-diskless-sync-delay", "0", "--repl-diskless-sync", "yes")
        first = stack.enter_context(tcp_redis(folder, ports[0], *quiet))
        stack.enter_context(tcp_redis(folder, ports[1], *quiet, "--replicaof", "127.0.0.1", str(ports[0])))
        with redis.Redis(port=ports[1]) as replica:
            deadline = time.monotonic() + 15
            while command(replica, "INFO", "replication").get("master_link_status") != "up":
                assert time.monotonic() < deadline
        config = folder / "sentinel.conf"
        config.write_text(
            f"sentinel monitor main 127.0.0.1 {ports[0]} 1\nsentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 3000\n"
        )
        stack.enter_context(tcp_redis(folder, ports[2], str(config), "--sentinel"))
        with redis.Redis(port=ports[2]) as sentinel:
            deadline = time.monotonic() + 15
            while not sentinel.sentinel_slaves("main"):
                assert time.monotonic() < deadline
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            asyncio.run(main(ports[2], ports[0], lambda: leash.end(first)))
            gc.collect()
