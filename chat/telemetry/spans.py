"""The spans of `chat.telemetry.tracing`, made with OpenTelemetry's API. Imported only where traces are collected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Final, Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from chat.protocol.errors import ChatError
from chat.telemetry import tracing
from chat.telemetry.tracing import Kind, Value

BY_CLIENT: Final = "antiphon.by_client"  # in a context: the parent is a client's word (`config.observability.tracing`)
_KINDS: Final[dict[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class Recorded:
    """A `chat.telemetry.tracing.Span`."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    @property
    def traceparent(self) -> str:
        at = self._span.get_span_context()
        return f"00-{at.trace_id:032x}-{at.span_id:016x}-{int(at.trace_flags):02x}"

    @property
    def recording(self) -> bool:
        return self._span.is_recording()

    def set(self, attributes: Mapping[str, Value | None]) -> None:
        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def event(self, name: str) -> None:
        self._span.add_event(name)

    def link(self, other: tracing.Span) -> None:
        if other.recording:
            self._span.add_link(_parse(other.traceparent))

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        self._span.end()

    def __enter__(self) -> Self:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            context.detach(self._token)
        if isinstance(error, ChatError):
            self.fail(error.code)
        elif kind is not None and not issubclass(kind, asyncio.CancelledError):
            self.fail(kind.__name__)
        self._span.end()


def begin(
    tracer: Tracer,
    name: str,
    kind: Kind,
    *,
    parent: str | None,
    by_client: bool,
    began: int | None,
    attributes: Mapping[str, Value | None],
) -> Recorded:
    """See `chat.telemetry.tracing.span`."""
    within = None
    if parent is not None:
        within = Context()
        if parent:
            within = trace.set_span_in_context(trace.NonRecordingSpan(_parse(parent)), within)
        if by_client:
            within = context.set_value(BY_CLIENT, True, within)
    given = {key: value for key, value in attributes.items() if value is not None}
    return Recorded(tracer.start_span(name, within, _KINDS[kind], given, start_time=began))


def _parse(traceparent: str) -> SpanContext:
    _, of_trace, of_span, flags = traceparent.split("-")
    return SpanContext(int(of_trace, 16), int(of_span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
