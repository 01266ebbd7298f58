"""`manage.py prepare`: migrates the database and collects static files. Safe to repeat."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader

from accounts.lib.outage import is_lock_timeout
from accounts.models import User

BUNDLER: Final = tuple(
    settings.BASE_DIR / name for name in ("config/bundling", "chat/views/page_files.py", "requirements.txt")
)
PAUSE: Final = "60s"
LOCK_SECONDS: Final = 1  # for a lock, while others wait behind
LOCK_TRIES: Final = 60
LOCK_PAUSE_SECONDS: Final = 2.0
PROGRESS: Final = "progress: "  # begins such a line on stderr

logger = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Migrates the database, collects static files if they changed, creates the first administrator if asked."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--admin-email", default="", help="create this administrator if there is none")
        parser.add_argument("--progress", action="store_true", help="write to stderr how far it is, a line each step")
        parser.epilog = "The administrator's password comes from ADMIN_PASSWORD; without one it is made up."

    def handle(self, *_args: object, **options: Any) -> None:
        """Prints one line of JSON: the administrator's `email`, and `password` when it was made up just now."""
        allow_pauses()
        migrate(partial(run_counted, self._report) if options["progress"] else call_command)
        if settings.STATIC_VERSIONED and not settings.STATIC_COLLECTED:
            if options["progress"]:
                self._report("collecting the static files")
            gather_static()
        email, password = first_admin(options["admin_email"], os.environ.get("ADMIN_PASSWORD", ""))
        self.stdout.write(json.dumps({"email": email, "password": password}))

    def _report(self, what: str) -> None:
        self.stderr.write(PROGRESS + what)


class CountedMigrate(Migrate):
    """Says how many migrations are applied after each of them."""

    def __init__(self, report: Callable[[str], None]) -> None:
        super().__init__()
        loader = MigrationLoader(connection)
        self._left = len(loader.graph.nodes.keys() - loader.applied_migrations.keys())
        self._done = 0
        self._say = report

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        if action == "apply_success":
            self._done += 1
            self._say(f"{self._done} of {self._left} migrations applied")


def run_counted(report: Callable[[str], None], name: str, **options: Any) -> None:
    """`call_command`, by which migrations report how far they are."""
    call_command(CountedMigrate(report) if name == "migrate" else name, **options)


def allow_pauses() -> None:
    """Within its transactions this process may do nothing for `PAUSE`: a migration computes between two statements, and
    a machine that starts everything at once is busy. Others than a start should not keep their locks so long
    (`config.env.database_from_url`).
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [PAUSE])


def migrate(run: Callable[..., Any], pause: Callable[[float], None] = time.sleep) -> None:
    """Applies the migrations while the site runs. One that does not get a lock within `LOCK_SECONDS` gives way, so that
    nobody waits behind it for longer, and is tried again up to `LOCK_TRIES` times; what it had done is undone.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
    for attempt in range(1, LOCK_TRIES + 1):
        try:
            run("migrate", interactive=False, verbosity=0)
            return
        except OperationalError as error:
            if not is_lock_timeout(error) or attempt == LOCK_TRIES:
                raise
            logger.warning("migration_postponed", attempt=attempt, note="a table is in use; it is tried again")
            pause(LOCK_PAUSE_SECONDS)


def first_admin(email: str, password: str) -> tuple[str, str]:
    """The oldest administrator's address; makes one when there is none and an `email` is given.

    The second value is the password when it was made up here, else empty.
    """
    with transaction.atomic():
        known = User.objects.filter(is_superuser=True, is_active=True).order_by("date_joined").first()
        if known or not email:
            return known.email if known else "", ""
        made_up = "" if password else secrets.token_urlsafe(12)
        user = User.objects.create_superuser(email, password or made_up, name="Administrator")
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        return user.email, made_up


def gather_static() -> None:
    """`collectstatic`, unless the files are those of the last time: it bundles, hashes and compresses for seconds."""
    seen = hashlib.sha256()
    for place in BUNDLER:
        for path in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            seen.update(path.read_bytes())
    for finder in get_finders():
        for name, storage in finder.list([]):
            seen.update(f"{name} {storage.size(name)} {storage.get_modified_time(name)}\n".encode())
    stamp = settings.VAR_DIR / "static.stamp"
    if settings.STATIC_ROOT.exists() and stamp.exists() and stamp.read_text() == seen.hexdigest():
        return
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    stamp.write_text(seen.hexdigest())
