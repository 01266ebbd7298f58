"""The spans of a run in its worker (`chat.telemetry.tracing`), named by OpenTelemetry's generative AI conventions.

What people and models wrote is in none of them. See opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chat.runs.context import ClaimedRun
from chat.telemetry import tracing
from chat.telemetry.tracing import Span

if TYPE_CHECKING:
    from workers.providers.base import Usage


def begin_run(run: ClaimedRun, traceparent: str, *, taken: int, claiming: int) -> Span:
    """A run's span in this worker, since its job was `taken`, with the claim since `claiming` (ns since 1970) in it.

    A job that was published again has no `traceparent`, or one of an earlier try: its trace is the row's then, and
    whether it is recorded follows from the trace's id, as it did in the web process.
    """
    ours = tracing.trace_id(traceparent) == run.trace_id
    if not ours:
        traceparent = f"00-{run.trace_id}-{run.id.hex[16:]}-01" if run.trace_id else ""
    span = tracing.span(
        "run",
        "consumer",
        parent=traceparent,
        by_client=not ours,
        began=taken,
        attributes={
            "antiphon.run.id": str(run.id),
            "antiphon.run.attempt": run.attempt,
            "antiphon.run.queued_ms": run.queued_ms,
            "gen_ai.conversation.id": str(run.conversation_id),
            "user.id": str(run.user_id) if run.user_id else None,
        },
    )
    tracing.span("claim", parent=span.traceparent, began=claiming, attributes={"db.system.name": "postgresql"}).end()
    return span


class ModelCall:
    """One answer of an endpoint, retries included."""

    def __init__(self, run: ClaimedRun) -> None:
        self.span = tracing.span(
            f"chat {run.model}",
            "client",
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": run.model,
                "gen_ai.request.stream": True,
                "gen_ai.conversation.id": str(run.conversation_id),
            },
        )
        self._asked = time.monotonic()

    def asked(self, host: str, model: str) -> None:
        """A request goes out, perhaps to another endpoint than the one before."""
        self._asked = time.monotonic()
        self.span.event("request")
        provider = "demo" if host == "demo" else "openai"  # whose protocol is spoken
        self.span.set({"gen_ai.provider.name": provider, "server.address": host, "gen_ai.request.model": model})

    def answers(self) -> None:
        """The first word is there."""
        self.span.event("first_token")
        self.span.set({"gen_ai.response.time_to_first_chunk": time.monotonic() - self._asked})

    def used(self, usage: Usage | None) -> None:
        if usage is not None:
            self.span.set(
                {
                    "gen_ai.usage.input_tokens": usage.input_tokens,
                    "gen_ai.usage.output_tokens": usage.output_tokens,
                    "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
                    "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens or None,
                }
            )
