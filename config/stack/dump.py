"""The database into a file and back, with PostgreSQL's own programs: those that come with Antiphon, else on PATH."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import connection

from config.stack.account import installed
from config.stack.errors import StackError

LOOK_SECONDS: Final = 0.2
LEFT_OUT: Final = ("accounts_session", "django_session")  # their rows open accounts


class DumpError(Exception):
    """One sentence on what went wrong. Nothing half done is left behind."""


def dump(file: Path, *, on_written: Callable[[int], None] = lambda _size: None) -> int:
    """Writes a backup and returns its size in bytes; `on_written` hears how many there are meanwhile.

    Raises `DumpError`; then `file` is as it was.
    """
    if file.exists():
        raise DumpError(f"{file} is there already: a backup is never overwritten.")
    partial = file.with_name(f".{file.name}.part")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    except OSError as error:
        raise DumpError(f"{file}: {error.strerror}.") from None
    try:
        left_out = [f"--exclude-table-data={table}" for table in LEFT_OUT]
        _run(
            _program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", *left_out, f"--file={partial}",
            meanwhile=lambda: on_written(partial.stat().st_size),
        )  # fmt: skip
        check_dump(partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(file)
    except OSError as error:
        raise DumpError(f"{file}: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def check_dump(file: Path) -> None:
    """Raises `DumpError` if a backup cannot be read."""
    if not file.is_file():
        raise DumpError(f"{file} is not there.")
    _run(_program("pg_restore"), "--list", str(file))


def restore(file: Path) -> None:
    """Reads a backup into the empty database of the settings. Raises `DumpError`; then it is still empty."""
    if not file.is_file():
        raise DumpError(f"{file} is not there.")
    if tables := connection.introspection.table_names():
        raise DumpError(
            f"The database is not empty ({len(tables)} tables): make a new one (createdb), name it in DATABASE_URL, "
            "and restore into that. Nothing was changed."
        )
    name = settings.DATABASES["default"]["NAME"]
    _run(
        _program("pg_restore"), "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges",
        f"--dbname={name}", str(file),
    )  # fmt: skip


def _program(name: str) -> str:
    try:
        ours = installed() / name
    except StackError:
        ours = None
    if ours is not None and ours.exists():
        return str(ours)
    found = shutil.which(name)
    if found is None:
        raise DumpError(f"`{name}` was not found: install PostgreSQL's client programs.")
    return found


def _run(*command: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Where the database is stands in the environment: everybody may read a command line, also its passwords."""
    entry: dict[str, Any] = settings.DATABASES["default"]
    told = {
        "PGHOST": entry["HOST"], "PGPORT": entry["PORT"], "PGUSER": entry["USER"], "PGPASSWORD": entry["PASSWORD"],
        "PGDATABASE": entry["NAME"], "PGSSLMODE": entry.get("OPTIONS", {}).get("sslmode"),
        "PGSSLROOTCERT": entry.get("OPTIONS", {}).get("sslrootcert"),
    }  # fmt: skip
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    env |= {name: str(value) for name, value in told.items() if value}
    with tempfile.TemporaryFile("w+") as said:
        running = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        try:
            while running.poll() is None:
                meanwhile()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(LOOK_SECONDS)
        finally:
            running.kill()  # Ctrl-C ends both
            running.wait()
        said.seek(0)
        errors = said.read()
    if running.returncode != 0:
        lines = [line for line in errors.splitlines() if line.strip()]
        raise DumpError(f"{Path(command[0]).name}: {(lines or ['it said nothing.'])[0].split('error: ')[-1]}")
