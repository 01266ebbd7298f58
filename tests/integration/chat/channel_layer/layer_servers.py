"""What the channel layer's tests stand on: Redis servers that may be killed or frozen, a TLS front, patience."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from chat.channel_layer import StreamingChannelLayer
from config.stack.valkey import PrivateValkey

Make = Callable[..., StreamingChannelLayer]


@contextlib.asynccontextmanager
async def layers_of(url: str) -> AsyncIterator[Make]:
    """Makes layers on the Redis there, which are closed at the end; each counts as another process. Nothing of them may
    stay behind.
    """
    made: list[StreamingChannelLayer] = []

    def build(**config: Any) -> StreamingChannelLayer:
        made.append(StreamingChannelLayer(**{"hosts": [url]} | config))
        return made[-1]

    before = asyncio.all_tasks()
    yield build
    for layer in made:
        await layer.close()
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}


@contextlib.contextmanager
def own_redis() -> Iterator[PrivateValkey]:
    """A Redis of this test alone, to be killed, restarted or frozen."""
    with tempfile.TemporaryDirectory(prefix="layer-", dir="/tmp") as folder:
        server = PrivateValkey(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def frozen(server: PrivateValkey) -> Iterator[None]:
    """Redis is there and accepts connections, but nothing answers: a black hole."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Waits for what another process or task brings about; fails the test after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not happen within {seconds} s: {condition}") from None


@contextlib.contextmanager
def client_of(url: str) -> Iterator[redis.Redis]:
    """A plain synchronous client, to look at Redis from the side."""
    client = redis.Redis.from_url(url, socket_timeout=5)
    try:
        yield client
    finally:
        client.close()


def command(client: redis.Redis, *args: Any) -> Any:
    return client.execute_command(*args)  # type: ignore[no-untyped-call]  # redis-py


def calls_of(url: str, command: str) -> int:
    """How often Redis has carried out a command."""
    with client_of(url) as client:
        stats: dict[str, Any] = client.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


def subscribers_of(url: str, address: str) -> int:
    with client_of(url) as client:
        return int(client.pubsub_numsub(address)[0][1])


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1",
            "-addext", "subjectAltName=IP:127.0.0.1",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@contextlib.asynccontextmanager
async def tcp_front(server: PrivateValkey, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port on loopback that passes bytes to the server's socket, over TLS when a context is given."""
    tasks: set[asyncio.Task[Any]] = set()

    async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        behind_reader, behind_writer = await asyncio.open_unix_connection(str(server.socket))
        await asyncio.gather(pass_on(reader, behind_writer), pass_on(behind_reader, writer))
        for each in (writer, behind_writer):
            with contextlib.suppress(OSError):
                await each.wait_closed()

    front = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield front.sockets[0].getsockname()[1]
    finally:
        front.close()
        await front.wait_closed()
        if tasks:
            await asyncio.wait(set(tasks), timeout=5)
