"""`manage.py serve`: one web process."""

from __future__ import annotations

import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.stack.errors import StackError
from config.stack.ports import open_socket
from config.stack.root import leave_root


class Command(BaseCommand):
    help = "Runs one web process: pages, and the WebSocket at /ws/."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
        parser.add_argument("--fd", type=int, help="a listening socket that is open already, shared between processes")

    def handle(self, *_args: object, **options: Any) -> None:
        try:
            leave_root(options["port"] if options["fd"] is None else 0)
        except StackError as error:
            raise CommandError(str(error)) from None
        from config.web.server import WebServer  # here: it installs the event loop
        from config.asgi import application  # isort: skip
        from config.observability import tracing
        from config.web.metrics import serve_beside

        if options["fd"] is not None:
            listener = socket.socket(fileno=options["fd"])
        else:
            try:
                listener = open_socket(options["host"], options["port"])
            except StackError as error:
                raise CommandError(str(error)) from None
        serve_beside(settings.WEB_METRICS_PORT, shared=True)
        tracing.start("web")
        WebServer(
            application,
            listener,
            drain_seconds=settings.DRAIN_SECONDS,
            proxies=settings.ALLAUTH_TRUSTED_PROXY_COUNT,
        ).run()
        tracing.stop()
