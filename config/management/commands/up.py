"""`manage.py up`: runs everything on this machine until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandParser

from config.stack.errors import StackError
from config.stack.https import behind_tls
from config.stack.local import LocalStack, Options
from config.stack.ports import is_loopback
from config.stack.root import leave_root
from config.stack.steps import steps
from config.stack.stopped import Stopped
from workers.asr.registry import open_chain
from workers.providers import discovery
from workers.tts.registry import open_backends

DEFAULT_ADMIN = "admin@localhost"


class Command(BaseCommand):
    help = "Runs everything on this machine: PostgreSQL and Valkey where none are named, web, workers, clock."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
        parser.add_argument("--web", type=int, default=1, help="web processes, one core each (default: 1)")
        parser.add_argument("--workers", type=int, default=1, help="worker processes (default: 1)")

    def handle(self, *_args: object, **options: Any) -> None:
        if options["web"] < 1 or options["workers"] < 1:
            sys.exit("--web and --workers are 1 at the least.")
        try:
            model = discovery.describe()
            open_chain()  # voice: the settings are checked, nothing is loaded
            open_backends()
        except ImproperlyConfigured as error:
            sys.exit(f"Setting {error}. Correct it in the environment or in .env.")
        try:
            https = behind_tls(
                options["host"],
                settings.ALLOWED_ORIGINS,
                settings.ALLAUTH_TRUSTED_PROXY_COUNT,
                settings.HTTPS if "HTTPS" in os.environ else None,
            )
            leave_root(options["port"], own_database=not os.environ.get("DATABASE_URL"))
        except StackError as error:
            sys.exit(str(error))
        stopped = Stopped()
        stack = LocalStack(
            settings.BASE_DIR,
            settings.VAR_DIR,
            Options(
                host=options["host"],
                port=options["port"],
                web=options["web"],
                workers=options["workers"],
                database_url=os.environ.get("DATABASE_URL", ""),
                redis_url=os.environ.get("REDIS_URL", ""),
                admin_email=os.environ.get("ADMIN_EMAIL") or DEFAULT_ADMIN,
                admin_password=os.environ.get("ADMIN_PASSWORD", ""),
                origins=tuple(settings.ALLOWED_ORIGINS),
                https=https,
                stuck_seconds=settings.PROCESS_STUCK_SECONDS,
                metrics_host=settings.METRICS_HOST,
                metrics_ports={
                    "web": settings.WEB_METRICS_PORT if settings.METRICS else None,
                    "worker": settings.WORKER_METRICS_PORT if settings.METRICS else None,
                },
            ),
        )
        try:
            stack.start(stopped)
            if not stopped():
                assert stack.supervisor is not None
                stack.supervisor.write_block(describe(stack, model, steps.seconds))
                stack.watch(stopped)
        except StackError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)
        except OSError as error:  # a full disk, a folder of somebody else's, a container without rights
            place = error.filename or stack.var
            sys.exit(f"{place}: {error.strerror}. Make room, or set ANTIPHON_VAR to a folder that can be written.")
        finally:
            stack.stop(stopped.insists)


def describe_access(*, https: bool) -> str:
    """How people on other machines get in."""
    hosts = f"by the names in ALLOWED_HOSTS ({', '.join(settings.ALLOWED_HOSTS)}) and ALLOWED_ORIGINS"
    if https:
        return f"{hosts}, over https through a proxy; HTTPS=0 in .env serves plain http"
    return f"{hosts}, over plain http"


def password_command(root: Path, email: str) -> str:
    """What to type for a new password of an account, from the project's folder, while `up` runs."""
    python = Path(sys.executable)
    shown = python.relative_to(root) if python.is_relative_to(root) else python
    return shlex.join([str(shown), "manage.py", "changepassword", email])


def describe(stack: LocalStack, model: str, seconds: float) -> str:
    """What an operator needs to know now, in one block. `seconds`: how long the start took."""
    admin = stack.admin
    login = admin["email"] or "sign up at the address above"
    if admin["password"]:
        login += f"   password: {admin['password']}   (shown this once)"
    # Behind a proxy, pages are served by its name only.
    address = next((origin for origin in stack.options.origins if origin.startswith("https://")), stack.url)
    lines = [
        ("Open", address),
        ("Log in", login),
        ("Reset", password_command(stack.root, admin["email"]) if admin["email"] else ""),
        ("Staff", f"{address}/admin/"),
        ("Model", model),
        ("Metrics", ", ".join(stack.metrics_places())),
        ("Stop", "Ctrl-C"),
    ]
    if not is_loopback(stack.options.host) or stack.options.https:
        lines.insert(1, ("Others", describe_access(https=stack.options.https)))
    lines = [(name, text) for name, text in lines if text]
    width = max(len(text) for _, text in lines) + 10
    inner = "\n".join(f"  {name:<7} {text}" for name, text in lines)
    return f"\n{'─' * width}\n  Antiphon is running. It started in {seconds:.1f} s.\n\n{inner}\n{'─' * width}\n"
