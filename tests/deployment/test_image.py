"""The steps of the image in a plain folder: built by the Dockerfile's own script, run with everything inside as another
user, who may write nothing but the volume. It needs no Docker, so it does not show that Docker builds the image.
"""

from __future__ import annotations

import gzip
import io
import os
import pwd
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from config.stack import leash
from tests.fixtures.measurements import measured
from tests.rabbitmq import free_ports
from tests.stack import get_status
from tests.templates import ROOT

SYSTEM = "/usr/bin/python3"  # that every user may run, unlike a Python in somebody's home
PULLED_MB = 300.0
CONTENT_MB = 360.0  # 345 with EXTRAS on Python 3.11, about 300 without; without `strip` 40 more
BASE_MB = 45.0  # python:3.13-slim-bookworm, compressed
USER = "nobody"
EXTRAS = {"otel": "opentelemetry.sdk.trace", "saml": "onelogin.saml2.auth", "ldap": "ldap3", "tokenizers": "tiktoken"}

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="not root, so it cannot run as another user"),
    pytest.mark.skipif(not Path(SYSTEM).exists(), reason=f"{SYSTEM} is not installed (Debian: apt install python3)"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def built() -> Generator[Path, None, None]:
    folder = Path(tempfile.mkdtemp(prefix="antiphon-image-"))
    folder.chmod(0o755)
    env = {**os.environ, "PYTHON": SYSTEM, "PIP": "python3 -m pip"}
    command = [str(ROOT / "deploy/image/build"), str(ROOT), str(folder / "opt"), *EXTRAS]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_it_is_small_enough(built: Path) -> None:
    files = (path for path in (built / "opt").rglob("*") if path.is_file() and not path.is_symlink())
    content = sum(path.stat().st_size for path in files)
    measured("image's own content, not compressed, MB", round(content / 1e6))
    assert content / 1e6 < CONTENT_MB
    size = _Counter()
    with (
        gzip.GzipFile(fileobj=size, mode="wb", compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        archive.add(built / "opt", "opt")
    measured("image's own layer, compressed, MB", round(size.bytes / 1e6))
    assert size.bytes / 1e6 + BASE_MB < PULLED_MB


def test_optional_packages_work_after_all_that_was_removed(built: Path) -> None:
    """What they are loaded by; xmlsec is loaded by python3-saml."""
    python = str(built / "opt/venv/bin/python")
    for name, module in EXTRAS.items():
        done = subprocess.run([python, "-c", f"import {module}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (name, done.stderr)


def test_everything_runs_inside_and_nothing_but_the_volume_is_written(built: Path) -> None:
    account = pwd.getpwnam(USER)
    volume = built / "data"
    volume.mkdir(mode=0o700)
    os.chown(volume, account.pw_uid, account.pw_gid)
    [port] = free_ports(1)
    start = built / "start"  # the entry point, at a port that is free here
    text = (built / "opt/app/deploy/image/start").read_text()
    for old, new in (("--port 8000", f"--port {port}"), ('"$(dirname "$0")/../.."', str(built / "opt/app"))):
        assert old in text, old
        text = text.replace(old, new)
    start.write_text(text)
    start.chmod(0o755)
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    settings = dict(re.findall(r"^(?:ENV)? +([A-Z_]+)=(\S+)", dockerfile.rsplit("\nENV", 1)[1], re.MULTILINE))
    env = {
        **{name: value.replace("/opt/antiphon", str(built / "opt")) for name, value in settings.items()},
        "PATH": "/usr/bin:/bin", "ANTIPHON_VAR": str(volume),
    }  # fmt: skip
    assert env["STATIC_COLLECTED"] == "1"
    before = _written(built / "opt")
    drop = [
        "setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--no-new-privs",
        "--bounding-set=-all", "--inh-caps=-all",
    ]  # fmt: skip
    with (built / "log").open("wb") as log:
        process = leash.start(
            [*drop, str(start)], env=env, cwd=built / "opt", output=log, at_parents_end=signal.SIGTERM
        )
    try:
        deadline = time.monotonic() + 120
        while get_status(f"http://127.0.0.1:{port}", "/readyz") != 200:
            said = (built / "log").read_text(errors="replace")
            assert process.poll() is None, said[-3000:]
            assert time.monotonic() < deadline, said[-3000:]
            time.sleep(0.5)
        url = f"http://localhost:{port}"
        status = get_status(url, "/accounts/login/")
        assert status == 200, (built / "log").read_text(errors="replace")[-3000:]
        healthy = [str(built / "opt/venv/bin/python"), "-I", "-S", str(built / "opt/app/deploy/image/healthy")]
        asked = subprocess.run(healthy, env={"ANTIPHON_HEALTH_URL": f"{url}/readyz"}, capture_output=True, check=False)
        assert asked.returncode == 0, asked.stderr
        away = subprocess.run(
            healthy, env={"ANTIPHON_HEALTH_URL": "http://127.0.0.1:9/"}, capture_output=True, check=False
        )
        assert away.returncode == 1
    finally:
        leash.end(process, seconds=40)
    assert _written(built / "opt") == before


class _Counter(io.RawIOBase):
    """Takes what is written, and counts it."""

    bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        size = len(data)  # type: ignore[arg-type]  # bytes
        self.bytes += size
        return size


def _written(folder: Path) -> dict[str, float]:
    return {str(path): path.lstat().st_mtime for path in folder.rglob("*")}
