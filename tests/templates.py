"""Migrated databases to copy, made once for these migrations: migrating takes longer than most files of tests.

The files of a whole PostgreSQL cluster lie in `.pytest_cache`, by a hash of what decides how they look. Every server
of the tests begins as a copy of them, in this process of pytest and in others, in this run and in later ones. The
cluster has three databases:
- MIGRATED has every migration and no rows but theirs; Django's test database is a copy of it;
- LIVE has Alice, Bob and Mallory besides; each stack's database is a copy of it (tests/stack.py);
- `manage.py up` finds its own in a copy of the files: that of an earlier start, with every migration.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg

from config.stack.account import VERSION
from config.stack.postgres import USER, PrivatePostgres

ROOT: Final = Path(__file__).parent.parent
KEPT: Final = ROOT / ".pytest_cache" / "d" / "databases"
MIGRATED: Final = "migrated"
LIVE: Final = "live_template"
# The files and folders whose Python decides what `prepare` makes: tables, functions and triggers (chat/search); roles
# and the default plan, which are made after the migrations from what apps register and settings say. A test checks
# that what migrations import is among them.
DECIDE: Final = (
    "accounts/migrations", "accounts/models", "chat/migrations", "chat/models", "workers/migrations", "workers/models",
    "accounts/apps.py", "chat/apps.py", "workers/apps.py", "accounts/roles.py", "accounts/quotas/plans.py",
    "accounts/lib", "chat/search", "config/settings", "config/management/commands/prepare.py",
    "config/stack/postgres.py", "tests/templates.py", "tests/password_cost.py",
)  # fmt: skip
SERVER_PASSWORD: Final = "of-a-server-that-only-its-owner-reaches"
PASSWORD: Final = "correct horse battery staple"
CAST: Final = f"""
from tests.password_cost import reduce_password_cost
reduce_password_cost()
from accounts.models import User
from allauth.account.models import EmailAddress
for name in ("Alice", "Bob", "Mallory"):
    user = User.objects.create_user(f"{{name.lower()}}@example.org", {PASSWORD!r}, name=name)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
"""


def make_server(folder: Path, options: Mapping[str, str]) -> PrivatePostgres:
    """A server with the password that all copies have. Its socket lies in a folder that only its owner enters."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pg.password").write_text(SERVER_PASSWORD)
    return PrivatePostgres(folder, options=options)


def install(postgres: PrivatePostgres, environment: Mapping[str, str]) -> None:
    """Puts the files of a cluster with MIGRATED and LIVE in a server's empty folder; makes them when nobody has.

    `environment` is what `manage.py` needs beside DATABASE_URL. The server is stopped, before and after.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others wait: they would make the same
        kept = KEPT / _key()
        if kept.exists():
            _copy(kept, postgres.folder)
            return
        try:
            postgres.start()
            _fill(postgres, environment)
        finally:
            postgres.stop()
        for old in KEPT.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        partial = KEPT / "partial"
        _copy(postgres.folder, partial)
        partial.rename(kept)


def in_server(postgres: PrivatePostgres, statement: str) -> list[Any]:
    """Runs a statement outside any transaction, in the database `postgres`; its rows."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _key() -> str:
    """A hash of all that decides what the databases look like."""
    seen = hashlib.sha256(VERSION.encode())
    places = [ROOT / name for name in DECIDE]
    files = [file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])]
    for path in sorted([*files, ROOT / "requirements.txt"]):
        seen.update(f"\n{path.relative_to(ROOT)}\n".encode())
        seen.update(path.read_bytes())
    return seen.hexdigest()[:16]


def _fill(postgres: PrivatePostgres, environment: Mapping[str, str]) -> None:
    env = {**os.environ, **environment}
    in_server(postgres, f"CREATE DATABASE {MIGRATED}")
    _manage({**env, "DATABASE_URL": postgres.url(MIGRATED)}, "prepare")
    in_server(postgres, f"CREATE DATABASE {LIVE} TEMPLATE {MIGRATED} STRATEGY file_copy")
    in_server(postgres, f"CREATE DATABASE {USER} TEMPLATE {MIGRATED} STRATEGY file_copy")
    _manage({**env, "DATABASE_URL": postgres.url(LIVE)}, "shell", "--no-imports", "-c", CAST)


def _manage(env: Mapping[str, str], *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT, env=dict(env), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise AssertionError(f"manage.py {command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _copy(source: Path, target: Path) -> None:
    """The cluster's files. `cp` keeps their owner, which is another account where this is root."""
    target.mkdir(mode=0o711, parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", source / "pg", target], check=True)
