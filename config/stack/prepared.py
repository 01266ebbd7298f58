"""Remembers that `manage.py prepare` has nothing to do, so that a start without changes need not run it.

It counts as prepared while no file of the program changed since, and the database holds the migrations that it held
then. `prepare` itself takes seconds, most of them for importing the program once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Final

import psycopg

FOLDERS: Final = ("accounts", "chat", "config", "workers", "templates")
FILES: Final = ("requirements.txt",)
MIGRATIONS: Final = "SELECT md5(string_agg(app || '.' || name, ',' ORDER BY id)) FROM django_migrations"
ADMIN: Final = "SELECT email FROM accounts_user WHERE is_superuser AND is_active ORDER BY date_joined LIMIT 1"


class Prepared:
    """What is known of one database. Create it before `prepare` runs: what changes meanwhile is not prepared."""

    def __init__(self, root: Path, var: Path, database_url: str) -> None:
        self.url = database_url
        self.stamp = var / "prepared.json"
        self.static = Path(os.environ.get("STATIC_ROOT") or var / "static")
        self.version = fingerprint(root, database_url)

    def admin(self) -> str | None:
        """The oldest administrator's address where all is prepared, else None."""
        try:
            known = json.loads(self.stamp.read_text())
            if known["version"] != self.version or known["static"] != self.static.exists():
                return None
            migrations, email = self._ask()
        except (OSError, ValueError, KeyError, TypeError, psycopg.Error):
            return None
        return email if migrations == known["migrations"] else None

    def remember(self) -> None:
        """Notes that `prepare` has just run. Where that cannot be noted, it runs again at the next start."""
        with contextlib.suppress(OSError, psycopg.Error):
            known = {"version": self.version, "static": self.static.exists(), "migrations": self._ask()[0]}
            self.stamp.write_text(json.dumps(known))

    def _ask(self) -> tuple[str | None, str | None]:
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            migrations = connection.execute(MIGRATIONS).fetchone()
            admin = connection.execute(ADMIN).fetchone()
        return migrations[0] if migrations else None, admin[0] if admin else None


def fingerprint(root: Path, database_url: str) -> str:
    """A digest of all that decides what `prepare` does: files, Python, database, and how static files are served."""
    seen = hashlib.sha256(
        f"{sys.version} {database_url} {os.environ.get('STATIC_VERSIONED')} {os.environ.get('STATIC_ROOT')}\n".encode()
    )
    for path in sorted([*(root / name for name in FILES), *(file for name in FOLDERS for file in _files(root / name))]):
        status = path.stat()
        seen.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return seen.hexdigest()


def _files(folder: Path) -> list[Path]:
    return [
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        if not parent.endswith("__pycache__")
        for name in names
    ]
