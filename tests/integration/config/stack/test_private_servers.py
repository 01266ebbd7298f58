"""The private PostgreSQL and Redis in awkward places."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import psycopg
import pytest

from config.stack import account, folder, leash
from config.stack.errors import StackError
from config.stack.postgres import PrivatePostgres, fits_socket
from config.stack.valkey import PrivateValkey
from tests.servers import FAST


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A folder whose path is too long for a unix socket, in one that only its owner enters."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    return closed / ("d" * 100) / "var"


@pytest.fixture
def sockets(deep: Path) -> Generator[Path, None, None]:
    """The folder in /tmp that takes the place of one in `deep`."""
    outside = folder.socket_folder(deep)
    assert not outside.is_relative_to(deep)
    yield outside
    shutil.rmtree(outside)


@pytest.fixture
def postgres(deep: Path, sockets: Path) -> Generator[PrivatePostgres, None, None]:
    server = PrivatePostgres(deep, sockets=sockets / "pg", options=FAST)
    yield server
    server.stop()


def test_postgresql_runs_from_a_deep_and_closed_folder(postgres: PrivatePostgres, deep: Path) -> None:
    assert not fits_socket(deep / "run" / "pg")
    postgres.start()
    with psycopg.connect(postgres.url("postgres")) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    postgres.stop()
    postgres.start()
    with psycopg.connect(postgres.url("postgres")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.url("postgres").replace("antiphon:", "antiphon:no"))


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs PostgreSQL from where it is installed")
def test_root_runs_postgresql_whose_programs_lie_in_a_closed_folder(
    postgres: PrivatePostgres, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = account.installed().parents[1]
    for name in (f"{package.name}/{account.installed().parent.name}", f"{package.name}.libs"):
        shutil.copytree(package.parent / name, deep.parent / name)
    place = deep.parent / account.installed().relative_to(package.parent)
    monkeypatch.setattr(account, "installed", lambda: place)
    monkeypatch.setattr(account, "COPIES", Path(tempfile.mkdtemp(prefix="copies-", dir="/tmp")))
    account.COPIES.chmod(0o755)
    try:
        postgres.start()
        postgres.stop()
        postgres.start()  # from the copy that is there
        assert len(list(account.COPIES.iterdir())) == 1
    finally:
        postgres.stop()
        shutil.rmtree(account.COPIES)


def test_valkey_runs_from_a_deep_folder(deep: Path, sockets: Path) -> None:
    server = PrivateValkey(deep, socket=sockets / "valkey.sock")
    server.start()
    server.stop()
    assert server.process is None


def test_sockets_stay_with_the_data_where_they_can(tmp_path: Path) -> None:
    short = Path("/tmp") / f"sockets-{os.getpid()}"
    try:
        assert folder.socket_folder(short) == short / "run"
    finally:
        subprocess.run(["rm", "-r", str(short)], check=True)


def test_a_shutdown_that_somebody_asked_for_is_finished(postgres: PrivatePostgres) -> None:
    """SIGTERM alone waits for open connections, for ever where a pool keeps them."""
    postgres.start()
    assert not postgres.finish_shutdown()
    with psycopg.connect(postgres.url("postgres")) as connection:
        assert postgres.process is not None
        postgres.process.terminate()
        deadline = time.monotonic() + 10
        while not postgres.finish_shutdown():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not postgres.finish_shutdown(), "once is enough"
        while not postgres.has_ended():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    postgres.start()
    psycopg.connect(postgres.url("postgres")).close()
    assert not postgres.finish_shutdown()


def test_a_lock_file_with_somebody_elses_number_does_not_stop_a_start(postgres: PrivatePostgres) -> None:
    postgres.start()
    postgres.stop()
    lines = [str(os.getpid()), str(postgres.data), "0", "5432", str(postgres.sockets), "", "", "ready"]
    (postgres.data / "postmaster.pid").write_text("\n".join(lines) + "\n")  # as after a crash, the number given again
    postgres.start()


def test_data_of_another_version_is_refused(postgres: PrivatePostgres) -> None:
    postgres.data.mkdir(parents=True)
    (postgres.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(StackError, match="made by PostgreSQL 12"):
        postgres.start()


PARENT = """
import sys, time
from config.stack import leash
child = leash.start(["sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_process_on_a_leash_ends_with_the_one_that_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        while child.name() != "sleep":  # the leash has become it
            time.sleep(0.01)
        parent.kill()
    assert psutil.wait_procs([child], timeout=5)[1] == []


def test_a_process_outlives_the_thread_that_started_it() -> None:
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: started.append(leash.start(["sleep", "60"])))
    thread.start()
    thread.join()
    with pytest.raises(subprocess.TimeoutExpired):
        started[0].wait(1)
    assert leash.end(started[0])


def test_where_the_kernel_does_not_help_the_leash_watches(tmp_path: Path) -> None:
    code = PARENT.replace("leash.start([", "leash.start(['env', 'x=1', ").replace(
        "from config.stack import leash", "from config.stack import leash; leash.__file__ = sys.argv[1]"
    )
    watching = tmp_path / "leash.py"
    watching.write_text(Path(leash.__file__).read_text().replace('platform.system() == "Linux"', "False"))
    with subprocess.Popen([sys.executable, "-c", code, str(watching)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        watcher = psutil.Process(int(parent.stdout.readline()))
        while not (children := watcher.children()):
            time.sleep(0.01)
        parent.kill()
    assert psutil.wait_procs([watcher, *children], timeout=5)[1] == []
