"""The systems that are measured: ours and the two baselines. Each tells its address and its processes by role.

Everything listens on loopback or a unix socket, has its own folder, and ends with the runner (`config.stack.leash`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from config.stack import leash
from config.stack.valkey import PrivateValkey
from tests.servers import servers
from tests.stack import ROOT, Stack

# The server's own defaults, fsync and all; only room for the connections of many processes.
SCRAPE_SECONDS: Final = 5.0
POSTGRES: Final = {"max_connections": "300"}


class Upstream:
    """The scripted model server, in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.upstream"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.root = f"http://127.0.0.1:{json.loads(self.process.stdout.readline())['port']}"
        self.url = f"{self.root}/v1"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.root + path, timeout=30) as response:  # noqa: S310 -- our own server
            return json.load(response)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


@dataclass
class System:
    """What a section measures. `roles`: process ids, whose descendants count too."""

    name: str
    urls: list[str]
    roles: dict[str, list[int]]
    plain: bool
    sessions: list[str] = field(default_factory=list)
    rooms: list[list[tuple[str, list[str]]]] = field(default_factory=list)
    stack: Stack | None = None


def environment(upstream: Upstream) -> dict[str, str]:
    return {"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "bench"}


@contextlib.contextmanager
def run_ours(
    upstream: Upstream,
    *,
    web: int,
    workers: int,
    people: int,
    rooms: list[str],
    models: list[str],
    metrics: str = "on",
    env: Mapping[str, str] | None = None,
    env_of: Mapping[str, Mapping[str, str]] | None = None,
    postgres: Mapping[str, str] | None = None,
) -> Generator[System, None, None]:
    """The project as it is run, with `people` logged in and rooms of them (`NUMBERxSIZE`). `metrics`: see `--help`.

    `env`, and `env_of` by the process's name, change its environment; `postgres` are further settings of that server.
    """
    settings = {
        **environment(upstream),
        "CHAT_MODELS": ",".join(models),
        "LOGIN_RATE": "1000/m/ip",
        "TIMING_STAMPS": "1",
        "ASR_BACKENDS": "",
        "SHARE_WITH_ANYONE": "1",
        "RATE_SHARE_OPENS": "off",
        "RATE_WATCHERS_PER_ADDRESS": "off",
        **(env or {}),
    }
    if metrics == "off":
        settings["METRICS"] = "0"
    elif metrics == "scraped":
        settings |= {"WEB_METRICS_PORT": "0", "WORKER_METRICS_PORT": "0"}
    stack = Stack(web=web, workers=workers, beat=False, env=settings, env_of=env_of, own_postgres=True)
    stack.postgres.options = {**POSTGRES, **(postgres or {})}
    try:
        stack.start()
        made = run_module(stack.env, "tests.bench.people", f"--people={people}", "--rooms", *rooms)
        roles = {
            "web": [one.pid for one in stack.webs],
            "worker": [one.pid for one in stack.workers],
            "redis": [pid_of(stack.redis.process)],
            "postgres": [pid_of(stack.postgres.process)],
        }
        urls = [one.url for one in stack.webs]
        with scraping(stack) if metrics == "scraped" else contextlib.nullcontext():
            yield System("antiphon", urls, roles, False, made["sessions"], made["rooms"], stack)
    except BaseException:
        print(stack.logs(), file=sys.stderr)
        raise
    finally:
        stack.stop()


@contextlib.contextmanager
def scraping(stack: Stack) -> Generator[None, None, None]:
    """What Prometheus does meanwhile, three times as often as usual."""
    lines = [line for one in stack.processes for line in one.output().splitlines() if '"event": "metrics"' in line]
    ports = [json.loads(line)["port"] for line in lines]
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(SCRAPE_SECONDS):
            for port in ports:
                with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                    page.read()

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)


@contextlib.contextmanager
def run_fastapi(upstream: Upstream) -> Generator[System, None, None]:
    port = free_port()
    command = ["-m", "uvicorn", "tests.bench.baseline_fastapi:app", f"--port={port}", "--log-level=warning"]
    process = start(command, "fastapi", {**os.environ, **environment(upstream)})
    try:
        await_port(process, port)
        yield System("fastapi", [f"http://127.0.0.1:{port}"], {"web": [process.pid]}, True)
    finally:
        leash.end(process, seconds=3)


@contextlib.contextmanager
def run_tutorial(upstream: Upstream) -> Generator[System, None, None]:
    redis = PrivateValkey(servers.folder / "t")
    redis.start()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        env = {
            **os.environ,
            **environment(upstream),
            "REDIS_URL": redis.url,
            "BROKER_URL": redis.url.replace("unix://", "redis+socket://"),
            "DJANGO_SETTINGS_MODULE": "tests.bench.baseline_tutorial.settings",
        }
        port = free_port()
        application = "tests.bench.baseline_tutorial.asgi:application"
        web = start(["-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0", application], "tutorial-web", env)
        processes.append(web)
        worker = start(
            ["-m", "celery", "-A", "tests.bench.baseline_tutorial.worker", "worker", "--pool=prefork",
             "--concurrency=4", "--loglevel=warning"],
            "tutorial-worker", env,
        )  # fmt: skip
        processes.append(worker)
        await_port(web, port)
        roles = {"web": [web.pid], "worker": [worker.pid], "redis": [pid_of(redis.process)]}
        yield System("tutorial", [f"http://127.0.0.1:{port}"], roles, True)
    finally:
        for process in processes:
            leash.end(process, seconds=3)
        redis.stop()


def start(arguments: list[str], name: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    with log_of(name).open("ab") as log:
        return leash.start([sys.executable, *arguments], env=env, cwd=ROOT, output=log)


def log_of(name: str) -> Path:
    return servers.folder / f"{name}.log"


def pid_of(process: subprocess.Popen[bytes] | None) -> int:
    assert process is not None
    return process.pid


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def await_port(process: subprocess.Popen[bytes], port: int, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            logs = "\n".join(path.read_text(errors="replace")[-3000:] for path in servers.folder.glob("*.log"))
            raise RuntimeError(f"a baseline ended with {process.returncode}:\n{logs}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port} after {seconds} s")


def run_module(env: dict[str, str], module: str, *arguments: str) -> Any:
    """Runs a module that prints JSON; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
