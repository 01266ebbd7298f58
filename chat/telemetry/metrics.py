"""Everything this process counts and measures, by the names Prometheus sees. `/metrics` is in `config.web.metrics`.

What happens per frame adds to a plain integer, which a scrape reads: a library's counter, with its lock and labels,
costs more than the frame. What happens once per run or command goes to histograms. Labels come from small fixed sets;
no id, address or text is ever one.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Final

from channels.layers import get_channel_layer
from django.conf import settings
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts.auth import counters as of_accounts
from accounts.auth import websocket
from chat.catalog import offered_models
from chat.models import ACTIVE, RunStatus
from chat.protocol.close_codes import Close
from chat.protocol.errors import ChatError
from chat.telemetry.histogram import Buckets

PREFIX: Final = "antiphon_"


@dataclasses.dataclass(slots=True)
class Counted:
    """Plain integers, for what happens per frame. Add to them on any thread that owns the frame."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    events_sent: int = 0
    ephemeral_dropped: int = 0
    gaps: int = 0
    catch_ups: int = 0
    resets: int = 0
    opened: int = 0
    cut: int = 0
    repeats: int = 0


counted: Final = Counted()
closes: Final[Counter[str]] = Counter()
commands: Final[Counter[tuple[str, str]]] = Counter()
errors: Final[Counter[str]] = Counter()
runs: Final[Counter[str]] = Counter()
upstream: Final[Counter[str]] = Counter()
tokens: Final[Counter[tuple[str, str]]] = Counter()
money: Final[dict[str, float]] = {}
denials: Final[Counter[str]] = Counter()
resumes: Final[Counter[str]] = Counter()
recoveries: Final[Counter[str]] = Counter()

# Gauges read when metrics are scraped: `chat.realtime.open_sockets` and `workers.runtime` register theirs here.
gauges: Final[dict[str, Callable[[], float]]] = {}
# What all processes share, as the last look at Redis found it (`config.web.metrics`); empty when that failed.
shared: Final[dict[str, float]] = {}

disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs; a moment beside each counter that nobody reads
registry: Final = CollectorRegistry()
SECONDS: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 20, 30, 60)
queue_wait: Final = Histogram(
    PREFIX + "queue_wait_seconds", "From the message's commit until a worker took the run.",
    registry=registry, buckets=SECONDS,
)  # fmt: skip
first_token: Final = Histogram(
    PREFIX + "first_token_seconds", "From the message's commit to the model's first token.",
    registry=registry, buckets=SECONDS,
)  # fmt: skip
run_length: Final = Histogram(
    PREFIX + "run_seconds", "From the message's commit to the end of the answer, however it ended.",
    registry=registry, buckets=(*SECONDS, 120, 300, 600),
)  # fmt: skip
command_time: Final = Histogram(
    PREFIX + "command_seconds", "From a command's frame to its reply, limits and database included.",
    registry=registry, buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)  # fmt: skip

# The two that are per frame: see `chat.telemetry.histogram`.
token_gap: Final = Buckets((0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 20))
event_lag: Final = Buckets((0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5))

CLOSE_CODES: Final = frozenset({str(code.value) for code in Close} | {"1000", "1001", "1006"})
OUTCOMES: Final = tuple(status.value for status in RunStatus if status.value not in ACTIVE)
RECOVERIES: Final = ("reaped", "requeued", "republished", "closed", "recordings", "redelivered", "lease_lost")
DENIALS: Final = ("frames", "commands", "waiting", "connections", "runs", "quota", "forbidden")
RESUMES: Final = ("recovered", "snapshot", "denied")
MODELS: Final = 50  # have a label of their own, in the order they are first asked; the rest is "other"
UPSTREAM: Final = (
    "upstream_unreachable", "upstream_timeout", "upstream_cut", "upstream_rate_limited", "upstream_quota",
    "upstream_unauthorized", "upstream_refused", "upstream_error", "upstream_garbage", "upstream_empty",
    "model_not_found", "context_too_long",
)  # fmt: skip
REFUSALS: Final = ("path", "origin", "protocol", "ticket", "session", "unavailable")


# --- counting --------------------------------------------------------------------------------------------------------


def count_close(code: int) -> None:
    """A socket is gone. Codes that a client may make up are counted as one."""
    name = str(code)
    closes[name if name in CLOSE_CODES else "other"] += 1


class count_command:  # noqa: N801 -- a context manager, used like a function
    """Counts a command by type and result: `ok`, a code of `chat.protocol.errors`, or `error`; and how long it took."""

    __slots__ = ("began", "kind")

    def __init__(self, command: object) -> None:
        self.kind = type(command).__name__

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        result = "ok" if kind is None else error.code if isinstance(error, ChatError) else "error"
        commands[self.kind, result] += 1
        if settings.METRICS:
            command_time.observe(time.monotonic() - self.began)


def count_run(
    outcome: str,
    *,
    model: str,
    queued_ms: int | None = None,
    first_token_ms: int | None = None,
    total_ms: int | None = None,
    input_tokens: int = 0,
    output_tokens: int = 0,
    cost: Decimal | None = None,
) -> None:
    """A run has ended. Times in milliseconds from the message's commit; `cost` in `CURRENCY`, None without a price."""
    runs[outcome] += 1
    label = label_of(model)
    tokens["input", label] += input_tokens
    tokens["output", label] += output_tokens
    if cost is not None:
        money[label] = money.get(label, 0.0) + float(cost)
    if not settings.METRICS:
        return
    for histogram, milliseconds in (
        (queue_wait, queued_ms),
        (first_token, first_token_ms),
        (run_length, total_ms),
    ):
        if milliseconds is not None:
            histogram.observe(milliseconds / 1000)


_labels: Final[set[str]] = set()


def label_of(model: str) -> str:
    """A model's name, while few and on offer: a name that somebody made up is never a label."""
    if model not in _labels:
        if len(_labels) >= MODELS or model not in offered_models.known:
            return "other"
        _labels.add(model)
    return model


# --- showing ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Family:
    """One metric. `read` gives a number, or numbers by label values; `known` label values are shown from the start."""

    name: str
    text: str
    read: Callable[[], float | Mapping[str, float] | Mapping[tuple[str, str], float]]  # of a label's values, or two's
    labels: tuple[str, ...] = ()
    known: Iterable[str] = ()


def _denied() -> Mapping[str, float]:
    return {**denials, "quota": errors["quota_exceeded"], "forbidden": errors["forbidden"]}


COUNTERS: Final = (
    Family("frames_sent_total", "Text frames to clients.", lambda: counted.frames_sent),
    Family("sent_bytes_total", "Characters of JSON in those frames: bytes, but for text beyond ASCII.",
           lambda: counted.bytes_sent),
    Family("frames_received_total", "Frames from clients, acks and audio too.", lambda: counted.frames_received),
    Family("events_sent_total", "Log events to clients; one for each socket that gets it.",
           lambda: counted.events_sent),
    Family("ephemeral_dropped_total", "Typing and presence kept from slow clients.",
           lambda: counted.ephemeral_dropped),
    Family("gaps_total", "Live events that did not continue a socket's cursor, so the log was read.",
           lambda: counted.gaps),
    Family("catch_ups_total", "Reads of a conversation's log for one socket.", lambda: counted.catch_ups),
    Family("resets_total", "Cursors given up: the client took a snapshot.", lambda: counted.resets),
    Family("sockets_opened_total", "Sockets that passed the handshake.", lambda: counted.opened),
    Family("sockets_closed_total", "Sockets gone, by close code (docs/protocol.md §4).", lambda: closes,
           ("code",), (*sorted(CLOSE_CODES), "other")),
    Family("sockets_cut_total", "Connections cut because the client did not read.", lambda: counted.cut),
    Family("handshakes_refused_total", "Upgrades answered with 403, by reason.", lambda: websocket.refused,
           ("reason",), REFUSALS),
    Family("tickets_total", "Tickets asked for, by result.", lambda: of_accounts.tickets,
           ("result",), ("issued", "rate_limited", "unavailable")),
    Family("logins_total", "Logins, by result; locked: too many failures before it.", lambda: of_accounts.logins,
           ("result",), ("ok", "failed", "locked")),
    Family("commands_total", "Commands, by type and result (ok, an error's code, or error).", lambda: commands,
           ("type", "result")),
    Family("errors_sent_total", "Error frames to clients, by code.", lambda: errors, ("code",)),
    Family("runs_ended_total", "Answers, by outcome.", lambda: runs, ("outcome",), OUTCOMES),
    Family("upstream_errors_total", "Answers that failed at the model's endpoint, by code.", lambda: upstream,
           ("code",), UPSTREAM),
    Family("tokens_total", "Tokens, by direction and model; estimated where the endpoint does not say.",
           lambda: tokens, ("direction", "model")),
    Family("cost_total", "What answers cost by the prices in force, by model, in CURRENCY.", lambda: money,
           ("model",)),
    Family("denials_total", "What was not let through, by limit; forbidden: by role.", _denied, ("reason",), DENIALS),
    Family("resumes_total", "Subscriptions: recovered from the log, given a snapshot, or not allowed.",
           lambda: resumes, ("result",), RESUMES),
    Family("repeats_total", "Commands that had been carried out before, and were answered with what they made.",
           lambda: counted.repeats),
    Family("recoveries_total", "What a crash left and was put right, by kind (docs/reliability.md).",
           lambda: recoveries, ("kind",), RECOVERIES),
)  # fmt: skip
GAUGES: Final = (
    Family("sockets", "Open sockets of this process.", lambda: _gauge("sockets")),
    Family("subscriptions", "Conversations followed by sockets of this process.", lambda: _gauge("subscriptions")),
    Family("unacked_bytes", "Sent to clients and not yet acknowledged.", lambda: _gauge("unacked_bytes")),
    Family("blocked_sockets", "Sockets over their window: nothing is sent until they acknowledge.",
           lambda: _gauge("blocked_sockets")),
    Family("runs_in_flight", "Answers in progress in this worker.", lambda: _gauge("runs_in_flight")),
    Family("run_slots", "Answers this worker takes at once.", lambda: _gauge("run_slots")),
    Family("queue_jobs", "Jobs that wait in the broker, of all processes.", lambda: _shared("queue_jobs")),
    Family("workers", "Workers whose heartbeat is fresh, of all machines.", lambda: _shared("workers")),
)  # fmt: skip
BATCHED: Final = (
    ("token_gap_seconds", "Between two pieces of an answer's text, as they go to the log.", token_gap),
    ("event_lag_seconds", "From an event's append to a socket's process (no deltas); clocks of two machines differ.",
     event_lag),
)  # fmt: skip
HISTOGRAMS: Final = (
    "queue_wait_seconds", "first_token_seconds", "run_seconds", "command_seconds", *(name for name, *_ in BATCHED),
)  # fmt: skip
LAYER_GAUGES: Final = frozenset({"subscriptions", "channels", "groups", "pending_bytes"})


def _gauge(name: str) -> float | Mapping[str, float]:
    read = gauges.get(name)
    return read() if read else {}


def _shared(name: str) -> float | Mapping[str, float]:
    return shared.get(name, {})


class _Collector(Collector):
    def collect(self) -> Iterator[Metric]:
        for family in COUNTERS:
            yield _fill(CounterMetricFamily(PREFIX + family.name, family.text, labels=family.labels), family)
        for family in GAUGES:
            yield _fill(GaugeMetricFamily(PREFIX + family.name, family.text, labels=family.labels), family)
        for name, text, buckets in BATCHED:
            yield buckets.family(PREFIX + name, text)
        yield from _layer()


def _fill(metric: CounterMetricFamily | GaugeMetricFamily, family: Family) -> Metric:
    found = family.read()
    if isinstance(found, Mapping):
        values: dict[Any, float] = {**dict.fromkeys(family.known, 0.0), **found}
        for labels, value in values.items():
            metric.add_metric([labels] if isinstance(labels, str) else list(labels), value)
    else:
        metric.add_metric([], found)
    return metric


def _layer() -> Iterator[Metric]:
    """The channel layer's own counters (`chat.channel_layer.stats`), each as it is named there."""
    stats = get_channel_layer().stats()
    for field in dataclasses.fields(stats):
        value = getattr(stats, field.name)
        name = f"{PREFIX}layer_{field.name}"
        if field.name in LAYER_GAUGES:
            yield GaugeMetricFamily(name, f"Channel layer: {field.name}, now.", value=value)
        else:
            yield CounterMetricFamily(f"{name}_total", f"Channel layer: {field.name}.", value=value)


registry.register(_Collector())
ProcessCollector(namespace=PREFIX.rstrip("_"), registry=registry)
