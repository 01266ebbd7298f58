"""The web server: Daphne on uvloop, with a graceful shutdown.

Daphne 4.2.3 stops its reactor on SIGTERM, and then skips its clean-up when a socket connected within the last second
(the upgraded request has no application). Here SIGTERM first makes `/readyz` return 503 and stops accepting, then
closes the sockets and the streams of live shares over the drain period, then waits for requests in progress, and stops
the reactor last.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from functools import partial
from typing import Any, Final

import structlog
import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # before daphne.server, which creates its loop when imported

import daphne.server  # noqa: E402
from daphne.server import Server  # noqa: E402
from twisted.internet import reactor  # noqa: E402

from accounts.lib import watchdog  # noqa: E402
from accounts.lib.lasting import lasting  # noqa: E402
from accounts.lib.outage import OUTAGE  # noqa: E402
from accounts.lib.refreshing import REFRESH_SECONDS  # noqa: E402
from chat.catalog.refreshing import refresh_rules  # noqa: E402
from chat.jobs import processes  # noqa: E402
from chat.protocol.limits import HARD_FRAME_BYTES  # noqa: E402
from chat.realtime.command_time import BUSY_SECONDS  # noqa: E402
from chat.realtime.open_sockets import drain, open_sockets  # noqa: E402
from chat.realtime.watching.registry import drain as drain_streams  # noqa: E402
from config.ops.gc_tuning import settle  # noqa: E402
from config.web.access_log import forwarded_address, log_action, with_plain_scheme  # noqa: E402
from config.web.deadlines import DeadlineFactory  # noqa: E402
from config.web.event_stream import EventStream  # noqa: E402
from config.web.health import State  # noqa: E402
from config.web.inbox import Inbox  # noqa: E402
from config.web.websocket import DirectFactory  # noqa: E402

# Daphne creates both by these names; there is no other hook.
daphne.server.WebSocketFactory = DirectFactory
daphne.server.HTTPFactory = DeadlineFactory

REQUEST_SECONDS: Final = 60
# Of a socket's handshake. The consumer ends it before, and says why (`CommandTime`). Daphne's default is 5 s.
HANDSHAKE_SECONDS: Final = BUSY_SECONDS + 5
REQUEST_GRACE_SECONDS: Final = 5  # for requests in progress, after the last socket

logger = structlog.get_logger(__name__)


class WebServer(Server):  # type: ignore[misc]  # daphne has no types
    """Serves `application` on a listening socket, which other processes may share. Times in seconds."""

    def __init__(self, application: Any, listener: socket.socket, *, drain_seconds: float, proxies: int = 0) -> None:
        super().__init__(
            application,
            endpoints=["the given socket"],
            signal_handlers=False,
            action_logger=log_action,
            http_timeout=REQUEST_SECONDS,
            ping_interval=30,
            ping_timeout=30,
            websocket_connect_timeout=HANDSHAKE_SECONDS,
            websocket_handshake_timeout=HANDSHAKE_SECONDS,
            websocket_max_message_size=HARD_FRAME_BYTES,
            websocket_max_frame_size=HARD_FRAME_BYTES,
            ready_callable=self._on_ready,
            server_name="",
        )
        self.endpoints: list[str] = []  # no endpoint strings: the listening socket is adopted instead
        self.listener = listener
        self.drain_seconds = drain_seconds
        self.proxies = proxies
        self._port: Any = None
        self._ending: asyncio.Task[None] | None = None
        self._reporter = processes.Reporter("web")
        self._reporting: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def _on_ready(self) -> None:
        loop = asyncio.get_event_loop()
        watchdog.keep(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        self._port = reactor.adoptStreamPort(self.listener.fileno(), self.listener.family, self.http_factory)
        settle()
        watchdog.announce_ready()
        self._reporting = loop.create_task(self._report())
        self._refreshing = loop.create_task(self._refresh_rules())
        host = self._port.getHost()
        logger.info("server_started", host=host.host, port=host.port)

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Daphne's own, with the client's address as the trusted proxies report it. Daphne would take the first entry
        of X-Forwarded-For, which the client can write. The scope of a socket has the `frame_limit` of its server
        side; that of a request has what makes its `stream` once the headers are sent.
        """
        scope["headers"] = with_plain_scheme(scope["headers"])
        if scope["type"] == "websocket":
            scope["frame_limit"] = protocol.frame_limit
        else:
            scope["stream"] = partial(EventStream, protocol)
        if self.proxies and (address := forwarded_address(scope["headers"], self.proxies)):
            scope["client"] = protocol.client_addr = [address, 0]
        if scope["type"] == "websocket":
            return self._open_socket(protocol, scope)
        return super().create_application(protocol, scope)

    def _open_socket(self, protocol: Any, scope: dict[str, Any]) -> Inbox | None:
        """Daphne's `create_application`, with a smaller queue: there are as many as sockets, and most of them idle."""
        if protocol not in self.connections:
            return None
        inbox = Inbox()
        scope.setdefault("asgi", {"version": "3.0"})
        work = self.application(scope=scope, receive=inbox.get, send=partial(self.handle_reply, protocol))
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(work)
        return inbox

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Daphne's own; the application goes on once the client has taken most of what it sent."""
        await super().handle_reply(protocol, message)
        if message["type"] == "http.response.body" and message.get("more_body"):
            await protocol.wait_for_room()

    async def _report(self) -> None:
        """Says every few seconds that this process lives (`chat.jobs.processes`)."""
        while True:
            with lasting("process_not_reported"):
                await self._reporter.report(draining=State.draining)
            await asyncio.sleep(processes.EVERY_SECONDS)

    async def _refresh_rules(self) -> None:
        """Reads rules again while there are sockets; without any, the next message makes the queries itself."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            if not open_sockets().connections:
                continue
            with lasting("rules_not_refreshed"):
                await refresh_rules()

    def _on_signal(self) -> None:
        if self._ending is None:
            self._ending = asyncio.ensure_future(self.end())
        else:  # the second signal: stop at once
            self.stop()

    async def end(self) -> None:
        """Closes all sockets within `drain_seconds`, waits for requests in progress, then stops the reactor."""
        deadline = time.monotonic() + self.drain_seconds + REQUEST_GRACE_SECONDS
        State.draining = True
        logger.info("drain_started", seconds=self.drain_seconds, connections=len(self.connections))
        try:
            self._port.stopListening()
            self.listener.close()
            await asyncio.gather(drain(self.drain_seconds), drain_streams(self.drain_seconds))
            while (in_progress := self._in_progress()) and (left := deadline - time.monotonic()) > 0:
                await asyncio.wait(in_progress, timeout=left)
            for task in filter(None, (self._reporting, self._refreshing)):
                task.cancel()
            with contextlib.suppress(*OUTAGE):
                await self._reporter.end()
        except Exception:
            logger.exception("drain_failed")
        finally:
            logger.info("server_stopped", cut=len(self._in_progress()))
            self.stop()

    def _in_progress(self) -> list[asyncio.Future[None]]:
        """Requests and sockets whose application still runs."""
        found = (details.get("application_instance") for details in self.connections.values())
        return [task for task in found if task is not None and not task.done()]

    def kill_all_applications(self) -> Any:
        """Daphne's own, also for connections that have no application or no longer have one."""
        for protocol, details in list(self.connections.items()):
            if "application_instance" not in details:
                del self.connections[protocol]
        return super().kill_all_applications()
