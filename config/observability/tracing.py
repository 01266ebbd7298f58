"""Sends traces to an OpenTelemetry collector, as OTLP over HTTP, when OTEL_EXPORTER_OTLP_ENDPOINT is set.

The standard variables apply (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_BSP_...). Ended
spans wait in a bounded queue and are sent by a thread of their own: a slow or missing collector loses spans and delays
nothing else. The SDK and the exporter are optional packages (requirements/otel.txt).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from opentelemetry.context import Context, get_value

from chat.telemetry import tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import Sampler

PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
MISSING: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but its packages are missing: pip install -r requirements/otel.txt"
)
STOP_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 2.0
WARNING_SECONDS: Final = 60.0  # at most one warning about lost spans in this time

logger = structlog.get_logger(__name__)
_provider: TracerProvider | None = None


def is_configured() -> bool:
    """Whether a collector is configured and traces are not switched off."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return bool(settings.TRACES_ENDPOINT) and not off


def is_installed() -> bool:
    """Whether the optional packages are installed."""
    try:
        return all(find_spec(name) is not None for name in PACKAGES)
    except ModuleNotFoundError:  # the package that contains them is missing too
        return False


def check_collector() -> tuple[bool, str, str]:
    """Whether traces can be sent, the state in a sentence, and advice (empty when all is well)."""
    if not is_configured():
        return True, "Traces are not collected.", ""
    if not is_installed():
        return False, "Traces are configured, but their packages are missing.", MISSING
    parts = urlsplit(settings.TRACES_ENDPOINT)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if (protocol := os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")) != "http/protobuf":
        return (
            False,
            f"Traces are sent as http/protobuf; OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not supported.",
            "Use the collector's port for OTLP over HTTP (usually 4318).",
        )
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        state = f"Cannot connect to the trace collector at {host}:{port} ({error.strerror or type(error).__name__})."
        return False, state, "Start it, or correct OTEL_EXPORTER_OTLP_ENDPOINT. Nothing else depends on it."
    return True, f"Traces are sent to {host}:{port}.", ""


def start(process: str) -> None:
    """Starts to make and send spans if a collector is configured. Each web and worker process calls it once.

    `process` is the kind of process, `web` or `worker`; it becomes part of the service's name.
    """
    global _provider
    if not is_configured():
        return
    if not is_installed():
        logger.warning("tracing_not_started", note=MISSING)
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    attributes = {"service.instance.id": os.environ.get("ANTIPHON_PROCESS") or f"{process}-{os.getpid()}"}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = f"antiphon-{process}"
    _provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    _provider.sampler = _ignoring_client_flags(_provider.sampler)
    _provider.add_span_processor(BatchSpanProcessor(_warning_rarely(OTLPSpanExporter())))
    tracing.install(_provider.get_tracer("antiphon"))
    logger.info("tracing_started", sampler=os.environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on"))


def stop() -> None:
    """Makes no more spans and sends those that wait, for at most `STOP_SECONDS`."""
    global _provider
    provider, _provider = _provider, None
    tracing.install(None)
    if provider is not None:
        shutdown = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
        shutdown.start()
        shutdown.join(STOP_SECONDS)
        if shutdown.is_alive():
            logger.warning("traces_dropped", note="the collector did not accept the last spans in time")


def _ignoring_client_flags(chosen: Sampler) -> Sampler:
    """The operator's sampler, without the sampled flag of a client's `traceparent`: clients must not decide that."""
    from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult

    class IgnoringClientFlags(Sampler):
        def should_sample(self, parent_context: Context | None, *arguments: Any, **named: Any) -> SamplingResult:
            if parent_context is not None and get_value(tracing.PARENT_FROM_CLIENT, parent_context):
                parent_context = Context()
            return chosen.should_sample(parent_context, *arguments, **named)

        def get_description(self) -> str:
            return chosen.get_description()

    return IgnoringClientFlags()


def _warning_rarely(exporter: SpanExporter) -> SpanExporter:
    """The exporter, with one warning a minute about lost spans; the library's own log lines come at each attempt."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class WarningRarely(SpanExporter):
        lost, warned_at = 0, float("-inf")

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = exporter.export(spans)
            if result is not SpanExportResult.SUCCESS:
                self.lost += len(spans)
                if _provider is not None and time.monotonic() - self.warned_at > WARNING_SECONDS:
                    self.warned_at = time.monotonic()
                    logger.warning("traces_lost", spans=self.lost, note="the collector does not accept them")
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return WarningRarely()
