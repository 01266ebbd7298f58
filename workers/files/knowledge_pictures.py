"""Pictures and scans of a conversation's collections: they have no text to search, so they are found by their names.

A model that sees gets those whose names have most of the question's words, as images beside the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from django.db.models import Q

from chat.files.collections import usable_collections
from chat.files.names import ending_of
from chat.files.reading_reasons import RECOGNISED, RECOGNISED_PART
from chat.models import Collection, File, FileKind, FileState
from chat.runs.branch_files import BranchFile
from chat.runs.context import ClaimedRun
from workers.files.giving import MOST_IMAGE_BYTES, MOST_IMAGES, Given, Room, Sight
from workers.files.loading import images_of, question_words
from workers.files.passages import names_with

MOST_FILES: Final = 1_000  # whose names are compared
MOST_FOUND: Final = 4
MOST_SHOWN: Final = 6  # images of all that are found
LEAST_LETTERS: Final = 4  # of a word: shorter ones are in too many names and questions


def find_pictures(run: ClaimedRun, question: Sequence[str], sight: Sight, given: Sequence[Given]) -> list[Given]:
    """The pictures that fit the question by name; none if the model does not see. `given` are the files that the model
    gets already, whose images count. Blocks; raises a database error.
    """
    words = [word for word in question_words(question) if word.unspaced or len(word.text) >= LEAST_LETTERS]
    if not sight.shown or not words or run.user_id is None:
        return []
    chosen = Collection.objects.filter(conversations=run.conversation_id)
    rows = File.objects.select_related("blob").filter(
        # A picture with recognised text shows more than that text; the pages of a scan do not.
        Q(blob__kind__in=(FileKind.IMAGE, FileKind.PDF), blob__characters=0)
        | Q(blob__kind=FileKind.IMAGE, blob__reason__in=(RECOGNISED, RECOGNISED_PART)),
        collection__in=chosen.filter(pk__in=usable_collections(run.user_id).values("pk")),
        blob__state__in=(FileState.READ, FileState.EMPTY),
    )  # fmt: skip
    files = list({row.blob_id: row for row in rows.order_by("-pk")[:MOST_FILES]}.values())
    flags = names_with([file.name.removesuffix(ending_of(file.name)) for file in files], words)
    best = sorted(flags, key=lambda at: -sum(flags[at]))[:MOST_FOUND]
    left = MOST_IMAGES - sum(len(one.images) for one in given)
    size = MOST_IMAGE_BYTES - sum(len(image.content) for one in given for image in one.images)
    room = Room(0, max(0, min(left, MOST_SHOWN)), max(0, size))
    found = [images_of(_as_branch_file(files[at]), sight, room) for at in best]
    return [_of_collection(one) for one in found if one is not None and one.images]


def _as_branch_file(file: File) -> BranchFile:
    blob = file.blob
    return BranchFile(
        message_id=file.pk, id=file.pk, name=file.name, blob_id=blob.pk, path=blob.path, kind=blob.kind,
        state=blob.state, reason=blob.reason, parts=blob.parts or 0, characters=0, width=blob.width or 0,
        height=blob.height or 0,
    )  # fmt: skip


def _of_collection(given: Given) -> Given:
    text = given.text.replace("The user attached", "A collection of the user has", 1)
    return replace(given, text=text, beside=True, of_collection=True)
