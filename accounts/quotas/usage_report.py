"""Usage reports by user, model or day, from `DailyUsage`; by group and by conversation, from the entries.

An entry has the groups that its user was in at that time: moving somebody changes no report of the past.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TextIO

from django.contrib.auth.models import Group
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate

from accounts.lib import charts
from accounts.lib.streaming import csv_text, escape_formula
from accounts.models import DailyUsage, UsageEntry, User

By = Literal["user", "model", "day", "group", "conversation"]
KINDS: Final[tuple[By, ...]] = ("user", "model", "day", "group", "conversation")
_KEYS: Final[dict[By, tuple[str, ...]]] = {
    "user": ("user_id",),
    "model": ("model",),
    "day": ("day",),
    "group": ("groups",),
    "conversation": ("conversation_id",),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a report. `unpriced` and `estimated` count answers without a cost, or with estimated tokens."""

    name: str
    messages: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_seconds: Decimal
    cost: Decimal
    unpriced: int
    estimated: int
    key: str = ""  # the user's or the group's id

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


_SUMS: Final = tuple(one.name for one in fields(Row) if one.name not in ("name", "key"))
_ENTRY_SUMS: Final[dict[str, Any]] = {
    **{f"sum_{name}": Sum(name) for name in _SUMS if name not in ("cost", "unpriced", "estimated")},
    "sum_cost": Coalesce(Sum("cost"), Decimal(0)),
    "sum_unpriced": Count("pk", filter=Q(cost=None)),
    "sum_estimated": Count("pk", filter=Q(estimated=True)),
}


def usage_rows(
    since: date,
    until: date,
    by: By,
    *,
    user_id: uuid.UUID | None = None,
    group: int | None = None,
    most: int | None = None,
) -> list[Row]:
    """The sums of the days from `since` to `until` (UTC, both included): at most `most` rows; of a user or a group.

    Days are in order; other rows start with the highest cost. Usage of users in several groups counts in each of them
    (`group_rows` says how much), usage without a group under "–".
    """
    if by == "group":
        return group_rows(since, until, user_id=user_id).rows[:most]
    [key] = _KEYS[by]
    counted: Any
    if from_entries := by == "conversation" or group is not None:
        counted = _entries(since, until)
        if group is not None:
            counted = counted.filter(groups__contains=[group])
        if by == "day":
            counted = counted.annotate(day=TruncDate("at", tzinfo=UTC))
    else:
        counted = DailyUsage.objects.filter(day__range=(since, until))
    if user_id is not None:
        counted = counted.filter(user_id=user_id)
    sums = _ENTRY_SUMS if from_entries else {f"sum_{name}": Sum(name) for name in _SUMS}
    order = (key,) if by == "day" else ("-sum_cost", "-sum_output_tokens", key)
    found = list(counted.values(key).annotate(**sums).order_by(*order)[:most])
    names = _emails([row[key] for row in found]) if by == "user" else {}
    return [
        Row(
            str(names.get(row[key], row[key] or "–")),
            **{name: row[f"sum_{name}"] for name in _SUMS},
            key=str(row[key] or "") if by == "user" and row[key] in names else "",
        )
        for row in found
    ]


def days_and_models(user_id: uuid.UUID, since: date, until: date) -> tuple[list[Row], list[Row]]:
    """What `usage_rows` returns by day and by model, of one user, with one query."""
    counted: Any = DailyUsage.objects.filter(user_id=user_id, day__range=(since, until)).order_by("day")
    found = list(counted.values("day", "model").annotate(**{f"sum_{name}": Sum(name) for name in _SUMS}))

    def summed(key: str) -> list[Row]:
        of: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            of.setdefault(str(row[key] or "–"), []).append(row)
        return [Row(name, **{one: sum(row[f"sum_{one}"] for row in of[name]) for one in _SUMS}) for name in of]

    return summed("day"), sorted(summed("model"), key=lambda row: (-row.cost, -row.output_tokens, row.name))


@dataclass(frozen=True, slots=True)
class GroupUsage:
    """`rows` by group; `total` counts everything once; `several` what is in more than one of the rows."""

    rows: list[Row]
    total: Row
    several: Row


def group_rows(
    since: date, until: date, *, user_id: uuid.UUID | None = None, roles: Collection[str] = ()
) -> GroupUsage:
    """Usage by the groups of then. Groups named in `roles` are left out: they say what staff may do, and are no teams.

    Usage of users without another group is under "–". A group that was deleted since has its id as a name.
    """
    counted = _entries(since, until)
    if user_id is not None:
        counted = counted.filter(user_id=user_id)
    names = dict(Group.objects.values_list("pk", "name"))
    left_out = {id_ for id_, name in names.items() if name in roles}
    by_group: dict[int | None, Row] = {}
    total, several = _empty("total"), _empty("several")
    found: Any
    for found in counted.values("groups").annotate(**_ENTRY_SUMS).order_by("groups"):
        sums = _empty("", **{name: found[f"sum_{name}"] for name in _SUMS})
        total = _add(total, sums)
        teams: list[int | None] = [one for one in dict.fromkeys(found["groups"]) if one not in left_out] or [None]
        if len(teams) > 1:
            several = _add(several, sums)
        for team in teams:
            name = "–" if team is None else names.get(team, f"#{team}")
            row = by_group.get(team) or _empty(name, key=str(team or ""))
            by_group[team] = _add(row, sums)
    rows = sorted(by_group.values(), key=lambda row: (-row.cost, -row.output_tokens, row.name))
    return GroupUsage(rows, total, several)


def _empty(name: str, **values: Any) -> Row:
    zeros: dict[str, Any] = dict.fromkeys(_SUMS, 0) | {"audio_seconds": Decimal(0), "cost": Decimal(0)}
    return Row(name, **zeros | values)


def _add(row: Row, other: Row) -> Row:
    sums: dict[str, Any] = {name: getattr(row, name) + getattr(other, name) for name in _SUMS}
    return replace(row, **sums)


def usage_by_day_and_model(since: date, until: date) -> list[tuple[date, str, int, Decimal]]:
    """(day, model, tokens, cost) of all users together."""
    days = DailyUsage.objects.filter(day__range=(since, until)).order_by().values_list("day", "model")
    return list(days.annotate(tokens=Sum(F("input_tokens") + F("output_tokens")), cost=Sum("cost")))


def _entries(since: date, until: date) -> QuerySet[UsageEntry]:
    begin, end = (datetime.combine(day, time.min, UTC) for day in (since, until + timedelta(days=1)))
    return UsageEntry.objects.filter(at__gte=begin, at__lt=end)


def _emails(ids: Sequence[uuid.UUID | None]) -> dict[uuid.UUID, str]:
    """The email addresses by user id. Erased users are missing."""
    return dict(User.objects.filter(pk__in=[one for one in ids if one]).values_list("pk", "email"))


def write_rows(rows: Sequence[Row], by: By, out: TextIO, form: Literal["table", "csv", "json"]) -> None:
    """Writes rows of `usage_rows`. In CSV, cells that a spreadsheet would take for formulas are escaped."""
    shown = [
        {by: row.name} | {name: _shown(value) for name, value in asdict(row).items() if name in _SUMS} for row in rows
    ]
    if form == "json":
        json.dump(shown, out, indent=1)
        out.write("\n")
        return
    columns = [by, *_SUMS]
    if form == "csv":
        lines = [columns, *([escape_formula(one[name]) for name in columns] for one in shown)]
        out.write(csv_text(lines, line_end="\n"))
        return
    cells = [[name.replace("_", " ") for name in columns], *([str(one[name]) for name in columns] for one in shown)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    for line in cells:
        first, *rest = zip(line, widths, strict=True)
        out.write("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]).rstrip() + "\n")


def _shown(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day in a chart: `x`, `y` and `height` are in the units of `accounts.lib.charts`."""

    day: date
    tokens: int
    x: int
    y: float
    height: float


def draw_days(rows: list[Row], until: date) -> list[DayBar]:
    """A bar of tokens for each of the `DAYS` days that end with `until`, from the rows of `usage_rows(by="day")`."""
    tokens = {row.name: row.tokens for row in rows}
    days = [until - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    used = [tokens.get(str(day), 0) for day in days]
    chart = charts.draw([charts.Column(str(day), (count,)) for day, count in zip(days, used, strict=True)])
    bars = []
    for day, count, bar in zip(days, used, chart.bars, strict=True):
        y, height = (bar.segments[0].y, bar.segments[0].height) if bar.segments else (charts.HEIGHT, 0.0)
        bars.append(DayBar(day, count, bar.x, y, height))
    return bars
