"""Starts one of the model servers on a free port, and stops it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from config.stack import leash

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv-servers" / "bin"
HERE = Path(__file__).parent
START_SECONDS = 180.0  # LiteLLM alone imports for a minute on a busy machine


class ModelServer:
    """A server that can be killed and started again on its port. `{port}` in the command is replaced."""

    def __init__(self, name: str, command: Sequence[str], health: str, folder: Path, env: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self.name = name
        self.command = [part.replace("{port}", str(self.port)) for part in command]
        self.health = health
        self.log = folder / f"{name}.log"
        self.env = env
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it answers. Raises `AssertionError` with the end of its log."""
        with self.log.open("ab") as log:
            self.process = leash.start(self.command, env=self.env, cwd=ROOT, output=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            said = self.log.read_text(errors="replace")[-3000:]
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{said}"
            assert time.monotonic() < deadline, f"{self.name} did not start:\n{said}"
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urlopen(self.url + self.health, timeout=5):  # noqa: S310 -- an address of ours
                return True
        except HTTPError as error:
            return error.code < 500
        except OSError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None:
            leash.end(self.process, seconds=5)
            self.process = None

    def cpu_seconds(self) -> float:
        """What the process has computed so far. Linux only."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def read(self, path: str) -> str:
        with urlopen(self.url + path, timeout=10) as reply:  # noqa: S310 -- an address of ours
            return str(reply.read(), "utf-8")


@contextlib.contextmanager
def run_server(
    name: str, command: Sequence[str], *, health: str, env: dict[str, str] | None = None
) -> Generator[ModelServer]:
    """`command` begins with a program of .venv-servers."""
    with tempfile.TemporaryDirectory(prefix="model-server-") as folder:
        program, *rest = command
        environment = {"PATH": "/usr/bin:/bin", "HOME": folder, "PYTHONUNBUFFERED": "1", **(env or {})}
        server = ModelServer(name, [str(BIN / program), *rest], health, Path(folder), environment)
        try:
            server.start()
            yield server
        except BaseException:
            print(server.log.read_text(errors="replace")[-6000:] if server.log.exists() else "")
            raise
        finally:
            server.stop()


@contextlib.contextmanager
def llama_cpp(*, tools: bool = False) -> Generator[ModelServer]:
    """llama.cpp's server with a tiny random model. `tools`: its chat template has tools."""
    with tempfile.TemporaryDirectory(prefix="tiny-model-") as folder:
        model = str(Path(folder) / "tiny-random.gguf")
        options = ["tools"] if tools else []
        subprocess.run([str(BIN / "python"), str(HERE / "tiny_gguf.py"), model, *options], check=True)
        command = ["python", str(HERE / "llama_cpp.py"), model, "{port}", *options]
        with run_server("llama.cpp", command, health="/health") as server:
            yield server


def has_llama_cpp_python() -> bool:
    return any((BIN.parent / "lib").glob("python*/site-packages/llama_cpp"))


@contextlib.contextmanager
def llama_cpp_python() -> Generator[ModelServer]:
    """llama-cpp-python's server with a tiny random model. It answers one request at a time."""
    with tempfile.TemporaryDirectory(prefix="tiny-model-") as folder:
        model = str(Path(folder) / "tiny-random.gguf")
        subprocess.run([str(BIN / "python"), str(HERE / "tiny_gguf.py"), model], check=True)
        options = ["--host", "127.0.0.1", "--port", "{port}", "--n_ctx", "2048", "--n_threads", "1"]
        options += ["--model_alias", "tiny-random", "--interrupt_requests", "false"]
        command = ["python", "-m", "llama_cpp.server", "--model", model, *options]
        with run_server("llama-cpp-python", command, health="/v1/models") as server:
            yield server


LITELLM_KEY = "sk-proxy-5c1e"


@contextlib.contextmanager
def litellm(behind: ModelServer) -> Generator[ModelServer]:
    """LiteLLM's proxy in front of another server, with a model that it answers itself, one that is over its limit and
    one whose server is away.
    """
    command = ["litellm", "--config", str(HERE / "litellm.yaml"), "--host", "127.0.0.1", "--port", "{port}"]
    env = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": LITELLM_KEY,
        "BEHIND_URL": f"{behind.url}/v1",
    }
    with run_server("litellm", command, health="/health/liveliness", env=env) as server:
        yield server


@contextlib.contextmanager
def fakellm() -> Generator[ModelServer]:
    """fakellm, a mock server with rules. It has no list of models."""
    command = ["fakellm", "serve", "--config", str(HERE / "fakellm.yaml"), "--port", "{port}"]
    with run_server("fakellm", command, health="/_fakellm/stats") as server:
        yield server


@contextlib.contextmanager
def transformers() -> Generator[ModelServer]:
    """`transformers serve` with a tiny random model."""
    with tempfile.TemporaryDirectory(prefix="tiny-model-") as folder:
        model = str(Path(folder) / "tiny-random")
        subprocess.run([str(BIN / "python"), str(HERE / "tiny_transformers.py"), model], check=True)
        options = ["--device", "cpu", "--host", "127.0.0.1", "--port", "{port}"]
        env = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        with run_server(
            "transformers", ["transformers", "serve", model, *options], health="/health", env=env
        ) as server:
            yield server
