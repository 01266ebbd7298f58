"""Chooses what of a conversation's collections fits a question: whole texts where they fit, else passages."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection

from chat.models import File, FileText
from chat.runs.branch_files import read_texts
from chat.search.folding import Word
from chat.search.queries import Query
from workers.files.giving import SURELY_CHARS
from workers.files.loading import question_words
from workers.files.passages import (
    MOST_PASSAGES,
    PASSAGE_TOKENS,
    Window,
    best_parts,
    fuse_windows,
    names_with,
    rank_windows,
    take_windows,
    weights_of,
    windows_of,
)
from workers.files.similar import Asked, Similar, find_similar

MOST_PARTS_READ: Final = 60  # whose texts are read to choose passages of them
MOST_NUMBERS: Final = 999  # that a citation can have

_MATCHING: Final = """
SELECT t.blob_id, t.position, ARRAY[{flags}] FROM chat_filetext t
WHERE t.blob_id = ANY(%(blobs)s::uuid[]) AND t.words @@ %(any)s::tsquery ORDER BY t.blob_id, t.position
"""


@dataclass(slots=True)
class Found:
    """What was chosen, before it is screened and numbered. `reason`: why passages were looked for by words only, a code
    of `chat.files.reading_reasons`; empty: as well as it is set up. `unmade`: contents for which that was so because
    their vectors are still to be made. `by_meaning`: passages were looked for by vectors, too.
    """

    windows: list[Window] = field(default_factory=list)
    whole: bool = False
    reason: str = ""
    unmade: frozenset[uuid.UUID] = frozenset()
    by_meaning: bool = False


def choose_whole(files: Sequence[File], room: int, count: Callable[[str], int]) -> Found | None:
    """All texts as windows, in their order, if they fit into `room` tokens. Blocks; raises a database error."""
    if not files:
        return Found()
    if sum(file.blob.characters for file in files) <= room * SURELY_CHARS:
        whole = _whole(files)
        if len(whole) <= MOST_NUMBERS and sum(count(one.text) + 8 for one in whole) <= room:
            return Found(whole, whole=True)
    return None


def choose_passages(
    files: Sequence[File], question: Sequence[str], room: int, count: Callable[[str], int], asked: Asked | None = None
) -> Found:  # fmt: skip
    """The passages that fit the question by its words and, with `asked`, by their vectors; where none does, the
    beginnings of files whose names do. Blocks; raises a database error.
    """
    room = min(room, PASSAGE_TOKENS)
    places = {file.blob_id: at for at, file in enumerate(files)}
    words = question_words(question)
    named = names_with([file.name for file in files], words)
    ranked = _with_words(places, words, named) if words else []
    similar = Similar() if asked is None else find_similar(list(places), asked)
    if similar.places:
        ranked = fuse_windows(ranked, _at(places, similar.places))
    chosen = take_windows(ranked, room, count)
    if not chosen:
        chosen = _beginnings([files[at].blob_id for at in list(named)[:MOST_PARTS_READ]], places, room, count)
    return Found(chosen, unmade=similar.unmade, by_meaning=asked is not None)


def _at(places: dict[uuid.UUID, int], wanted: Sequence[tuple[uuid.UUID, int, int]]) -> list[Window]:
    """The windows at these places, in this order. One whose text has changed since is left out."""
    windows = {
        (one.file, one.position, one.start): one
        for one in _windows(places, list(dict.fromkeys((blob, position) for blob, position, _ in wanted)))
    }
    found = [windows.get((places[blob], position, start)) for blob, position, start in wanted]
    return [one for one in found if one is not None]


def _whole(files: Sequence[File]) -> list[Window]:
    texts = read_texts(file.blob_id for file in files)
    return [
        Window(at, position, label, 0, text)
        for at, file in enumerate(files)
        for position, label, text in texts.get(file.blob_id, ())
        if text.strip()
    ]


def _with_words(
    places: dict[uuid.UUID, int], words: Sequence[Word], named: Mapping[int, Sequence[bool]]
) -> list[Window]:
    """The passages that have the question's words, the best first."""
    conditions = [Query([word]).condition() for word in words]
    values: dict[str, Any] = {f"word{at}": one for at, one in enumerate(conditions)}
    flags = ", ".join(f"t.words @@ %(word{at})s::tsquery" for at in range(len(words)))
    with connection.cursor() as cursor:
        cursor.execute(
            _MATCHING.format(flags=flags),
            {**values, "any": " | ".join(f"({one})" for one in conditions), "blobs": list(places)},
        )
        rows = cursor.fetchall()
    weights = weights_of([row[2] for row in rows])
    best = [rows[at] for at in best_parts([row[2] for row in rows], weights, MOST_PARTS_READ)]
    windows = _windows(places, [(blob_id, position) for blob_id, position, _ in best])
    return rank_windows(windows, words, weights, named)


def _beginnings(
    blob_ids: Sequence[uuid.UUID], places: dict[uuid.UUID, int], room: int, count: Callable[[str], int]
) -> list[Window]:
    """The first passages of these contents, as far as there is room."""
    chosen: list[Window] = []
    for window in _windows(places, _first_parts(blob_ids)):
        room -= count(window.text) + 8
        if room < 0 or len(chosen) >= MOST_PASSAGES:
            break
        chosen.append(window)
    return chosen


def _first_parts(blob_ids: Iterable[uuid.UUID]) -> list[tuple[uuid.UUID, int]]:
    rows = FileText.objects.filter(blob__in=list(blob_ids)).order_by("blob", "position").distinct("blob")
    return list(rows.values_list("blob_id", "position"))


def _windows(places: dict[uuid.UUID, int], parts: Sequence[tuple[uuid.UUID, int]]) -> list[Window]:
    """The windows of these parts, whose texts are read here."""
    wanted = set(parts)
    rows = FileText.objects.filter(
        blob__in={blob for blob, _ in wanted}, position__in={position for _, position in wanted}
    )
    return [
        Window(places[blob_id], position, label, start, piece)
        for blob_id, position, label, text in rows.values_list("blob_id", "position", "label", "text")
        if (blob_id, position) in wanted
        for start, piece in windows_of(text)
    ]
