"""Reads what a run's model gets of the files of its branch: rows, texts, passages and images."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models import Q

from accounts.lib.images import read_image_info
from chat.files.storage import image_path
from chat.files.uses import UsedFile
from chat.models import Blob, FileKind, FileState, FileText, FileUseKind, RecognitionState
from chat.runs.branch_files import BranchFile, note_outside_content, read_texts
from chat.search.folding import Word, words_of
from chat.search.queries import Query
from workers.files.giving import (
    FEW_WORDS,
    Given,
    Plan,
    Room,
    Sight,
    Text,
    as_images,
    has_text,
    in_full,
    in_passages,
    may_be_full,
    not_at_all,
    order_parts,
    plan_texts,
    take_parts,
    unread,
    with_images,
)
from workers.files.similar import Asked, Similar, find_similar
from workers.providers.base import ToolImage

MOST_WORDS: Final = 24  # of a question
MOST_PARTS: Final = 5_000
SHORTEST_WORD: Final = 2

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """The files of a branch as the model sees them, how the text of each is given, and the texts that go in full."""

    files: Sequence[BranchFile]
    plan: Plan
    whole: Mapping[uuid.UUID, list[Text]]

    @property
    def long(self) -> list[uuid.UUID]:
        """The contents of which the model gets passages."""
        return list(dict.fromkeys(one.blob_id for one in self.files if one.id in self.plan.passages))


@dataclass(frozen=True, slots=True)
class Meaning:
    """The question's vector, if passages are looked for by meaning, too. `reasons`: why a content is searched by words
    only, a code of `chat.files.reading_reasons`.
    """

    asked: Asked | None = None
    reasons: Mapping[uuid.UUID, str] = field(default_factory=dict)


def plan_given(
    files: Sequence[BranchFile], budget: int, sight: Sight, count: Callable[[str], int], *, conversation_id: uuid.UUID
) -> Planned:  # fmt: skip
    """Which files go in full; `budget` is what a request may have, in tokens. Blocks; raises a database error."""
    note_outside_content(conversation_id)
    files = [_as_seen(one) for one in files] if sight.shown else files
    ready = [one for one in files if one.state in (FileState.READ, FileState.EMPTY)]
    read = read_texts({one.blob_id for one in may_be_full(ready, budget)}, recognised=not sight.shown)
    whole = {one.id: [part for part in read.get(one.blob_id, ()) if part[2]] for one in ready if one.blob_id in read}
    tokens = {pk: sum(count(text) + 4 for _, _, text in parts) for pk, parts in whole.items()}
    return Planned(files, plan_texts(ready, tokens, budget), whole)


def load_given(
    planned: Planned,
    question: Sequence[str],
    budget: int,
    sight: Sight,
    count: Callable[[str], int],
    meaning: Meaning = Meaning(),
) -> list[Given]:
    """The files as the model would get them, in their order, before moderation has read them. `question` are the last
    texts of people, the newest first. Blocks; raises a database error.
    """
    files = planned.files
    room = Room(int(budget))
    found: dict[uuid.UUID, Given] = {}
    for file in reversed(files):  # the newest images first
        if file.state not in (FileState.READ, FileState.EMPTY):
            found[file.id] = unread(file)
            continue
        images = images_of(file, sight, room)
        if not has_text(file) and file.recognition == RecognitionState.PENDING and not sight.shown:
            found[file.id] = not_at_all(file, "recognising", "Its text is still being recognised.")
            continue
        if not has_text(file):
            found[file.id] = images or not_at_all(file, file.reason or "no_text", "No text was found in it.")
            continue
        if file.id in planned.plan.full:
            given = in_full(file, planned.whole[file.id])
        else:
            most = planned.plan.passages[file.id]
            given = _passages(file, question, most, count, meaning, recognised=not sight.shown)
        found[file.id] = given if images is None else with_images(given, images)
    return [found[file.id] for file in files]


def _as_seen(file: BranchFile) -> BranchFile:
    """The file for a model that sees images: it gets the images in which text was recognised, not that text."""
    return replace(file, characters=file.characters - file.recognised, recognised=0)


def images_of(file: BranchFile, sight: Sight, room: Room) -> Given | None:
    """The file as images; None if it has none."""
    if file.kind == FileKind.IMAGE:
        positions = list(range(1, max(file.parts, 1) + 1))
    elif file.kind == FileKind.PDF:
        rows = FileText.objects.filter(Q(text="") | Q(recognised=True), blob=file.blob_id).order_by("position")
        positions = list(rows.values_list("position", flat=True))
    else:
        return None
    if not positions:
        return None
    if not sight.shown:
        return as_images(file, (), file.parts, sight, room)
    images = [image for at in positions[: room.images] if (image := _read_image(file, at)) is not None]
    left_out = len(positions) > room.images or not images
    given = as_images(file, images, file.parts, sight, room)
    if left_out and given.images and given.used.kind == FileUseKind.IMAGE:
        used = given.used
        more = UsedFile(used.file_id, used.kind, len(given.images), used.total, "too_many_images")
        return replace(given, used=more)
    return given


def _read_image(file: BranchFile, position: int) -> ToolImage | None:
    """An image from the storage; None if it is not there or the storage is away."""
    try:
        with default_storage.open(image_path(file.path, position), "rb") as stored:
            content = stored.read()
    except Exception as error:  # noqa: BLE001  # a storage of any kind
        logger.warning("file_image_missing", file=str(file.id), position=position, error=type(error).__name__)
        return None
    info = read_image_info(content)
    return ToolImage(info.type, content, info.width, info.height) if info else None


def _passages(
    file: BranchFile, question: Sequence[str], most: int, count: Callable[[str], int], meaning: Meaning, *,
    recognised: bool,
) -> Given:  # fmt: skip
    """The parts of a long text that fit the question, by its words and by its meaning."""
    words = question_words(question)
    flags = "ARRAY[" + ", ".join(f"words @@ %(word{at})s::tsquery" for at in range(len(words))) + "]::boolean[]"
    values: dict[str, Any] = {f"word{at}": Query([word]).condition() for at, word in enumerate(words)}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT position, label, length(text), {flags if words else 'ARRAY[]::boolean[]'} FROM chat_filetext"  # noqa: S608 -- the words are parameters
            " WHERE blob_id = %(blob)s AND text <> '' AND (NOT recognised OR %(recognised)s)"
            " ORDER BY position LIMIT %(most)s",
            {**values, "blob": file.blob_id, "most": MOST_PARTS, "recognised": recognised},
        )
        rows = cursor.fetchall()
    reason = meaning.reasons.get(file.blob_id, "")
    similar = Similar()
    if meaning.asked is not None and not reason:
        similar = find_similar([file.blob_id], meaning.asked)
        reason = "not_embedded" if similar.unmade else ""
    order, fits = order_parts({row[0]: row[3] for row in rows}, [position for _, position, _ in similar.places])
    labels, lengths = {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}
    likely = _likely(order, lengths, most)
    texts = dict(FileText.objects.filter(blob=file.blob_id, position__in=likely).values_list("position", "text"))
    starts = {position: start for _, position, start in reversed(similar.places)}  # the most similar one counts
    read = {at: (labels[at], texts[at]) for at in likely if texts.get(at)}
    return in_passages(file, take_parts(list(read), read, most, count, starts), fits=fits, reason=reason)


def _likely(order: Sequence[int], lengths: Mapping[int, int], most: int) -> list[int]:
    """The positions whose texts may be chosen, the best first: so not all of a long file is read."""
    found, left = [], most * 12
    for position in order:
        found.append(position)
        left -= lengths[position]
        if left <= 0:
            break
    return found


def question_words(question: Sequence[str]) -> list[Word]:
    """The words of the question; of a short one also those of the one before it."""
    found: list[Word] = []
    for text in question[:2]:
        found += [word for word in words_of(text[:4_000]) if word.unspaced or len(word.text) >= SHORTEST_WORD]
        if len(found) >= FEW_WORDS:
            break
    return list(dict.fromkeys(found))[:MOST_WORDS]


def refresh(files: Sequence[BranchFile]) -> list[BranchFile]:
    """The files with the states that their contents have now."""
    ids = {
        one.blob_id for one in files if one.state == FileState.PENDING or one.recognition == RecognitionState.PENDING
    }
    rows: Mapping[uuid.UUID, Blob] = Blob.objects.select_related("recognition").in_bulk(ids)
    return [_refreshed(one, rows.get(one.blob_id)) for one in files]


def _refreshed(file: BranchFile, blob: Blob | None) -> BranchFile:
    if blob is None:
        return file
    recognition = getattr(blob, "recognition", None)
    return replace(
        file, path=blob.path, state=blob.state, reason=blob.reason, parts=blob.parts or 0,
        characters=blob.characters, width=blob.width or 0, height=blob.height or 0,
        recognised=recognition.characters if recognition else 0, recognition=recognition.state if recognition else "",
    )  # fmt: skip
