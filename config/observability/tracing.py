"""Traces to an OpenTelemetry collector: OTLP over HTTP, once OTEL_EXPORTER_OTLP_ENDPOINT is set; else nothing.

The standard variables hold (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, OTEL_BSP_…). What is
under way waits in a bounded queue and goes out on a thread of its own: a collector that is slow or away costs spans,
and nothing else.
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

from chat.telemetry import tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import Sampler

PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
MISSING: Final = "OTEL_EXPORTER_OTLP_ENDPOINT is set and the packages are missing: pip install -r requirements-otel.txt"
STOP_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 2.0
COMPLAINT_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)
_provider: TracerProvider | None = None


def wanted() -> bool:
    """Whether the operator named a collector."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return bool(settings.TRACES_ENDPOINT) and not off


def installed() -> bool:
    """Whether the optional packages are there."""
    try:
        return all(find_spec(name) is not None for name in PACKAGES)
    except ModuleNotFoundError:  # not even the package they are in
        return False


def look() -> tuple[bool, str, str]:
    """For the doctor: whether all is well, what is, and what to do."""
    if not wanted():
        return True, "Traces are not collected.", ""
    if not installed():
        return False, "Traces are wanted, but the packages for them are missing.", MISSING
    parts = urlsplit(settings.TRACES_ENDPOINT)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if (protocol := os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")) != "http/protobuf":
        return (
            False,
            f"Traces go out as http/protobuf, not as {protocol}.",
            "Name the collector's port for OTLP/HTTP (4318).",
        )
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        said = f"The trace collector at {host}:{port} cannot be reached ({error.strerror or type(error).__name__})."
        return False, said, "Start it, or correct OTEL_EXPORTER_OTLP_ENDPOINT. Nothing else waits for it."
    return True, f"Traces go to {host}:{port}.", ""


def start(process: str) -> None:
    """To be called once by each web and worker process; `process` is what it is."""
    global _provider
    if not wanted():
        return
    if not installed():
        log.warning("traces_off", note=MISSING)
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {"service.instance.id": os.environ.get("ANTIPHON_PROCESS") or f"{process}-{os.getpid()}"}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        named["service.name"] = f"antiphon-{process}"
    _provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    _provider.sampler = _our_sampler(_provider.sampler)
    _provider.add_span_processor(BatchSpanProcessor(_patient(OTLPSpanExporter())))
    tracing.install(_provider.get_tracer("antiphon"))
    log.info("traces", sampler=os.environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on"))


def stop() -> None:
    """Sends what is left, for `STOP_SECONDS` at the most."""
    global _provider
    provider, _provider = _provider, None
    tracing.install(None)
    if provider is not None:
        ending = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(STOP_SECONDS)
        if ending.is_alive():
            log.warning("traces_not_sent", note="the collector did not take the last ones in time")


def _our_sampler(chosen: Sampler) -> Sampler:
    """The operator's sampler, which a client's `traceparent` does not overrule: its flags are a stranger's word."""
    from opentelemetry.context import Context, get_value
    from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult

    from chat.telemetry.spans import BY_CLIENT

    class OurSampler(Sampler):
        def should_sample(self, parent_context: Context | None, *arguments: Any, **named: Any) -> SamplingResult:
            if parent_context is not None and get_value(BY_CLIENT, parent_context):
                parent_context = Context()
            return chosen.should_sample(parent_context, *arguments, **named)

        def get_description(self) -> str:
            return chosen.get_description()

    return OurSampler()


def _patient(exporter: SpanExporter) -> SpanExporter:
    """The exporter, complaining once a minute at the most, in one line: the library does so at each try."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Patient(SpanExporter):
        lost, complained = 0, float("-inf")

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = exporter.export(spans)
            if result is not SpanExportResult.SUCCESS:
                self.lost += len(spans)
                if _provider is not None and time.monotonic() - self.complained > COMPLAINT_SECONDS:
                    self.complained = time.monotonic()
                    log.warning("traces_lost", spans=self.lost, note="the collector does not take them")
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return Patient()
