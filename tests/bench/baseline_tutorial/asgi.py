"""Daphne's application."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.baseline_tutorial.settings")
http = get_asgi_application()

from tests.bench.baseline_tutorial.consumers import ChatConsumer  # noqa: E402 -- after Django is set up

urlpatterns: list[object] = []
application = ProtocolTypeRouter({"http": http, "websocket": URLRouter([path("ws", ChatConsumer.as_asgi())])})
