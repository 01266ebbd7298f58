"""The passages of collections that an answer cites: where they are is stored with its run, their text is not.

So a file that is deleted takes its passages along, and nothing has to be found and removed.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.utils.translation import gettext as _

from chat.files.uses import files_of_run
from chat.models import Run

PASSAGE_CHARS: Final = 300  # of a passage are shown
_CITED: Final = re.compile(r"\[(\d{1,3}(?:\s?[,;]\s?\d{1,3}){0,9})\]")

_PASSAGES: Final = """
SELECT asked.file, asked.position, asked.start, f.name, b.kind, t.label,
    substr(t.text, asked.start + 1, LEAST(asked.length, %(most)s))
FROM unnest(%(files)s::uuid[], %(positions)s::int[], %(starts)s::int[], %(lengths)s::int[])
    AS asked (file, position, start, length)
JOIN chat_file f ON f.id = asked.file JOIN chat_blob b ON b.id = f.blob_id
LEFT JOIN chat_filetext t ON t.blob_id = f.blob_id AND t.position = asked.position
"""


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A numbered passage: `length` characters of the part at `position` of a file, from `start` on. `masked`: rules of
    moderation replaced something in it, so that its text is not shown.
    """

    n: int
    file_id: uuid.UUID
    position: int
    start: int
    length: int
    masked: bool = False

    @property
    def place(self) -> tuple[str, int, int]:
        return str(self.file_id), self.position, self.start

    def as_dict(self) -> dict[str, Any]:
        """As `Run.parameters` has it."""
        shown = {
            "n": self.n, "file": str(self.file_id), "position": self.position, "start": self.start,
            "length": self.length,
        }  # fmt: skip
        return shown | ({"masked": True} if self.masked else {})


def cited_numbers(text: str) -> set[int]:
    """The numbers that a text cites, as [1] or [1, 2]."""
    return {int(number) for found in _CITED.finditer(text) for number in re.split(r"\D+", found[1])}


def cited_sources(sources: Iterable[StoredSource], text: str) -> list[dict[str, Any]]:
    """Those that a text cites, as `Run.parameters` has them."""
    numbers = cited_numbers(text)
    return [one.as_dict() for one in sources if one.n in numbers]


def stored_numbers(run_id: uuid.UUID, message_id: uuid.UUID) -> dict[tuple[str, int, int], int]:
    """The numbers of passages by their places: of earlier attempts of a run, and of the runs that it continues."""
    found: dict[tuple[str, int, int], int] = {}
    rows = Run.objects.filter(message_id=message_id, parameters__has_key="sources").order_by("part")
    for parameters in rows.values_list("parameters", flat=True):
        for one in parameters["sources"]:
            found[(one["file"], one["position"], one["start"])] = one["n"]
    return found


def load_sources(runs: Iterable[Run]) -> None:
    """Reads what pages show of the passages that these runs cite, in one query, and in none where no run cites any."""
    citing = [run for run in runs if run.parameters.get("sources")]
    if not citing:
        return
    asked = [one for run in citing for one in run.parameters["sources"]]
    with connection.cursor() as cursor:
        cursor.execute(
            _PASSAGES,
            {
                "most": PASSAGE_CHARS + 1,
                "files": [uuid.UUID(one["file"]) for one in asked],
                "positions": [one["position"] for one in asked],
                "starts": [one["start"] for one in asked],
                "lengths": [one["length"] for one in asked],
            },
        )
        found = {(str(row[0]), row[1], row[2]): row[3:] for row in cursor.fetchall()}
    for run in citing:
        run.shown_sources = [
            _shown(one, found.get((one["file"], one["position"], one["start"]))) for one in run.parameters["sources"]
        ]


def _shown(stored: dict[str, Any], row: Sequence[Any] | None) -> dict[str, Any]:
    if row is None:
        return {"n": stored["n"], "title": _("A deleted file"), "url": "", "passage": ""}
    name, kind, label, text = row
    shown = {
        "n": stored["n"], "title": name, "url": "", "passage": "" if stored.get("masked") else text or "",
        "file": stored["file"], "kind": kind, "position": stored["position"],
    }  # fmt: skip
    return shown | ({"label": label} if label else {})


def sources_of_run(run: Run) -> list[dict[str, Any]]:
    """The passages of collections that an answer cites, as sent to clients."""
    if not run.parameters.get("sources"):
        return []
    if run.shown_sources is None:
        load_sources([run])
    return list(run.shown_sources or ())


def used_by_run(run: Run) -> dict[str, Any]:
    """What clients are told of a run's files: `files` that its model got, and `sources` of collections; if any."""
    found = {"files": files_of_run(run), "sources": sources_of_run(run)}
    return {name: shown for name, shown in found.items() if shown}
