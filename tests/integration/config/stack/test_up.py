"""`manage.py up`: from nothing to a page that answers, and to nothing again."""

from __future__ import annotations

import asyncio
import re
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import psutil
import pytest

from tests.client import Session
from tests.integration.config.stack.up import STARTED, STEP, Up, still_there
from tests.servers import servers
from tests.stack import get_status

pytestmark = pytest.mark.timeout(900)  # a busy machine takes minutes to start; what hangs says nothing more

STATIC = re.compile(r"/static/[^\"'\s)#]+")
RELATIVE = re.compile(r"""(?:from\s*|import\s*\(?|url\()["']?(\.{0,2}/[^"')\s]+)""")  # of ES modules and CSS
HASHED = re.compile(r"\.[0-9a-f]{12}\.\w+$")

Starter = Callable[..., Up]


async def test_from_nothing_to_an_answer_and_back_beside_another(up: Starter, old_data: Path) -> None:
    first, other = up("--port=0", "--web=2"), up(var=old_data, STATIC_VERSIONED="0", forked=True)
    await asyncio.to_thread(first.await_start)
    await asyncio.to_thread(other.await_start)
    url = first.known["url"]
    assert other.known["url"] != url
    assert other.known["database_url"] != first.known["database_url"]
    assert url in first.output()
    for name in ("stack.json", "secret_key", "pg.password"):
        assert stat.S_IMODE((first.var / name).stat().st_mode) == 0o600, name
    # A busy machine also says how far the database is.
    assert [step for step in first.steps() if not step.startswith("Still preparing")] == [
        "Reading the settings",
        "Creating PostgreSQL's files",
        "Starting Valkey",
        "Preparing the database and the static files",
        "Starting beat, worker1, web1, web2",
    ]
    block = first.output().partition(STARTED)[2].splitlines()
    assert block[-1].strip("─") == "", "nothing was written below it yet"
    await asyncio.to_thread(check_other_commands, first)

    assert first.password is not None
    new = await asyncio.to_thread(change_password, first)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        browser = Session(url, http)
        await browser.login("admin@localhost", new)
        await check_static_files(http, url)
        client = await browser.connect()
        said = await client.say("Hello")
        assert (await client.ended(said["run_id"], 30))["ended"] == "run.done"
        await client.say("And what now?", said["conversation_id"])
        await client.next("run.delta")
        await asyncio.to_thread(check_the_end, first)  # in the middle of an answer
        assert await client.closed() == 4000
    assert get_status(other.known["url"], "/readyz") == 200


async def check_static_files(http: aiohttp.ClientSession, url: str) -> None:
    """Each file the page names, and each that those name, carries a hash in its name and may be kept for ever."""
    async with http.get(url + "/") as page:
        assert page.status == 200
        waiting = set(STATIC.findall(await page.text()))
    assert any(name.endswith(".js") for name in waiting)
    assert any(name.endswith(".css") for name in waiting)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        async with http.get(url + name) as file:
            assert file.status == 200, name
            assert HASHED.search(name), f"{name} is not versioned"
            assert "immutable" in file.headers["Cache-Control"], name
            if name.endswith((".js", ".css")):
                text = await file.text()
                named = {urljoin(name, found) for found in RELATIVE.findall(text)}
                waiting |= {other for other in named if other.startswith("/static/")} - seen


def check_other_commands(first: Up) -> None:
    """Another command finds the private servers; a second `up` says that there is one."""
    found = first.manage("shell", "--no-imports", "-c", "from accounts.models import User; print(User.objects.count())")
    assert found.stdout.strip() == "1", found.stderr
    again = Up(first.var, forked=True)
    again.start()
    assert again.popen is not None
    assert again.popen.wait(60) == 1  # it reads the settings first, which takes 14 s at a load of 20
    assert f"already running on {first.var} at {first.known['url']}" in again.output()


def change_password(first: Up) -> str:
    """Sets another password with the command that the block names."""
    [command] = re.findall(r"^  Reset +(.+)$", first.output(), re.MULTILINE)
    assert command.split()[1:] == ["manage.py", "changepassword", "admin@localhost"]
    new = "a better password than that"
    changed = first.manage(*command.split()[2:], stdin=f"{new}\n{new}\n")
    assert "Password changed successfully" in changed.stdout, changed.stderr
    return new


def check_the_end(first: Up) -> None:
    """Ctrl-C: over within 15 s, and nothing left. What its processes have started ends by itself, as they do."""
    everything = first.descendants()
    assert first.popen is not None
    children = psutil.Process(first.popen.pid).children()
    began = time.monotonic()
    first.popen.send_signal(signal.SIGINT)
    assert first.popen.wait(15) == 0
    assert time.monotonic() - began < 15
    assert still_there(children, 0) == []
    assert still_there(everything, 5) == []
    assert not (first.var / "stack.json").exists()


def await_ready(first: Up, worker: str, times: int) -> None:
    """Waits until a worker has been ready so often, which it says when it begins."""
    deadline = time.monotonic() + 200
    while len(re.findall(rf'"{worker}@\S+ ready\."', first.output())) < times:
        assert time.monotonic() < deadline, first.output()[-3000:]
        time.sleep(0.05)


def test_a_child_that_dies_or_hangs_is_started_again_and_a_killed_up_takes_all_with_it(
    up: Starter, old_data: Path
) -> None:
    env = {"ADMIN_EMAIL": "boss@example.org", "ADMIN_PASSWORD": "an admin's own password", "STATIC_VERSIONED": "0"}
    first = up(var=old_data, PROCESS_STUCK_SECONDS="4", **env)
    first.await_start()
    assert "boss@example.org" in first.output()
    assert first.password is None, "a given password is not printed"
    for words in ("manage.py serve", "manage.py worker", "manage.py beat"):
        dead = first.child(words)
        dead.kill()
        assert still_there([dead], 5) == []
    for words in ("bin/postgres", "valkey-server"):
        first.child(words).kill()
    first.await_output("postgres ended; restarting it")
    first.await_output("valkey ended; restarting it")
    first.await_output("web1 ended (SIGKILL); restarting it in 0.5 s")
    first.await_output("worker1 ended (SIGKILL)")
    first.await_output("beat ended (SIGKILL)")
    deadline = time.monotonic() + 30
    while get_status(first.known["url"], "/readyz") != 200:
        assert time.monotonic() < deadline, first.output()[-3000:]

    asked = first.child("bin/postgres")
    asked.terminate()  # it waits for the open connections, and lets nobody in
    first.await_output("postgres was asked to shut down; closing its connections and restarting it", 10)
    assert still_there([asked], 10) == []
    deadline = time.monotonic() + 30
    while get_status(first.known["url"], "/readyz") != 200:
        assert time.monotonic() < deadline, first.output()[-3000:]

    await_ready(first, "worker1", 2)  # one that has not begun yet cannot be stuck
    assert "hangs" not in first.output(), "Valkey and PostgreSQL were away, which is no hang"
    frozen = [first.child(words) for words in ("manage.py serve", "manage.py worker", "manage.py beat")]
    for process in frozen:
        process.suspend()
    for name in ("web1", "worker1", "beat"):
        first.await_output(f"{name} is stuck: no heartbeat for 4 s; killing it", 40)
    assert still_there(frozen, 5) == []
    deadline = time.monotonic() + 30
    while get_status(first.known["url"], "/readyz") != 200:
        assert time.monotonic() < deadline, first.output()[-3000:]

    everything = first.descendants()
    assert first.popen is not None
    first.popen.kill()
    assert still_there(everything, 10) == []

    # On the same data, whose lock, sockets and lock files a killed one has left.
    second = up(var=old_data, STATIC_VERSIONED="0", forked=True)
    second.await_start()
    assert "boss@example.org" in second.output()


def refusal(starter: Starter, *options: str, **env: Any) -> str:
    """The one sentence with which `up` refuses; exit code 1 and nothing left behind."""
    refused = starter(*options, forked=True, **env)
    assert refused.popen is not None
    children: list[psutil.Process] = []
    while refused.popen.poll() is None:
        children = refused.descendants() or children
        time.sleep(0.1)
    assert refused.popen.returncode == 1
    assert still_there(children, 5) == []
    lines = [line for line in refused.output().splitlines() if not STEP.fullmatch(line)]
    assert len(lines) == 1, lines
    return lines[0]


def test_a_taken_port_is_said_in_one_sentence(up: Starter) -> None:
    from config.stack.ports import open_socket

    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = refusal(up, f"--port={port}")
    assert f"Port {port} on 127.0.0.1 is taken: choose another" in said


def test_a_taken_metrics_port_is_said_in_one_sentence(up: Starter) -> None:
    from config.stack.ports import open_socket

    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = refusal(up, "--port=0", "--workers=2", WORKER_METRICS_PORT=str(port - 1))
    assert f"WORKER_METRICS_PORT: port {port} on 127.0.0.1, for the metrics of worker2, cannot be had" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("antiphon:", "antiphon:wrong"), "rejects the password of 'antiphon': correct it in DATABASE_URL"),
        (("/antiphon?", "/nowhere?"), "has no database 'nowhere': create it"),
        (("://antiphon:", "://nobody-here:"), "rejects the password of 'nobody-here'"),
        (("host=", "host=/nowhere"), "cannot be reached: start it, correct DATABASE_URL, or unset it"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_in_one_sentence(
    up: Starter, change: tuple[str, str], words: str
) -> None:
    url = servers.postgres.url()
    assert words in refusal(up, DATABASE_URL=url.replace(*change, 1), REDIS_URL=servers.redis.url)


def test_a_redis_that_cannot_be_reached_is_said_in_one_sentence(up: Starter) -> None:
    servers.postgres.create_database("antiphon")
    said = refusal(up, DATABASE_URL=servers.postgres.url(), REDIS_URL="redis://127.0.0.1:9/0")
    assert said.startswith("Redis at 127.0.0.1:9 cannot be reached: start it, correct REDIS_URL, or unset it")


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(up: Starter, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    said = refusal(up, var=tmp_path / "file" / "var")
    assert said.startswith("Setting ANTIPHON_VAR: ")


def test_garbage_in_a_setting_is_said_in_one_sentence(up: Starter) -> None:
    assert refusal(up, DATABASE_POOL="lots").startswith("Setting DATABASE_POOL: ")
