"""Everything this process counts and measures. `chat.telemetry.exposition` exports it to Prometheus.

What happens per frame is counted in plain integers, which a scrape reads: a library's counter, with its lock and
labels, costs more than sending the frame. What happens once per run or command goes to histograms. Labels come from
small fixed sets; ids, addresses and texts are never labels.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Final

from django.conf import settings
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics

from chat.protocol.close_codes import Close
from chat.protocol.errors import ChatError
from chat.telemetry.histogram import FrameHistogram

PREFIX: Final = "antiphon_"


@dataclasses.dataclass(slots=True)
class Counted:
    """Plain integers, for what happens per frame. Only the thread that handles the frame adds to them."""

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
    watch_frames: int = 0
    watchers_opened: int = 0
    watchers_cut: int = 0


counted: Final = Counted()
closes: Final[Counter[str]] = Counter()
commands: Final[Counter[tuple[str, str]]] = Counter()
errors: Final[Counter[str]] = Counter()
runs: Final[Counter[str]] = Counter()
upstream: Final[Counter[str]] = Counter()
oddities: Final[Counter[str]] = Counter()  # in what endpoints send, by kind
finishes: Final[Counter[str]] = Counter()  # of complete answers
titles: Final[Counter[str]] = Counter()  # asked of a model, by result
pushes: Final[Counter[str]] = Counter()  # browser notifications, by result
tokens: Final[Counter[tuple[str, str]]] = Counter()
costs: Final[dict[str, float]] = {}
denials: Final[Counter[str]] = Counter()
resumes: Final[Counter[str]] = Counter()
recoveries: Final[Counter[str]] = Counter()
waiting_line: Final[Counter[str]] = Counter()  # messages that wait: what was done with them
waiting_refusals: Final[Counter[str]] = Counter()  # of those, when they were to be sent, by error code
verdicts: Final[Counter[tuple[str, str, str, str]]] = Counter()  # of moderation: tier, rule or judge, category, action
judge_failures: Final[Counter[tuple[str, str]]] = Counter()  # judge, code

# Gauges read when metrics are scraped: `chat.realtime.open_sockets` and `workers.runtime` register theirs here.
gauges: Final[dict[str, Callable[[], float]]] = {}
labelled_gauges: Final[dict[str, Callable[[], dict[str, float]]]] = {}  # likewise, by the value of a label
# Gauges common to all processes, read from Redis by `config.web.metrics`; empty when Redis did not answer.
shared: Final[dict[str, float | Mapping[str, float]]] = {}

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped; no `_created` series, which nothing here uses
registry: Final = CollectorRegistry()
SECONDS: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 20, 30, 60)
queue_wait: Final = Histogram(
    PREFIX + "queue_wait_seconds", "Time from the message's commit until a worker claimed the run.",
    registry=registry, buckets=SECONDS,
)  # fmt: skip
first_token: Final = Histogram(
    PREFIX + "first_token_seconds",
    "Time from the message's commit to the first text of the answer, thinking before it included.",
    registry=registry, buckets=SECONDS,
)  # fmt: skip
first_output: Final = Histogram(
    PREFIX + "first_output_seconds", "Time from the message's commit to the first thinking or text, which is shown.",
    registry=registry, buckets=SECONDS,
)  # fmt: skip
run_length: Final = Histogram(
    PREFIX + "run_seconds", "Time from the message's commit to the end of the run, with any outcome.",
    registry=registry, buckets=(*SECONDS, 120, 300, 600),
)  # fmt: skip
command_time: Final = Histogram(
    PREFIX + "command_seconds", "Time from a command's frame to its reply, with limits and database.",
    registry=registry, buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)  # fmt: skip
moderation_time: Final = Histogram(
    PREFIX + "moderation_seconds", "Time that moderation took for a text, by tier: rules, or a judge (worker).",
    ("tier",), registry=registry, buckets=(0.0002, 0.0005, 0.001, 0.005, 0.02, *SECONDS[:16]),
)  # fmt: skip
held_back: Final = Histogram(
    PREFIX + "moderation_held_characters", "The most characters of an answer that rules held back at a time (worker).",
    registry=registry, buckets=(0, 4, 8, 16, 24, 32, 48, 64),
)  # fmt: skip

# Observed per frame: see `chat.telemetry.histogram`.
token_gap: Final = FrameHistogram((0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 20))
event_lag: Final = FrameHistogram((0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5))

CLOSE_CODES: Final = frozenset({str(code.value) for code in Close} | {"1000", "1001", "1006"})
NAMES: Final = 50  # rules and judges with a label of their own, likewise
MODELS: Final = 50  # models with a label of their own, in the order of their first use; the rest is "other"


# --- counting --------------------------------------------------------------------------------------------------------


def count_close(code: int) -> None:
    """Counts a closed socket. All codes that are not in `CLOSE_CODES`, which clients may invent, count as `other`."""
    name = str(code)
    closes[name if name in CLOSE_CODES else "other"] += 1


class count_command:  # noqa: N801 -- a context manager, used like a function
    """Counts a command by type and result (`ok`, a code of `chat.protocol.errors`, or `error`); measures its time."""

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
    first_reasoning_ms: int | None = None,
    total_ms: int | None = None,
    input_tokens: int = 0,
    output_tokens: int = 0,
    cost: Decimal | None = None,
) -> None:
    """Counts an ended run. Times in ms from the message's commit; `cost` in CURRENCY, None without a price."""
    runs[outcome] += 1
    label = label_of(model)
    tokens["input", label] += input_tokens
    tokens["output", label] += output_tokens
    if cost is not None:
        costs[label] = costs.get(label, 0.0) + float(cost)
    if not settings.METRICS:
        return
    for histogram, milliseconds in (
        (queue_wait, queued_ms),
        (first_token, first_token_ms),
        (first_output, min((ms for ms in (first_token_ms, first_reasoning_ms) if ms is not None), default=None)),
        (run_length, total_ms),
    ):
        if milliseconds is not None:
            histogram.observe(milliseconds / 1000)


def count_verdict(tier: str, name: str, category: str, action: str) -> None:
    """Counts what a rule (tier `rules`) or a judge (tier `judge`) found in a text, and what followed."""
    verdicts[tier, _named(name), category, action] += 1


def count_judge_failure(name: str, code: str) -> None:
    """Counts a text for which a judge gave no verdict."""
    judge_failures[_named(name), code] += 1


def observe_moderation(tier: str, seconds: float) -> None:
    """Measures how long a text was searched or judged."""
    if settings.METRICS:
        moderation_time.labels(tier).observe(seconds)


def observe_held_back(characters: int) -> None:
    """Counts an answer that rules have searched, by the most characters of it that were held back at a time."""
    if settings.METRICS:
        held_back.observe(characters)


def _named(name: str) -> str:
    """The label of a rule or a judge: its name if it is among the first `NAMES`, else `other`. Staff names them."""
    if name not in _names:
        if len(_names) >= NAMES:
            return "other"
        _names.add(name)
    return name


_names: Final[set[str]] = set()
_offered: Final[set[str]] = set()
_labels: Final[set[str]] = set()


def add_offered_models(models: Iterable[str]) -> None:
    """Adds models that are or were on offer, which `label_of` may use as labels."""
    _offered.update(models)


def label_of(model: str) -> str:
    """The label of a model: its name if it is or was on offer and among the first `MODELS`, else `other`."""
    if model not in _labels:
        if len(_labels) >= MODELS or model not in _offered:
            return "other"
        _labels.add(model)
    return model
