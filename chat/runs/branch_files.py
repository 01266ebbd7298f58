"""The files of a branch of messages, as the worker that answers it needs them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db import connection
from django.db.models.functions import Now

from chat.models import Conversation, FileText

BRANCH_MESSAGES: Final = 10_000  # that are looked through for files, also before a summary
BRANCH_FILES: Final = 500

# Not of messages that are deleted or withheld.
_FILES: Final = """
WITH RECURSIVE path AS (
    SELECT id, parent_id, file_count, deleted_at, moderation, 0 AS depth FROM chat_message WHERE id = %(prompt)s
    UNION ALL
    SELECT m.id, m.parent_id, m.file_count, m.deleted_at, m.moderation, depth + 1
    FROM path JOIN chat_message m ON m.id = path.parent_id WHERE depth < %(messages)s
)
SELECT path.id, f.id, f.name, b.id, b.path, b.kind, b.state, b.reason, COALESCE(b.parts, 0), b.characters,
    COALESCE(b.width, 0), COALESCE(b.height, 0), COALESCE(r.characters, 0), COALESCE(r.state, '')
FROM path JOIN chat_attachment a ON a.message_id = path.id JOIN chat_file f ON f.id = a.file_id
JOIN chat_blob b ON b.id = f.blob_id LEFT JOIN chat_recognition r ON r.blob_id = b.id
WHERE path.file_count > 0 AND path.deleted_at IS NULL
    AND COALESCE(path.moderation->>'action', '') NOT IN ('hold', 'block', 'withdrawn')
ORDER BY depth DESC, a.position
"""


@dataclass(frozen=True, slots=True)
class BranchFile:
    """A file of a message of the branch, with what is known of its content (`chat.models.files.Blob`). `recognised` of
    its characters were recognised in images; `recognition` is how far that is, a `RecognitionState` or empty.
    """

    message_id: uuid.UUID
    id: uuid.UUID
    name: str
    blob_id: uuid.UUID
    path: str
    kind: str
    state: str
    reason: str
    parts: int
    characters: int
    width: int
    height: int
    recognised: int = 0
    recognition: str = ""


def read_branch_files(prompt_id: uuid.UUID) -> list[BranchFile]:
    """The files of a message and of those before it, oldest first; the newest `BRANCH_FILES` of them. A file that is in
    several messages counts where it came first.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FILES, {"prompt": prompt_id, "messages": BRANCH_MESSAGES})
        found = {row[1]: BranchFile(*row) for row in reversed(cursor.fetchall())}
    return list(reversed(found.values()))[-BRANCH_FILES:]


def read_texts(
    blob_ids: Iterable[uuid.UUID], *, recognised: bool = True
) -> dict[uuid.UUID, list[tuple[int, str, str]]]:
    """All (position, label, text) of these contents; a part without text is an image. `recognised`: also what was
    recognised in images.
    """
    found: dict[uuid.UUID, list[tuple[int, str, str]]] = {}
    rows = FileText.objects.filter(blob__in=list(blob_ids)).order_by("blob", "position")
    if not recognised:
        rows = rows.filter(recognised=False)
    for blob_id, position, label, text in rows.values_list("blob", "position", "label", "text"):
        found.setdefault(blob_id, []).append((position, label, text))
    return found


def note_outside_content(conversation_id: uuid.UUID) -> None:
    """Files come from outside: whatever writes or sends asks again from now on."""
    Conversation.objects.filter(pk=conversation_id, outside_content_at=None).update(outside_content_at=Now())
