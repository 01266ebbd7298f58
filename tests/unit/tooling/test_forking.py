"""Forked processes are what new interpreters would be, and tell how they ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import forking
from tests.forking import Forked, ForkServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds and /proc are Linux's")

LOOK = """
import json, os, sys, threading
print(json.dumps({
    "argv": sys.argv, "name": __name__, "file": __file__, "env": dict(os.environ), "folder": os.getcwd(),
    "pid": os.getpid(), "session": os.getsid(0), "files": sorted(map(int, os.listdir("/proc/self/fd"))),
    "threads": threading.active_count(), "loaded": "fractions" in sys.modules, "input": sys.stdin.read(),
    "settings": any(name.startswith(("accounts", "chat", "config.settings")) for name in sys.modules),
}))
print("to stderr", file=sys.stderr)
"""
LATE = """
import atexit, threading, time
atexit.register(print, "left")
threading.Thread(target=lambda: (time.sleep(0.1), print("waited for"))).start()
"""
Start = Callable[..., Forked]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    running = ForkServer(["fractions"])
    yield running
    running.stop()


@pytest.fixture
def start(server: ForkServer, tmp_path: Path) -> Start:
    """Starts a program; what it writes lands in the file `out`."""

    def start(program: str, *arguments: str, passed: tuple[int, ...] = (), **env: str) -> Forked:
        (tmp_path / "program.py").write_text(program)
        with (tmp_path / "out").open("wb") as out, open(os.devnull) as nothing:  # noqa: PTH123
            files = {0: nothing.fileno(), 1: out.fileno(), 2: out.fileno(), **{number: number for number in passed}}
            return server.fork([str(tmp_path / "program.py"), *arguments], env, files)

    return start


def test_a_forked_process_begins_as_a_new_interpreter_does(start: Start, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = start(LOOK, "--one", "two", passed=(writing,), ONLY="this")
    assert process.wait(20) == 0
    os.close(reading)
    os.close(writing)
    said, other = (tmp_path / "out").read_text().splitlines()
    found = json.loads(said)
    assert found == {
        "argv": [str(tmp_path / "program.py"), "--one", "two"],
        "name": "__main__",
        "file": str(tmp_path / "program.py"),
        "env": {"ONLY": "this"},
        "folder": str(forking.ROOT),
        "pid": process.pid,
        "session": process.pid,
        "files": [0, 1, 2, 3, writing],  # 3 is what listed them
        "threads": 1,
        "loaded": True,
        "input": "",
        "settings": False,
    }
    assert other == "to stderr"


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("", 0),
        ("import sys; sys.exit(3)", 3),
        ("raise ValueError('a traceback')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        (LATE, 0),
    ],
)
def test_its_end_is_told(start: Start, tmp_path: Path, program: str, code: int) -> None:
    process = start(program)
    assert process.wait(20) == code
    assert process.poll() == code == process.returncode
    said = (tmp_path / "out").read_text()
    assert ("ValueError: a traceback" in said) == (code == 1)
    assert program != LATE or said.splitlines() == ["waited for", "left"]


def test_signals_reach_it_and_waiting_for_it_can_end_before_it_does(start: Start) -> None:
    process = start("import time; time.sleep(60)")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    process.send_signal(signal.SIGTERM)  # to nobody


def test_processes_end_with_the_server(tmp_path: Path) -> None:
    server = ForkServer([])
    (tmp_path / "program.py").write_text("import time; time.sleep(60)")
    process = server.fork([str(tmp_path / "program.py")], {}, {})
    server.stop()
    assert process.wait(20) == -signal.SIGKILL
    with pytest.raises((AssertionError, OSError)):
        server.fork([str(tmp_path / "program.py")], {}, {})


def test_a_server_within_another_has_what_that_has_loaded(server: ForkServer, tmp_path: Path) -> None:
    within = ForkServer(["wave"], within=server)
    (tmp_path / "program.py").write_text(
        "import sys; sys.exit(3 if {'fractions', 'wave'} <= sys.modules.keys() else 4)"
    )
    assert within.fork([str(tmp_path / "program.py")], {}, {}).wait(20) == 3
    within.stop()
    with pytest.raises((AssertionError, OSError)):
        within.fork([str(tmp_path / "program.py")], {}, {})
    assert server.fork([str(tmp_path / "program.py")], {}, {}).wait(20) == 4


def test_what_two_kinds_of_processes_load_is_loaded_once() -> None:
    assert forking.PRELOADED["worker"][: len(forking.COMMANDS)] == forking.COMMANDS
    for modules in forking.PRELOADED.values():
        assert modules[: len(forking.DJANGO)] == forking.DJANGO


@pytest.mark.parametrize(
    ("words", "code", "said"), [("shell --no-imports -c", 0, "given, open\n"), ("nonsense", 1, "")]
)
def test_a_command_is_run_to_its_end(tmp_path: Path, words: str, code: int, said: str) -> None:
    script = "from django.conf import settings; print(input(), settings.SIGN_UP, sep=', ')"
    env = {**os.environ, "ANTIPHON_VAR": str(tmp_path), "SIGN_UP": "open"}
    done = forking.run(*words.split(), *([script] if code == 0 else []), env=env, stdin="given")
    assert (done.returncode, done.stdout) == (code, said), done.stderr
    assert ("Unknown command: 'nonsense'" in done.stderr) == (code == 1)


def test_a_stacks_server_has_set_django_up_and_nothing_more(tmp_path: Path) -> None:
    """What processes make for themselves alone (ids, event loops, threads, the collector's state) they make later."""
    env = {**os.environ, "ANTIPHON_VAR": str(tmp_path), "SIGN_UP": "open"}
    server = forking.set_up(env)
    script = """
import gc, json, os, sys, threading
from django.apps import apps
from django.conf import settings
print(json.dumps({
    "ready": apps.ready, "sign_up": settings.SIGN_UP, "argv": sys.argv[:2], "umask": os.umask(0),
    "collects": gc.isenabled(), "threads": threading.active_count(), "own": "ONLY" in os.environ,
    "early": sorted({"twisted.internet.reactor", "chat.realtime.open_sockets", "config.urls"} & sys.modules.keys()),
}))
"""
    found = []
    for environment in (env, {**env, "SIGN_UP": "invitation", "ONLY": "this"}):
        with (tmp_path / "out").open("wb") as out, open(os.devnull) as nothing:  # noqa: PTH123
            process = forking.fork(
                ["manage.py", "shell", "--no-imports", "-c", script],
                env=environment, files={0: nothing.fileno(), 1: out.fileno(), 2: out.fileno()}, within=server,
            )  # fmt: skip
        assert process.wait(30) == 0, (tmp_path / "out").read_text()
        found.append(json.loads((tmp_path / "out").read_text()))
    server.stop()
    same = {
        "ready": True, "argv": ["manage.py", "shell"], "umask": 0o077, "collects": True, "threads": 1, "early": [],
    }  # fmt: skip
    assert found[0] == {**same, "sign_up": "open", "own": False}
    assert found[1] == {**same, "sign_up": "invitation", "own": True}


def test_an_environment_that_changes_how_python_loads_is_not_forked() -> None:
    same = dict(os.environ)
    assert forking.can_fork({**same, "CHAT_MODELS": "small"})
    for name in ("PYTHONWARNINGS", "LD_PRELOAD", "OTEL_PROPAGATORS", "OPENAI_LOG", "LC_ALL"):
        assert not forking.can_fork({**same, name: "other than ours"})


def test_no_preloaded_module_reads_settings_or_starts_anything() -> None:
    """Else all forked processes would share it. Twisted's reactor is one such thing: it makes the event loop."""
    modules = sorted({name for names in forking.PRELOADED.values() for name in names})
    look = (
        "import importlib, sys, threading, os\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "from django.conf import settings\n"
        "assert not settings.configured\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert 'twisted.internet.reactor' not in sys.modules\n"
        "assert len(os.listdir('/proc/self/fd')) == before\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run([sys.executable, "-c", look], cwd=forking.ROOT, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_web_processes_are_not_given_what_only_workers_load() -> None:
    assert "openai" not in forking.PRELOADED["serve"]
