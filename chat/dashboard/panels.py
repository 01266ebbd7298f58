"""Tiles and panels: what staff's templates draw, and the charts of tokens and cost by model."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.charts import Chart, Column, draw
from accounts.lib.formatting import NOTHING, moment, money, number
from chat.dashboard import queries

SERIES: Final = 5  # models with a colour of their own; the others share one
TOO_SLOW: Final = _("Unknown: the query took too long. Choose a shorter period.")
TOO_SLOW_NOW: Final = _("Unknown: the query took too long. Load the page again in some minutes.")  # it has no periods


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. `value` is None where it is not known; `note` then says why. `tone` is "bad" or empty."""

    title: str
    value: str | None
    note: str = ""
    href: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart, its numbers as a table, and what each colour means: an empty name is a colour that is not used. `wrong`
    says why there is no chart.
    """

    key: str
    title: str
    note: str = ""
    wrong: str = ""
    chart: Chart | None = None
    most: str = ""
    span: tuple[str, str] = ("", "")
    legend: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    hrefs: list[str] = field(default_factory=list)  # what is behind each row, as behind its bar; none: nothing

    @property
    def linked_rows(self) -> list[tuple[str, list[str]]]:
        """(address, cells) of each row of the table."""
        return list(zip(self.hrefs or [""] * len(self.rows), self.rows, strict=True))


@dataclass(frozen=True, slots=True)
class Step:
    """One bar: the key under which its values are found, its name, and the address of what is behind it."""

    key: Hashable
    label: str
    href: str = ""


def colour_places(models: Sequence[str]) -> list[str | None]:
    """The models in the places of their colours, so that a model has the same colour on every page as far as possible.

    Its name decides the place; of two that want the same, the first in the alphabet gets it. None: nobody's place.
    """
    places: list[str | None] = [None] * SERIES
    for model in sorted(models):
        wanted = zlib.crc32(model.encode()) % SERIES
        place = next(at % SERIES for at in range(wanted, wanted + SERIES) if places[at % SERIES] is None)
        places[place] = model
    return places


def usage_panels(
    used: Iterable[tuple[Hashable, str, int, Decimal]], steps: Sequence[Step], *,
    tokens_title: str, cost_title: str, first_column: str, note: str = "", span: tuple[str, str],
) -> list[Panel]:  # fmt: skip
    """Tokens and cost as one panel each, a bar per step, stacked by the models with the most tokens.

    `used`: (key of the step, model, tokens, cost); several of one step and model add up.
    """
    tokens: defaultdict[tuple[Hashable, str], Decimal] = defaultdict(Decimal)
    costs: defaultdict[tuple[Hashable, str], Decimal] = defaultdict(Decimal)
    by_model: defaultdict[str, int] = defaultdict(int)
    for key, model, count, cost in used:
        tokens[key, model] += count
        costs[key, model] += cost
        by_model[model] += count
    ranked = sorted(by_model, key=lambda model: (-by_model[model], model))
    places = colour_places(ranked[:SERIES])
    series = [[model] if model is not None else [] for model in places]
    legend = ["" if model is None else model or NOTHING for model in places]
    if others := ranked[SERIES:]:
        series.append(others)
        legend.append(gettext("other models"))

    def panel(
        key: str, title: str, values: Mapping[tuple[Hashable, str], Decimal], show: Callable[[Decimal], str]
    ) -> Panel:
        columns, rows = [], []
        for step in steps:
            parts = [sum((values.get((step.key, model), Decimal(0)) for model in one), Decimal(0)) for one in series]
            total = show(sum(parts, Decimal(0)))
            columns.append(Column(f"{step.label}: {total}", tuple(map(float, parts)), step.href))
            rows.append([step.label, *(show(part) for part, name in zip(parts, legend, strict=True) if name)])
        chart = draw(columns)
        return Panel(
            key, title, note, chart=chart, most=show(Decimal(chart.most)), legend=legend, span=span,
            head=[first_column, *filter(None, legend)], rows=rows, hrefs=[step.href for step in steps],
        )  # fmt: skip

    return [
        panel("tokens", tokens_title, tokens, lambda value: number(float(value))),
        panel("cost", cost_title, costs, money),
    ]


def price_note(unpriced: float, *, is_used: bool) -> str:
    """How much of a cost is known."""
    if unpriced:
        answers = ngettext("%(count)s answer without a price", "%(count)s answers without a price", int(unpriced))
        return answers % {"count": number(unpriced)}
    return gettext("all answers priced") if is_used else gettext("no usage")


def partial_note(complete: bool, since: datetime) -> str:
    """Says that older rows were not read; empty when all were."""
    if complete:
        return ""
    shown = {"count": number(queries.MAX_ROWS), "time": moment(since)}
    return gettext("Only the newest %(count)s, since %(time)s.") % shown
