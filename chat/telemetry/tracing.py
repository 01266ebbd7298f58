"""Traces: which trace a command belongs to (W3C Trace Context), and its spans, made with OpenTelemetry's API.

The trace id is written to the run's row and to every log line, whether or not a collector is configured. Spans are
made after `install` (called by `config.observability.tracing`); before that every span is `NO_SPAN`, which does
nothing. There is one span per command, transaction, job, run, model call and delivery, and one per socket; none per
frame or token.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, TypeVar

import msgspec
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chat.protocol.commands import Traced
from chat.protocol.errors import ChatError

__all__ = ["NO_SPAN", "Span", "SpanKind"]  # besides what is defined here

T = TypeVar("T", bound=Traced)
AttributeValue = str | int | float | bool | tuple[str, ...]

NO_SPAN: Final = INVALID_SPAN
# Key in a Context: the parent was named by a client, so the sampler ignores its flags.
PARENT_FROM_CLIENT: Final = context.create_key("antiphon.parent_from_client")

_NO_SPAN_CONTEXT: Final = nullcontext(NO_SPAN)
_propagator: Final = TraceContextTextMapPropagator()
_tracer: Tracer | None = None

# The `traceparent` of the command or job that this task or thread carries out; empty in any other.
current: ContextVar[str] = ContextVar("traceparent", default="")


def trace_id(traceparent: str | None) -> str:
    """The trace id in a validated `traceparent`, 32 hexadecimal digits; empty without a `traceparent`."""
    return traceparent[3:35] if traceparent else ""


def new_traceparent() -> str:
    """A `traceparent` that starts a new trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def with_traceparent(command: T) -> T:
    """The command with a `traceparent`: its own, or that of a new trace when the client sent none."""
    if command.traceparent is None:
        command = msgspec.structs.replace(command, traceparent=new_traceparent())
    return command


def install(tracer: Tracer | None) -> None:
    """Makes spans with `tracer` from now on, in the whole process; None turns spans off."""
    global _tracer
    _tracer = tracer


def is_enabled() -> bool:
    """Whether spans are made in this process."""
    return _tracer is not None


def start_span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: str | None = None,
    by_client: bool = False,
    start_time: int | None = None,
    attributes: Mapping[str, AttributeValue | None] | None = None,
) -> Span:
    """Starts a span, which the caller ends; `NO_SPAN` where spans are off.

    `parent` is a `traceparent`; empty starts a new trace, None means the span in use here (`use_span`). `by_client`:
    a client named the parent, so its sampled flag is ignored. `start_time` is in nanoseconds since 1970, now by
    default. Attributes that are None are left out.
    """
    if _tracer is None:
        return NO_SPAN
    within = None
    if parent is not None:
        within = _propagator.extract({"traceparent": parent}, Context())
        if by_client:
            within = context.set_value(PARENT_FROM_CLIENT, True, within)
    known = {key: value for key, value in (attributes or {}).items() if value is not None}
    return _tracer.start_span(name, within, kind, known, start_time=start_time)


def use_span(span: Span) -> AbstractContextManager[Span]:
    """Makes the span the parent of spans that start within, and ends it. An exception marks it as failed."""
    return _NO_SPAN_CONTEXT if span is NO_SPAN else _use_recorded(span)


def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: str | None = None,
    by_client: bool = False,
    start_time: int | None = None,
    attributes: Mapping[str, AttributeValue | None] | None = None,
) -> AbstractContextManager[Span]:
    """`start_span` and `use_span` in one, for a `with` statement."""
    if _tracer is None:
        return _NO_SPAN_CONTEXT
    return use_span(
        start_span(name, kind, parent=parent, by_client=by_client, start_time=start_time, attributes=attributes)
    )


def traceparent_of(span: Span) -> str:
    """The `traceparent` that makes another span its child; empty for `NO_SPAN`."""
    if span is NO_SPAN:
        return ""
    at = span.get_span_context()
    return f"00-{trace.format_trace_id(at.trace_id)}-{trace.format_span_id(at.span_id)}-{int(at.trace_flags):02x}"


def add_link(span: Span, other: Span) -> None:
    """Links `span` to `other`, unless `other` is not recorded."""
    if other.is_recording():
        span.add_link(other.get_span_context())


def mark_failed(span: Span, error_type: str) -> None:
    """Marks the span as failed. `error_type` is an error code or an exception's name, never its text."""
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


@contextmanager
def _use_recorded(span: Span) -> Iterator[Span]:
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except asyncio.CancelledError:
            raise
        except ChatError as error:
            mark_failed(span, error.code)
            raise
        except BaseException as error:
            mark_failed(span, type(error).__name__)
            raise
