"""Exports `chat.telemetry.metrics`, and the counters of other folders, to Prometheus; `config.web.metrics` serves them.

`REGISTRY` has all of them, with the histograms of `metrics`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from channels.layers import get_channel_layer
from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts.auth import counters as auth_counters
from accounts.auth import websocket
from accounts.lib.lasting import failures
from chat.models import ACTIVE, Finish, RunStatus
from chat.telemetry import metrics, tool_metrics
from chat.telemetry.metrics import CLOSE_CODES, PREFIX, counted

OUTCOMES: Final = tuple(status.value for status in RunStatus if status.value not in ACTIVE)
RECOVERIES: Final = (
    "reaped",
    "requeued",
    "republished",
    "closed",
    "recordings",
    "redelivered",
    "lease_lost",
    "rewritten",
    "waiting_lines",
)
DENIALS: Final = ("frames", "commands", "waiting", "connections", "watchers", "runs", "quota", "forbidden")
RESUMES: Final = ("recovered", "snapshot", "denied")
UPSTREAM: Final = (
    "upstream_unreachable", "upstream_timeout", "upstream_cut", "upstream_rate_limited", "upstream_quota",
    "upstream_unauthorized", "upstream_refused", "upstream_error", "upstream_garbage", "upstream_empty",
    "upstream_tool_call", "upstream_loading", "model_not_found", "context_too_long",
)  # fmt: skip
ODDITIES: Final = ("event", "field", "no_json", "no_object", "usage")
REFUSALS: Final = ("path", "origin", "protocol", "ticket", "session", "unavailable")


Values = (
    float
    | Mapping[str, float]
    | Mapping[tuple[str, str], float]
    | Mapping[tuple[str, str, str], float]
    | Mapping[tuple[str, str, str, str], float]
)


@dataclasses.dataclass(frozen=True)
class Family:
    """One metric: its name without prefix, its help text, and how to read it.

    `read` returns a number, or numbers by the value of the label (by several values where there are several labels).
    The label values in `known` are exported from the start, with 0.
    """

    name: str
    text: str
    read: Callable[[], Values]
    labels: tuple[str, ...] = ()
    known: Iterable[str] = ()


def _denied() -> Mapping[str, float]:
    errors = metrics.errors
    return {**metrics.denials, "quota": errors["quota_exceeded"], "forbidden": errors["forbidden"]}


COUNTERS: Final = (
    Family("frames_sent_total", "Text frames sent to clients.", lambda: counted.frames_sent),
    Family("sent_bytes_total", "JSON sent to clients, in characters: bytes for ASCII text.",
           lambda: counted.bytes_sent),
    Family("frames_received_total", "Frames received from clients, with acks and audio.",
           lambda: counted.frames_received),
    Family("events_sent_total", "Log events sent to clients, counted once per socket.", lambda: counted.events_sent),
    Family("ephemeral_dropped_total", "Typing and presence events not sent to slow clients.",
           lambda: counted.ephemeral_dropped),
    Family("gaps_total", "Live events that did not continue a socket's cursor, so that the log was read.",
           lambda: counted.gaps),
    Family("catch_ups_total", "Reads of a conversation's event log for one socket.", lambda: counted.catch_ups),
    Family("resets_total", "Cursors that could not be continued, so that the client took a snapshot.",
           lambda: counted.resets),
    Family("sockets_opened_total", "Sockets accepted after the handshake.", lambda: counted.opened),
    Family("sockets_closed_total", "Sockets closed, by close code (docs/protocol.md §4).", lambda: metrics.closes,
           ("code",), (*sorted(CLOSE_CODES), "other")),
    Family("sockets_cut_total", "Connections aborted because the client did not read.", lambda: counted.cut),
    Family("watchers_opened_total", "Streams of live shares that were opened.", lambda: counted.watchers_opened),
    Family("watch_frames_total", "Events and comments sent to those who watch live shares.",
           lambda: counted.watch_frames),
    Family("watchers_cut_total", "Streams of live shares aborted because the client did not read.",
           lambda: counted.watchers_cut),
    Family("handshakes_refused_total", "WebSocket upgrades answered with 403, by reason.", lambda: websocket.refused,
           ("reason",), REFUSALS),
    Family("tickets_total", "Requests for a WebSocket ticket, by result.", lambda: auth_counters.tickets,
           ("result",), ("issued", "rate_limited", "unavailable")),
    Family("logins_total", "Log-in attempts, by result; locked: refused after too many failures.",
           lambda: auth_counters.logins, ("result",), ("ok", "failed", "locked")),
    Family("security_events_total", "Events of the security log, by kind (docs/security.md).",
           lambda: auth_counters.security_events, ("event",), auth_counters.SECURITY_EVENTS),
    Family("api_refusals_total", "Requests to the API without a valid token, by reason.",
           lambda: auth_counters.api_refusals, ("reason",), auth_counters.API_REFUSALS),
    Family("commands_total", "Commands, by type and result (ok, an error code, or error).", lambda: metrics.commands,
           ("type", "result")),
    Family("errors_sent_total", "Error frames sent to clients, by code.", lambda: metrics.errors, ("code",)),
    Family("runs_ended_total", "Runs ended, by outcome.", lambda: metrics.runs, ("outcome",), OUTCOMES),
    Family("upstream_errors_total", "Runs that failed at the model's endpoint, by error code.",
           lambda: metrics.upstream, ("code",), UPSTREAM),
    Family("answers_finished_total", "Complete answers, by how they ended: stop, length, filtered, tool_limit.",
           lambda: metrics.finishes, ("finish",), tuple(Finish.values)),
    Family("upstream_oddities_total", "What model endpoints sent beside the protocol and was ignored, by kind.",
           lambda: metrics.oddities, ("kind",), ODDITIES),
    Family("titles_total", "Titles asked of the model TITLE_MODEL, by result; renamed: somebody else was first.",
           lambda: metrics.titles, ("result",), ("written", "not_needed", "empty", "renamed", "failed", "given_up")),
    Family("pushes_total", "Browser notifications, by result; gone: the browser wants none any more.",
           lambda: metrics.pushes, ("result",), ("sent", "gone", "failed", "given_up")),
    Family("tokens_total", "Tokens, by direction and model; estimated where the endpoint reports no usage.",
           lambda: metrics.tokens, ("direction", "model")),
    Family("cost_total", "Cost of answers at the prices in force, by model, in CURRENCY.", lambda: metrics.costs,
           ("model",)),
    Family("denials_total", "Requests denied, by limit; forbidden: by role.", _denied, ("reason",), DENIALS),
    Family("resumes_total", "Subscriptions, by result: recovered from the log, answered with a snapshot, or denied.",
           lambda: metrics.resumes, ("result",), RESUMES),
    Family("repeats_total", "Commands received again and answered with the result of the first.",
           lambda: counted.repeats),
    Family("recoveries_total", "Repairs after crashes and lost jobs, by kind (docs/reliability.md).",
           lambda: metrics.recoveries, ("kind",), RECOVERIES),
    Family("failed_steps_total", "Steps of lasting loops that failed without an outage, by their name in the log.",
           lambda: failures, ("step",)),
    Family("queued_messages_total", "Messages of waiting lines: queued, edited, removed, sent, or refused because too "
           "many wait.", lambda: metrics.waiting_line, ("result",), ("queued", "edited", "removed", "sent", "full")),
    Family("queued_refused_total", "Messages of waiting lines that could not be sent and wait on, by error code.",
           lambda: metrics.waiting_refusals, ("code",)),
    Family("moderation_verdicts_total", "What moderation found in texts, by tier (rules, judge), rule or judge, "
           "category and action.", lambda: metrics.verdicts, ("tier", "name", "category", "action")),
    Family("moderation_judge_failures_total", "Texts for which a judge gave no verdict, by judge and reason.",
           lambda: metrics.judge_failures, ("judge", "code")),
    Family("tool_calls_total", "Calls of tools that have ended, by server, tool and status (worker).",
           lambda: tool_metrics.tool_calls, ("server", "tool", "status")),
)  # fmt: skip
GAUGES: Final = (
    Family("sockets", "Open sockets of this process.", lambda: _gauge("sockets")),
    Family("subscriptions", "Subscriptions to conversations of this process's sockets.",
           lambda: _gauge("subscriptions")),
    Family("unacked_bytes", "Bytes sent to clients and not yet acknowledged.", lambda: _gauge("unacked_bytes")),
    Family("blocked_sockets", "Sockets whose send window is full: nothing is sent until they acknowledge.",
           lambda: _gauge("blocked_sockets")),
    Family("watchers", "Streams of live shares of this process.", lambda: _gauge("watchers")),
    Family("runs_in_flight", "Runs in progress in this worker.", lambda: _gauge("runs_in_flight")),
    Family("run_slots", "Runs that this worker can carry out at once.", lambda: _gauge("run_slots")),
    Family("moderation_judge_away", "1 if the judge gives no verdict at the moment (worker).",
           lambda: _gauge("judges_away"), ("judge",)),
    Family("moderation_cases_open", "Cases of moderation that are not decided.", lambda: _shared("cases_open")),
    Family("moderation_oldest_case_seconds", "Age of the oldest case that is not decided; 0: there is none.",
           lambda: _shared("oldest_case_seconds")),
    Family("moderation_unjudged_texts", "Texts that are shown and wait for a judge that gave no verdict.",
           lambda: _shared("unjudged_texts")),
    Family("tool_approvals_waiting", "Calls of tools that wait for a person.", lambda: _shared("approvals_waiting")),
    Family("tool_calls_unknown", "Calls of the last 24 hours of which nobody knows whether they had their effect.",
           lambda: _shared("calls_unknown")),
    Family("tools_stopped", "1 while staff have stopped all tools.", lambda: _shared("tools_stopped")),
    Family("queued_messages", "Messages in waiting lines, of all conversations.",
           lambda: _shared("queued_messages")),
    Family("queue_jobs", "Jobs waiting in the broker, for all workers.", lambda: _shared("queue_jobs")),
    Family("queue_length", "Jobs of one kind waiting in the broker, for all workers.",
           lambda: _shared("queue_length"), ("queue",)),
    Family("beat", "1 while a process schedules the periodic jobs.", lambda: _shared("beat")),
    Family("endpoint_up", "1 if a worker can use the model endpoint, else 0.", lambda: _shared("endpoint_up"),
           ("endpoint",)),
    Family("redis_writable", "1 while Redis takes writes; 0 where it is full or a replica.",
           lambda: _shared("redis_writable")),
    Family("redis_memory_used", "Used part of Redis's maxmemory, from 0 to 1; absent without a limit.",
           lambda: _shared("redis_memory_used")),
    Family("purge_backlog", "Expired rows that the last purge has left, by kind.", lambda: _shared("purge_backlog"),
           ("kind",)),
    Family("purge_overdue_seconds", "How long the oldest of these has been expired at least.",
           lambda: _shared("purge_overdue_seconds")),
    Family("purge_age_seconds", "Time since the last purge ended.", lambda: _shared("purge_age_seconds")),
    Family("disk_free_bytes", "Free bytes on the disk of `var` or of the stored files, of this process's machine.",
           lambda: _shared("disk_free_bytes"), ("folder",)),
    Family("disk_size_bytes", "Size of that disk, in bytes.", lambda: _shared("disk_size_bytes"), ("folder",)),
    Family("backup_age_seconds", "Time since `manage.py backup` last made a backup; absent before the first.",
           lambda: _shared("backup_age_seconds")),
    Family("backup_overdue", "1 if the last backup failed or is older than BACKUP_DAYS, else 0.",
           lambda: _shared("backup_overdue")),
    Family("budget_spent", "Spent of a budget in this calendar month (UTC), in CURRENCY.",
           lambda: _shared("budget_spent"), ("budget",)),
    Family("budget_amount", "What a budget has for each month, in CURRENCY.", lambda: _shared("budget_amount"),
           ("budget",)),
    Family("workers", "Workers with a fresh heartbeat, on all machines.", lambda: _shared("workers")),
)  # fmt: skip
FRAME_HISTOGRAMS: Final = (
    ("token_gap_seconds", "Time between two pieces of an answer's text, as they are appended to the log.",
     metrics.token_gap),
    ("event_lag_seconds", "Time from an event's append to a socket's process, without deltas; includes clock skew.",
     metrics.event_lag),
)  # fmt: skip
HISTOGRAMS: Final = (
    "queue_wait_seconds", "first_token_seconds", "first_output_seconds", "run_seconds", "command_seconds",
    "moderation_seconds", "moderation_held_characters", "tool_call_seconds",
    *(name for name, *_ in FRAME_HISTOGRAMS),
)  # fmt: skip
LAYER_GAUGES: Final = frozenset({"subscriptions", "channels", "groups", "pending_bytes"})


def _gauge(name: str) -> float | Mapping[str, float]:
    read = metrics.gauges.get(name) or metrics.labelled_gauges.get(name)
    return read() if read else {}


def _shared(name: str) -> float | Mapping[str, float]:
    return metrics.shared.get(name, {})


class _Collector(Collector):
    def collect(self) -> Iterator[Metric]:
        for family in COUNTERS:
            yield _fill(CounterMetricFamily(PREFIX + family.name, family.text, labels=family.labels), family)
        for family in GAUGES:
            yield _fill(GaugeMetricFamily(PREFIX + family.name, family.text, labels=family.labels), family)
        for name, text, histogram in FRAME_HISTOGRAMS:
            yield histogram.family(PREFIX + name, text)
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
    """The channel layer's counters and gauges (`chat.channel_layer.stats`), under their names there."""
    stats = get_channel_layer().stats()
    for field in dataclasses.fields(stats):
        value = getattr(stats, field.name)
        name = f"{PREFIX}layer_{field.name}"
        if field.name in LAYER_GAUGES:
            yield GaugeMetricFamily(name, f"Channel layer: {field.name}, at present.", value=value)
        else:
            yield CounterMetricFamily(f"{name}_total", f"Channel layer: {field.name}.", value=value)


REGISTRY: Final = metrics.registry
REGISTRY.register(_Collector())
ProcessCollector(namespace=PREFIX.rstrip("_"), registry=REGISTRY)
