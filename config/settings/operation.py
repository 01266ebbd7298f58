"""How processes end, and what they report: metrics, traces, logs."""

from __future__ import annotations

from environs import validate

from config.env import at_least, http_url
from config.settings.environment import BASE_DIR, env
from config.version import program_version

VERSION = program_version(BASE_DIR)

# On SIGTERM a web process closes its sockets over this many seconds, so that clients do not all reconnect at once.
DRAIN_SECONDS = env.float("DRAIN_SECONDS", 10.0, validate=at_least(0))
# Prometheus: /metrics of a web process answers the same machine, or requests with the token. Workers, and web processes
# that share a port, need a port of their own: unset means none, 0 a free one (which is logged).
METRICS = env.bool("METRICS", True)  # off: no page and no histograms; plain counters continue
METRICS_TOKEN: str = env.str("METRICS_TOKEN", "")
METRICS_HOST: str = env.str("METRICS_HOST", "127.0.0.1")
WEB_METRICS_PORT: int | None = env.int("WEB_METRICS_PORT", None)
WORKER_METRICS_PORT: int | None = env.int("WORKER_METRICS_PORT", None)
# OpenTelemetry: traces go to this collector over OTLP/HTTP; empty is none. OTEL_TRACES_SAMPLER and the other standard
# variables apply too (config.observability.tracing). Needs the packages of requirements/otel.txt.
TRACES_ENDPOINT: str = http_url(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or http_url(
    env, "OTEL_EXPORTER_OTLP_ENDPOINT"
)
LOGGING_CONFIG = "config.observability.logging.configure"
LOGGING = {
    "level": env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])),
    "format": env.str("LOG_FORMAT", "auto", validate=validate.OneOf(["auto", "human", "json"])),
}
