"""Traces: where a command belongs in its sender's (W3C Trace Context), and the spans of its way.

The trace id goes from the page to the run's row and into every log line, whether or not anything collects traces.
Spans are made once `install` was called (`config.observability.tracing`); until then each is the same empty object.
There is one per command, transaction, job, run, model call and delivery, and one for a
socket's life; none per frame or token.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeVar

import msgspec

from chat.protocol.commands import Traced

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

T = TypeVar("T", bound=Traced)
Value = str | int | float | bool | tuple[str, ...]
Kind = Literal["internal", "server", "client", "producer", "consumer"]

# Of the task or thread that carries out a command or a job; empty in any other.
current: ContextVar[str] = ContextVar("traceparent", default="")


def trace_id(traceparent: str | None) -> str:
    """The trace of a checked `traceparent`, 32 hexadecimal digits; empty without one."""
    return traceparent[3:35] if traceparent else ""


def new_traceparent() -> str:
    """The beginning of a trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def entered(command: T) -> T:
    """The command with a `traceparent`: a client that sent none gets a trace all the same."""
    if command.traceparent is None:
        command = msgspec.structs.replace(command, traceparent=new_traceparent())
    return command


class Span(Protocol):
    """A piece of work. As a context it is the parent of what begins within; else whoever began it ends it."""

    @property
    def traceparent(self) -> str:
        """For others to belong to it; empty where traces are off."""

    @property
    def recording(self) -> bool:
        """Whether anybody will see it."""

    def set(self, attributes: Mapping[str, Value | None]) -> None:
        """Attributes; those that are None are left out."""

    def event(self, name: str) -> None:
        """Something happened now."""

    def link(self, other: Span) -> None:
        """The other span has to do with this one."""

    def fail(self, kind: str) -> None:
        """It failed. `kind`: a code or an exception's name, never its text."""

    def end(self) -> None:
        """It is over, once."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Nothing:
    """Where traces are off."""

    traceparent = ""
    recording = False

    def set(self, attributes: Mapping[str, Value | None]) -> None: ...
    def event(self, name: str) -> None: ...
    def link(self, other: Span) -> None: ...
    def fail(self, kind: str) -> None: ...
    def end(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


NOTHING = _Nothing()
_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """From now on spans are made; with None no longer."""
    global _tracer
    _tracer = tracer


def are_on() -> bool:
    """Whether spans are made in this process."""
    return _tracer is not None


def span(
    name: str,
    kind: Kind = "internal",
    *,
    parent: str | None = None,
    by_client: bool = False,
    began: int | None = None,
    attributes: Mapping[str, Value | None] | None = None,
) -> Span:
    """A span that begins now, or at `began` (ns since 1970), under `parent`: a `traceparent`; empty is a new trace,
    None whatever is under way here. `by_client`: whether it is recorded is ours to say, not the `traceparent`'s.
    """
    if _tracer is None:
        return NOTHING
    from chat.telemetry.spans import begin

    return begin(_tracer, name, kind, parent=parent, by_client=by_client, began=began, attributes=attributes or {})
