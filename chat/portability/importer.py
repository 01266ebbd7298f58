"""Imports conversations into a user's account: a file is read to its end and checked, then read again and saved.

Nothing in the file is trusted. An invalid conversation is refused with a sentence that names the place, and the
others are imported. A conversation is saved completely or not at all. Ids are derived from the file's ids and the
user (UUIDv5), so importing a file again adds nothing. Texts are screened by the rules of moderation. `BATCH`
conversations are in memory at a time. Answers are saved without HTML: workers make it in the background, and first of
what is opened (`workers.runtime.rendering`).
"""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from chat.models import Comparison, Conversation, Member, Message, MessageRole, MessageStatus, Role, Run
from chat.portability import formats
from chat.portability.archive import MAX_BYTES, open_documents
from chat.portability.compared import make_comparisons
from chat.portability.formats import Format, ImportedConversation
from chat.portability.json_stream import ImportRefusedError, JsonStream
from chat.portability.message_tree import clean_text, normalise_tree
from chat.portability.order import keep_in_order
from chat.portability.screening import FoundText, count_found, open_cases, screen_conversation

BATCH: Final = 50  # conversations saved in one transaction


@dataclass(frozen=True)
class ImportOutcome:
    """What became of one conversation: `new`, `known`, or `refused` for a `reason`. `screened`: how many of its texts
    moderation rules have flagged, masked and withheld.
    """

    kind: str
    place: str
    messages: int = 0
    reason: str = ""
    screened: Mapping[str, int] = field(default_factory=dict)


class ImportFile:
    """A file that was read to its end: iterating reads it again, one conversation at a time.

    `len` is the number of entries, of which some may not be imported. A conversation that cannot be has an `error`.
    """

    def __init__(self, file: Path | IO[bytes], max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        with contextlib.closing(self._documents()) as documents:
            self._formats: list[Format] = [formats.detect_format(document) for document in documents]

    def __len__(self) -> int:
        return sum(known.count for known in self._formats)

    def __iter__(self) -> Iterator[ImportedConversation]:
        with contextlib.closing(self._documents()) as documents:
            for document, known in zip(documents, self._formats, strict=True):
                for imported in formats.read_conversations(document, known):
                    _check(imported)
                    yield imported

    def _documents(self) -> Generator[JsonStream, None, None]:
        return open_documents(self._file, max_bytes=self._max_bytes)


def _check(imported: ImportedConversation) -> None:
    """Makes it what can be stored, or sets its `error`."""
    if not imported.error:
        try:
            normalise_tree(imported)
        except ImportRefusedError as error:
            imported.error = str(error)
    imported.title = " ".join(clean_text(imported.title).split())[:200]
    imported.place = clean_text(imported.place)
    imported.error = clean_text(imported.error)


def read_file(file: Path | IO[bytes], *, max_bytes: int = MAX_BYTES) -> ImportFile:
    """Checks a file, JSON or an archive of it, up to `max_bytes` unpacked.

    Raises `ImportRefusedError` when the whole file is refused, `OSError` when it cannot be read.
    """
    return ImportFile(file, max_bytes)


@dataclass
class _Rows:
    """What is saved of one conversation."""

    conversation: Conversation
    messages: list[Message]
    comparisons: list[Comparison]
    runs: list[Run]  # of answers side by side only
    found: Sequence[FoundText] = ()  # by moderation rules


def import_conversations(user: User, conversations: ImportFile, *, dry_run: bool = False) -> Iterator[ImportOutcome]:
    """Saves each conversation; with `dry_run`, only yields what would become of it. In the order of the file."""
    waiting = iter(conversations)
    while batch := list(itertools.islice(waiting, BATCH)):
        fresh = {id(one): one for one in _unknown(user, batch)}
        found = {key: screen_conversation(user, one) for key, one in fresh.items()}
        failed = {} if dry_run else _save(user, fresh, found)
        if not dry_run:
            keep_in_order(user, [(_id(user, one), one.order) for key, one in fresh.items() if key not in failed])
        for imported in batch:
            if reason := imported.error or failed.get(id(imported), ""):
                yield ImportOutcome("refused", imported.place, reason=reason)
            else:
                kind = "new" if id(imported) in fresh else "known"
                screened = count_found(found.get(id(imported), ()))
                yield ImportOutcome(kind, imported.place, len(imported.messages), screened=screened)


def _unknown(user: User, batch: list[ImportedConversation]) -> list[ImportedConversation]:
    """The conversations to save: not imported before, also if in the trash now, and not twice in the file.

    One of our own export may still be there under its own id.
    """
    good = [imported for imported in batch if not imported.error]
    own = [pk for imported in good if imported.native and (pk := _uuid(imported.id))]
    theirs = Member.objects.filter(user=user, conversation_id__in=own) if own else Member.objects.none()
    known = set(theirs.values_list("conversation_id", flat=True))
    ids = [_id(user, imported) for imported in good]
    known |= set(Conversation.objects.filter(pk__in=ids).values_list("pk", flat=True))
    fresh = []
    for pk, imported in zip(ids, good, strict=True):
        if pk not in known and not (imported.native and _uuid(imported.id) in known):
            fresh.append(imported)
            known.add(pk)
    return fresh


def _save(
    user: User, fresh: dict[int, ImportedConversation], found: Mapping[int, Sequence[FoundText]]
) -> dict[int, str]:
    """Saves them together, else one by one: what the database refuses has its reason in the result, by the same key."""
    rows = {key: _make_rows(user, imported, found[key]) for key, imported in fresh.items()}
    try:
        _save_together(user, rows.values())
    except (DataError, IntegrityError):
        failed = {}
        for key, one in rows.items():
            try:
                _save_together(user, [one])
            except (DataError, IntegrityError) as error:
                failed[key] = _("The database refuses it (%(name)s).") % {"name": type(error).__name__}
        return failed
    return {}


def save_conversation(user: User, imported: ImportedConversation) -> bool:
    """Creates the conversation; False when it exists already, also in the trash."""
    fresh = _unknown(user, [imported])
    _save_together(user, [_make_rows(user, one, screen_conversation(user, one)) for one in fresh])
    return bool(fresh)


@transaction.atomic
def _save_together(user: User, saved: Collection[_Rows]) -> None:
    # Tips refer to messages that follow: foreign keys are checked at the end of the transaction.
    Conversation.objects.bulk_create([rows.conversation for rows in saved])
    Member.objects.bulk_create([Member(conversation=rows.conversation, user=user, role=Role.OWNER) for rows in saved])
    for rows in saved:
        open_cases(user, rows.found, rows.conversation, {message.pk: message for message in rows.messages})
    Message.objects.bulk_create([message for rows in saved for message in rows.messages], batch_size=1_000)
    Comparison.objects.bulk_create([comparison for rows in saved for comparison in rows.comparisons])
    Run.objects.bulk_create([run for rows in saved for run in rows.runs], batch_size=1_000)


def _make_rows(user: User, imported: ImportedConversation, found: Sequence[FoundText] = ()) -> _Rows:
    conversation_id = _id(user, imported)
    ids = {message.id: uuid.uuid5(conversation_id, _name(message.id)) for message in imported.messages}
    at = imported.messages[0].at or timezone.now()
    # `created_at` is the time of the import, so that retention (chat.retention.periods) counts from here.
    conversation = Conversation(pk=conversation_id, title=imported.title, **imported.parameters)
    rows = []
    for message in imported.messages:
        # Later than the one before, also without a time in the file: siblings are shown by time.
        at = max(message.at or at, at + timedelta(microseconds=1))
        is_question = message.role == MessageRole.USER
        rows.append(
            Message(
                id=ids[message.id],
                conversation=conversation,
                parent_id=ids[message.parent] if message.parent else None,
                role=message.role,
                author=user if is_question and message.mine else None,
                text=message.text,
                status=MessageStatus.COMPLETE,
                created_at=at,
                edited_at=message.edited,
            )
        )
    conversation.tip_id = ids[imported.tip] if imported.tip else rows[-1].pk
    conversation.updated_at = min(at, timezone.now())
    comparisons, runs = make_comparisons(imported, dict(zip(ids, rows, strict=True)))
    placed = [replace(one, target_id=ids.get(one.message, conversation_id)) for one in found]
    return _Rows(conversation, rows, comparisons, runs, placed)


def _id(user: User, imported: ImportedConversation) -> uuid.UUID:
    return uuid.uuid5(user.pk, _name(imported.id))


def _name(name: str) -> str:
    """An id of the file as text that has bytes: half of a surrogate pair becomes its escape."""
    return name.encode(errors="backslashreplace").decode()


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
