"""The spans of a run in its worker (`chat.telemetry.tracing`), named by OpenTelemetry's generative AI conventions.

No span contains text of users or models. See opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chat.runs.context import ClaimedRun
from chat.telemetry import tracing
from chat.telemetry.tracing import Span, SpanKind

if TYPE_CHECKING:
    from workers.providers.base import TokenUsage


def start_run_span(run: ClaimedRun, traceparent: str, *, received: int, claiming: int) -> Span:
    """Starts a run's span, from `received`, when the job arrived; within it the span of the claim, from `claiming`.

    Both times are in nanoseconds since 1970. A job that was published again has no `traceparent`, or that of an
    earlier attempt: then the trace is the run's own, and the sampler decides by its trace id, as it did in the web
    process.
    """
    ours = tracing.trace_id(traceparent) == run.trace_id
    if not ours:
        traceparent = f"00-{run.trace_id}-{run.id.hex[16:]}-01" if run.trace_id else ""
    span = tracing.start_span(
        "run",
        SpanKind.CONSUMER,
        parent=traceparent,
        by_client=not ours,
        start_time=received,
        attributes={
            "antiphon.run.id": str(run.id),
            "antiphon.run.attempt": run.attempt,
            "antiphon.run.queued_ms": run.queued_ms,
            "gen_ai.conversation.id": str(run.conversation_id),
            "user.id": str(run.user_id) if run.user_id else None,
        },
    )
    tracing.start_span(
        "claim",
        parent=tracing.traceparent_of(span),
        start_time=claiming,
        attributes={"db.system.name": "postgresql"},
    ).end()
    return span


class ModelCall:
    """The span of one answer of an endpoint, retries included."""

    def __init__(self, run: ClaimedRun) -> None:
        self.span = tracing.start_span(
            f"chat {run.model}",
            SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": run.model,
                "gen_ai.request.stream": True,
                "gen_ai.conversation.id": str(run.conversation_id),
            },
        )
        self._requested = time.monotonic()
        self._began = False  # something has arrived

    def note_request(self, host: str, model: str) -> None:
        """A request is sent. After a failover it goes to another endpoint than the one before."""
        self._requested = time.monotonic()
        self.span.add_event("request")
        provider = "demo" if host == "demo" else "openai"  # whose protocol is spoken
        has_port = host.startswith("[") or host.count(":") == 1  # the others with colons are addresses of IPv6
        address, _, port = host.rpartition(":") if has_port else (host, "", "")
        attributes: dict[str, str | int] = {
            "gen_ai.provider.name": provider,
            "server.address": address.strip("[]"),
            "gen_ai.request.model": model,
        }
        if port:
            attributes["server.port"] = int(port)
        self.span.set_attributes(attributes)

    def note_first_token(self) -> None:
        """The first text has arrived."""
        self._note_chunk("first_token")

    def note_first_reasoning(self) -> None:
        """The model has begun to think."""
        self._note_chunk("first_reasoning")

    def _note_chunk(self, name: str) -> None:
        self.span.add_event(name)
        if not self._began:
            self.span.set_attribute("gen_ai.response.time_to_first_chunk", time.monotonic() - self._requested)
        self._began = True

    def note_usage(self, usage: TokenUsage | None) -> None:
        """Adds the token counts that the endpoint reported, if any."""
        if usage is None or not self.span.is_recording():
            return
        counts = {
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
        }
        if usage.cached_tokens:
            counts["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
        if usage.reasoning_tokens:
            counts["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
        self.span.set_attributes(counts)
