"""The private PostgreSQL and Redis of one test session, and the environment that points at them.

The addresses are set before Django reads its settings; the servers start only when a collected test needs them
(any test outside tests/unit, or one that asks for the database), which takes about a second. Everything lives in
one temporary folder and ends with this process, also when it is killed (`config.stack.leash`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from config.stack.valkey import PrivateValkey
from tests import templates

# Speed over safety: this cluster lives for minutes.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_connections": "300",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",  # as wal_level asks
    "max_wal_size": "128MB",
}
# Creating a file in memory takes a tenth of the CPU time that it takes on a disk, and a cluster has 3000 files.
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 << 30  # free, for the clusters and logs of some processes of pytest at once

# Hundreds of sockets of a few people on one address: wide limits, which still cost what limits cost.
# The tests of limits set their own.
UNLIMITED = {
    **dict.fromkeys(
        (
            "RATE_FRAMES",
            "RATE_COMMANDS",
            "RATE_MESSAGES_PER_USER",
            "RATE_MESSAGES_PER_ADDRESS",
            "RATE_MESSAGES_PER_CONVERSATION",
            "RATE_MESSAGES_PER_MEMBER",
            "RATE_RECORDINGS",
            "RATE_SPEECH",
            "RATE_TICKETS",
            "RATE_REFUSED_UPGRADES",
            "RATE_HTTP_COMMANDS",
            "RATE_UPLOADS",
            "RATE_SHARE_OPENS",
            "RATE_SHARE_PASSWORDS",
            "RATE_API",
            "RATE_API_REFUSED",
        ),
        "1000000/s",
    ),
    **dict.fromkeys(
        (
            "RATE_CONNECTIONS_PER_USER",
            "RATE_CONNECTIONS_PER_ADDRESS",
            "RATE_RUNS_PER_USER",
            "RATE_WATCHERS_PER_ADDRESS",
        ),
        "100000",
    ),
    "ANSWER_MAX_CHARS": "10000000",
}

# What a developer's shell may hold and a test must not meet.
FOREIGN = (
    "ADMIN_EMAIL", "ADMIN_PASSWORD", "ALLOWED_HOSTS", "ALLOWED_ORIGINS", "CACHE_REDIS_URL", "CELERY_BROKER_URL",
    "CHAT_MODELS", "DATABASE_REPLICA_URL", "EVENT_LOG_REDIS_URLS",
    "DATABASE_POOL", "DEBUG", "EMAIL_HOST", "HTTPS", "LOG_FORMAT", "LOG_LEVEL", "OPENAI_API_KEY", "OPENAI_BASE_URL",
    "SIGN_UP", "SYSTEM_PROMPT", "TRUSTED_PROXIES", "EMAIL_VERIFICATION", "LOGIN_RATE",
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_SAMPLER",
    "PYTHONDONTWRITEBYTECODE",  # each of some hundred processes would compile all of our modules
    "ASR_LANGUAGE", "ASR_SPEAKERS", "POCKETSPHINX_GRAMMAR", "DEEPGRAM_API_KEY", "ASSEMBLYAI_API_KEY", "SPEECH_BACKENDS",
    "SPEECHMATICS_API_KEY",
)  # fmt: skip


class Servers:
    """PostgreSQL (whose `test_antiphon` Django makes for in-process tests) and Redis in `folder`."""

    def __init__(self) -> None:
        self.folder, self._lock = _make_folder()
        self.postgres = templates.make_server(self.folder / "p", FAST)
        self.redis = PrivateValkey(self.folder / "r")
        self.running = False

    def environment(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "ANTIPHON_VAR": str(self.folder / "var"),
            "ANTIPHON_ENV_FILE": os.devnull,
            "SECRET_KEY": "a-key-for-tests-only-a-key-for-tests-only-a-key-for-tests-only",
            "DATABASE_URL": self.postgres.url(),
            "REDIS_URL": self.redis.url,
            "HTTPS": "0",
            "ANTIPHON_USER": "root",  # these servers take no connections of another user's
            "STATIC_VERSIONED": "0",
            "OLLAMA_URL": "http://127.0.0.1:9",  # the discard port: nobody answers
            "OCR": "off",  # not what is installed: tests that want a recogniser name it
            # Not the default: each of some hundred workers would load its model.
            "ASR_BACKENDS": "pocketsphinx" if find_spec("pocketsphinx") else "",
        }

    def set_environment(self) -> None:
        for name in FOREIGN:
            os.environ.pop(name, None)
        os.environ.update(self.environment())

    def start(self) -> None:
        """Starts both; a second call does nothing. PostgreSQL has the databases of tests/templates.py to copy."""
        if not self.running:
            self.running = True
            templates.install(self.postgres, self.environment())
            self.postgres.start()
            self.redis.start()

    def stop(self) -> None:
        self.redis.stop()
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _make_folder() -> tuple[Path, IO[str]]:
    """A new folder and the lock that shows that it is in use. Removes the folders of runs that were killed."""
    parent = _parent_folder()
    for old in (parent or Path(tempfile.gettempdir())).glob("antiphon-tests-*"):
        with contextlib.suppress(OSError), (old / "lock").open() as lock:  # not there or not ours, or taken
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix="antiphon-", dir=parent))
    made.chmod(0o711)
    lock = (made / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return made.rename(made.with_name(made.name.replace("antiphon-", "antiphon-tests-"))), lock


def _parent_folder() -> Path | None:
    """Memory where there is enough of it, else the folder for temporary files (None) unless it is deep: the path of a
    unix socket ends at 107 bytes.
    """
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES:
        return MEMORY
    return None if len(tempfile.gettempdir()) < 40 else Path("/tmp")


servers = Servers()
