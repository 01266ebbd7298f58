"""What `manage.py up` leaves on disk and in environments, and how it behaves behind TLS."""

from __future__ import annotations

import http.client
import os
import pwd
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from config.stack import leash
from config.stack.errors import StackError
from config.stack.postgres import PrivatePostgres
from config.stack.root import find_user
from tests.integration.config.stack.up import Up
from tests.servers import FAST
from tests.stack import ROOT

pytestmark = pytest.mark.timeout(600)  # as in test_up
CANARY = "canary-of-a-private-message"


def login_page(url: str, scheme: str, host: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/accounts/login/", headers={"X-Forwarded-Proto": scheme, "Host": host})
        reply = connection.getresponse()
        reply.read()
        return reply
    finally:
        connection.close()


def open_to_others(folder: Path) -> list[str]:
    """What other users may read or enter, but for the folders of sockets."""
    found = []
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        passable = path.name == "run" and stat.S_IMODE(status.st_mode) == 0o711
        if status.st_mode & 0o077 and not stat.S_ISLNK(status.st_mode) and not stat.S_ISSOCK(status.st_mode):
            found += [] if passable else [f"{path} {stat.S_IMODE(status.st_mode):o}"]
    return found


def test_behind_tls_cookies_are_secure_and_files_and_secrets_private(up: Callable[..., Up], old_data: Path) -> None:
    var = old_data
    (var / "media" / "speech").mkdir(parents=True, mode=0o755)
    (var / "media" / "speech" / "old.wav").write_bytes(b"RIFF")
    (var / "postgres.log").write_text("as an older version left it\n")
    one = up(
        "--port=0", ALLOWED_ORIGINS="https://chat.example.org", ALLOWED_HOSTS="chat.example.org", TRUSTED_PROXIES="1",
        OPENAI_API_KEY=f"sk-{CANARY}", OPENAI_BASE_URL="http://127.0.0.1:9/v1", ADMIN_PASSWORD=f"{CANARY}-password",
        STATIC_VERSIONED="0", var=var,
    )  # fmt: skip
    one.await_start()
    url = one.known["url"]

    page = login_page(url, "https", "chat.example.org")
    assert page.status == 200
    assert page.headers["Strict-Transport-Security"]
    assert "camera=()" in page.headers["Permissions-Policy"]
    assert "report-uri /csp-report/" in page.headers["Content-Security-Policy"]
    cookies = page.headers.get_all("Set-Cookie")
    assert cookies
    assert all("Secure" in cookie and cookie.startswith("__Host-") for cookie in cookies)
    assert login_page(url, "http", "chat.example.org").status == 301

    web = one.child("manage.py serve")
    assert web.environ()["ALLOWED_ORIGINS"] == "https://chat.example.org"
    for process in one.descendants():
        environment = "\n".join(process.environ().values())
        assert f"{CANARY}-password" not in environment, process.cmdline()
        is_worker = "worker" in process.cmdline()
        assert (f"sk-{CANARY}" in environment) == is_worker, process.cmdline()

    assert open_to_others(var) == []

    doctor = one.manage("doctor").stdout
    assert re.search(r"https.*cookies are Secure", doctor), doctor


def test_plain_http_for_an_https_origin_is_refused(up: Callable[..., Up]) -> None:
    one = up("--port=0", ALLOWED_ORIGINS="https://chat.example.org", HTTPS="0")
    assert one.popen is not None
    assert one.popen.wait(60) == 1
    assert "HTTPS=0 would send log-in cookies over plain http" in one.output()


def kill_while_asleep(connection: psycopg.Connection) -> None:
    """Ends the process of a connection that runs a statement with the canary. Raises `psycopg.OperationalError`."""
    timer = threading.Timer(0.5, psutil.Process(connection.info.backend_pid).kill)
    timer.start()
    try:
        connection.execute(sql.SQL("SELECT pg_sleep(5), {0}").format(CANARY))
    finally:
        timer.join()


def test_no_statement_and_no_value_is_in_the_servers_log(tmp_path: Path) -> None:
    server = PrivatePostgres(tmp_path / "p", options=FAST)
    server.start()
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int PRIMARY KEY, text text NOT NULL, at timestamptz)")
            connection.execute("INSERT INTO kept VALUES (1, 'x')")
            for statement in (
                "INSERT INTO kept VALUES (1, {0})",
                "INSERT INTO kept (id, text, at) SELECT 2, NULL, now() WHERE {0} <> ''",  # DETAIL: Failing row contains
                "SELECT {0}::uuid",  # the error itself
                "SELECT * FROM nothing WHERE text = {0}",
            ):
                with pytest.raises(psycopg.Error):
                    connection.execute(sql.SQL(statement).format(CANARY))  # as a literal, as Django does
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT %s::uuid", [CANARY])  # bound by the server
            with pytest.raises(psycopg.Error):  # a crash, DETAIL: Failed process was running
                kill_while_asleep(connection)
    finally:
        server.stop()
    log = server.log.read_text()
    assert "database system is ready" in log
    assert CANARY not in log
    assert stat.S_IMODE(server.log.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root leaves root")
def test_root_starts_everything_as_a_user_of_its_own(up: Callable[..., Up], tmp_path: Path) -> None:
    """In a folder that only root enters, with files of a version that ran everything as root."""
    var = tmp_path / "var"
    (var / "media").mkdir(parents=True)
    (var / "media" / "old.wav").write_bytes(b"RIFF")
    one = up("--port=0", ANTIPHON_USER="", STATIC_VERSIONED="0")
    one.await_start()
    assert one.popen is not None
    account = pwd.getpwnam("antiphon")
    for process in [psutil.Process(one.popen.pid), *one.descendants()]:
        assert set(process.uids()) == {account.pw_uid}, process.cmdline()
        assert set(process.gids()) == {account.pw_gid}, process.cmdline()
    owners = {path.lstat().st_uid for path in [var, *var.rglob("*")]}
    assert owners == {account.pw_uid}
    assert open_to_others(var) == []
    assert one.manage("health").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root leaves root")
@pytest.mark.parametrize("command", [("serve", "--port=0"), ("worker",), ("beat",)], ids=lambda command: command[0])
def test_a_single_process_leaves_root_too(command: tuple[str, ...], tmp_path: Path) -> None:
    env = {**os.environ, "ANTIPHON_USER": "", "ANTIPHON_VAR": str(tmp_path / "var"), "REDIS_URL": "redis://127.0.0.1:9"}
    process = leash.start([sys.executable, "manage.py", *command], env=env, cwd=ROOT, output=subprocess.DEVNULL)
    try:
        account = find_user("antiphon")
        watched = psutil.Process(process.pid)
        deadline = time.monotonic() + 60
        while set(watched.uids()) != {account.pw_uid} and time.monotonic() < deadline:
            time.sleep(0.05)
        assert set(watched.uids()) == {account.pw_uid}
        assert set(watched.gids()) == {account.pw_gid}
        assert (tmp_path / "var").stat().st_uid == account.pw_uid
    finally:
        leash.end(process, seconds=5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root leaves root")
def test_a_single_process_that_cannot_leave_root_says_why(tmp_path: Path) -> None:
    env = {**os.environ, "ANTIPHON_USER": "nobody", "ANTIPHON_VAR": str(tmp_path / "var")}
    done = subprocess.run(
        [sys.executable, "manage.py", "beat"], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "nobody is shared with other services" in done.stderr


def test_the_shared_user_is_refused() -> None:
    with pytest.raises(StackError, match="shared with other services"):
        find_user("nobody")
    with pytest.raises(StackError, match="no user 'somebody-else'"):
        find_user("somebody-else")
