"""An OpenTelemetry collector for tests: takes OTLP over HTTP on a real socket and keeps the spans.

    with Collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}

`python -m tests.fakes.collector` runs a stack, has one message answered and prints its trace, span by span.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


@dataclass(frozen=True)
class Seen:
    """A span as it came in. Times in ns since 1970."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    service: str
    start: int
    end: int
    attributes: dict[str, Any]
    events: list[str]
    links: list[str]  # traces it is linked to
    failed: bool


class Collector:
    """Runs in a thread until the block ends."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.raw: list[bytes] = []
        self._changed = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            self.raw.append(body)
            for group in request.resource_spans:
                service = _attributes(group.resource.attributes).get("service.name", "")
                self.spans += [_seen(span, service) for scope in group.scope_spans for span in scope.spans]
            self._changed.notify_all()

    def until(self, condition: Callable[[list[Seen]], Any], seconds: float = 15) -> Any:
        """Waits until `condition(spans)` is truthy; its value."""
        with self._changed:
            found = self._changed.wait_for(lambda: condition(self.spans), seconds)
        assert found, f"not in time; came: {[(span.service, span.name) for span in self.spans]}"
        return found

    def of(self, trace: str) -> list[Seen]:
        with self._changed:
            return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.start)


def _seen(span: WireSpan, service: str) -> Seen:
    return Seen(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        kind=KINDS.get(span.kind, "?"),
        service=service,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=[event.name for event in span.events],
        links=[link.trace_id.hex() for link in span.links],
        failed=span.status.code == 2,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


def draw(spans: list[Seen]) -> str:
    """A trace as a tree: offset and length in milliseconds, process, kind, what is known."""
    began = min(span.start for span in spans)
    known = {span.id for span in spans}
    lines: list[str] = []

    def add(span: Seen, depth: int) -> None:
        facts = {name: value for name, value in span.attributes.items() if not name.endswith(".id")}
        lines.append(
            f"{(span.start - began) / 1e6:9.2f} +{(span.end - span.start) / 1e6:9.2f} ms  "
            f"{span.service.removeprefix('antiphon-'):<7}{span.kind:<9}{'  ' * depth}{span.name}"
            + (f"  {facts}" if facts else "")
            + (f"  events: {', '.join(span.events)}" if span.events else "")
            + ("  FAILED" if span.failed else "")
        )
        for child in sorted((one for one in spans if one.parent == span.id), key=lambda one: one.start):
            add(child, depth + 1)

    for root in sorted((span for span in spans if span.parent not in known), key=lambda span: span.start):
        lines.append(f"trace {root.trace}, under the client's span {root.parent or '(none)'}")
        add(root, 0)
    return "\n".join(lines)


async def _show() -> None:
    from tests.client import session
    from tests.fakes.openai_server import FakeOpenAI
    from tests.stack import run_stack

    trace = f"{time.time_ns():032x}"
    with FakeOpenAI() as upstream, Collector() as collector:
        env = {
            "OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-test", "CHAT_MODELS": "small",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200",
        }  # fmt: skip
        with run_stack(web=1, workers=1, env=env) as stack:
            async with session(stack.url) as alice:
                client = await alice.connect()
                accepted = await client.say(
                    "Show me [[tokens=20 rate=50]]", traceparent=f"00-{trace}-00f067aa0ba902b7-01"
                )
                await client.ended(accepted["run_id"])
                await asyncio.to_thread(collector.until, lambda spans: [s for s in spans if s.name == "deliver"])
                await client.close()
                await asyncio.to_thread(collector.until, lambda spans: [s for s in spans if s.name == "socket"])
    print(draw(collector.of(trace)))
    print(draw([span for span in collector.spans if span.name == "socket"]))


if __name__ == "__main__":
    from tests.servers import servers

    servers.set_environment()
    servers.start()
    try:
        asyncio.run(_show())
    finally:
        servers.stop()
