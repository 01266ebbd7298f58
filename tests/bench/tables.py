"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.bench.admission import AdmissionRow
from tests.bench.crowds import FanOutRow, IdleRow, StormRow
from tests.bench.moderation import RulesRow, SearchRow
from tests.bench.streams import Hops, StreamsRow

OURS: Final = "antiphon"
NAMES: Final = {
    OURS: "Antiphon",
    "fastapi": "FastAPI + AsyncOpenAI",
    "tutorial": "Channels + Celery tutorial",
}
Table = tuple[list[str], list[list[str]]]


def streams_table(rows: Sequence[StreamsRow]) -> Table:
    head = [
        "streams", "system", "tokens/s", "lost", "added p50", "p99 ms", "first p50", "p99 ms", "CPU µs/token",
        "RSS MB", "frames", "bytes", "unfinished",
    ]  # fmt: skip
    body = []
    for row in sorted(rows, key=lambda row: (row.streams, list(NAMES).index(row.system))):
        unfinished = f"{row.unfinished + row.failed} of {row.streams}" if row.unfinished + row.failed else "—"
        body.append(
            [
                str(row.streams), NAMES[row.system], f"{row.delivered_per_s:,.0f} of {row.offered_per_s:,.0f}",
                str(row.lost), number(row.added_p50_ms), number(row.added_p99_ms), number(row.first_p50_ms),
                number(row.first_p99_ms), f"{row.cpu_per_token_us:,.0f}", f"{sum(row.rss_mb.values()):,.0f}",
                f"{row.delta_frames:.0f}", f"{row.bytes:,.0f}", unfinished,
            ]
        )  # fmt: skip
    return head, body


def ratios_table(rows: Sequence[StreamsRow]) -> Table:
    """Ours against the endpoint of the same run: the headline. Above 1 is better than it."""
    head = ["streams", "tokens/s", "added p50", "added p99", "first token p50", "CPU per token"]
    endpoint = {row.streams: row for row in rows if row.system == "fastapi"}
    pairs = [(row, endpoint[row.streams]) for row in rows if row.system == OURS and row.streams in endpoint]
    body = [
        [
            str(ours.streams),
            times(ours.delivered_per_s, theirs.delivered_per_s),
            times(theirs.added_p50_ms, ours.added_p50_ms),
            times(theirs.added_p99_ms, ours.added_p99_ms),
            times(theirs.first_p50_ms, ours.first_p50_ms),
            times(theirs.cpu_per_token_us, ours.cpu_per_token_us),
        ]
        for ours, theirs in pairs
    ]
    return head, body


def cpu_table(rows: Sequence[StreamsRow]) -> Table:
    roles = ["web", "worker", "redis", "postgres"]
    body = [
        [str(row.streams), NAMES[row.system]]
        + [f"{row.cpu_us[role]:,.0f}" if role in row.cpu_us else "" for role in roles]
        + [f"{row.rss_mb[role]:,.0f}" if role in row.rss_mb else "" for role in roles]
        for row in rows
    ]
    return ["streams", "system", *(f"{role} µs" for role in roles), *(f"{role} MB" for role in roles)], body


def first_table(first: Sequence[Hops]) -> Table:
    body = []
    for found in first:
        body.append(
            [NAMES[found.system], f"send → first delta, less the upstream's own ({found.answers} answers)",
             number(found.first_p50_ms), number(found.first_p99_ms)]
        )  # fmt: skip
        body += [["", hop, number(p50), number(p99)] for hop, (p50, p99) in found.hops.items()]
        cpu = ", ".join(f"{role} {number(spent)}" for role, spent in found.cpu_ms.items())
        body.append(["", f"CPU of one answer of four tokens, ms: {cpu}", number(sum(found.cpu_ms.values())), ""])
    return ["system", "hop", "p50 ms", "p99 ms"], body


def admission_table(rows: Sequence[AdmissionRow]) -> Table:
    body = []
    for row in rows:
        refused = f"{row.refused} ({row.why})" if row.refused else "—"
        what = f"send → accepted ({row.senders} people, {row.sends:,} messages, {row.per_s:,.0f}/s)"
        body.append([row.how, what, number(row.p50_ms), number(row.p99_ms), refused])
        body += [["", hop, number(p50), number(p99), ""] for hop, (p50, p99) in row.hops.items()]
        cpu = ", ".join(f"{role} {number(spent)}" for role, spent in row.cpu_ms.items())
        body.append(
            [
                "",
                f"CPU of one message with its answer of four tokens, ms: {cpu}",
                number(sum(row.cpu_ms.values())),
                "",
                "",
            ]
        )
    return ["sent", "hop", "p50 ms", "p99 ms", "refused"], body


def idle_table(rows: Sequence[IdleRow]) -> Table:
    head = ["sockets", "KB of web RSS each", "web CPU %", "all CPU %", "opened/s", "CPU ms to open one", "refused"]
    body = [
        [
            f"{row.sockets:,}", number(row.kb_per_socket), number(row.cpu_percent.get("web", 0)),
            number(sum(row.cpu_percent.values())), number(row.opened_per_s), number(row.open_ms),
            f"{row.failed} ({row.why})" if row.failed else "—",
        ]
        for row in rows
    ]  # fmt: skip
    return head, body


def fan_out_table(rows: Sequence[FanOutRow]) -> Table:
    head = ["watchers", "over", "frames/s", "wrong texts", "lost", "added p50", "p99 ms", "CPU µs/frame", "of it web"]
    body = [
        [
            str(row.watchers), row.over, f"{row.frames_per_s:,.0f}", str(row.wrong), str(row.lost),
            number(row.added_p50_ms), number(row.added_p99_ms), number(row.cpu_per_frame_us),
            number(row.cpu_us.get("web", 0)),
        ]
        for row in rows
    ]  # fmt: skip
    return head, body


def storm_table(rows: Sequence[StormRow]) -> Table:
    head = ["sockets", "streams", "level p50 s", "last s", "level", "recovered", "wrong texts", "lost",
            "PostgreSQL queries", "tries", "CPU s"]  # fmt: skip
    body = [
        [
            str(row.sockets), str(row.rooms), number(row.level_p50_s), number(row.level_last_s), str(row.level),
            str(row.recovered), str(row.wrong), str(row.lost), f"{row.queries:,}", str(row.tries),
            number(sum(row.cpu_s.values())),
        ]
        for row in rows
    ]  # fmt: skip
    return head, body


def rules_table(rows: Sequence[RulesRow]) -> Table:
    head = ["streams", "rules", "CPU µs/token", "of it worker", "added p50", "p99 ms", "first token idle ms", "lost"]
    body = []
    for row in rows:
        again = [("off again", row.off_again, None)] if row.off_again is not None else []
        for name, found, first in (("off", row.off, row.first_off_ms), ("on", row.on, row.first_on_ms), *again):
            body.append(
                [
                    str(row.streams), name, number(found.cpu_per_token_us), number(found.cpu_us.get("worker", 0)),
                    number(found.added_p50_ms), number(found.added_p99_ms), "" if first is None else number(first),
                    str(found.lost),
                ]
            )  # fmt: skip
        body.append([str(row.streams), "more", f"{row.more:+.1%}", "", "", "", "", ""])
    return head, body


def search_table(rows: Sequence[SearchRow]) -> Table:
    return ["characters", "", "ms of CPU"], [[f"{row.characters:,}", "", f"{row.ms:.3f}"] for row in rows]


def number(value: float) -> str:
    """Three figures that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def times(better: float, worse: float) -> str:
    return f"{number(better / worse)} ×" if worse > 0 else "—"
