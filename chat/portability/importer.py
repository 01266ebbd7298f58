"""Imports conversations into a user's account: a file is read to its end and checked, then read again and saved.

Nothing in the file is trusted. An invalid conversation is refused with a sentence that names the place, and the
others are imported. A conversation is saved completely or not at all. Ids are derived from the file's ids and the
user (UUIDv5), so importing a file again adds nothing. Texts are screened by the rules of moderation. `BATCH`
conversations are in memory at a time. Files of our own exports come from the archive
(`chat.portability.imported_files`). Answers are saved without HTML: workers make it in the background, and first of
what is opened (`workers.runtime.rendering`).
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from django.db import DataError, IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from chat.models import (
    Attachment,
    Comparison,
    Conversation,
    ImportJob,
    Member,
    Message,
    MessageRole,
    MessageStatus,
    Role,
    Run,
)
from chat.models import ImportedConversation as MadeConversation
from chat.portability.archived_files import ArchivedFiles
from chat.portability.compared import make_comparisons
from chat.portability.formats import ImportedConversation
from chat.portability.import_file import ImportFile
from chat.portability.imported_files import StoredFiles, files_to_store, join_files, place_files, store_files
from chat.portability.order import keep_in_order
from chat.portability.screening import FoundText, count_found, open_cases, screen_conversation

BATCH: Final = 50  # conversations saved in one transaction
NO_FILES: Final = StoredFiles()


@dataclass(frozen=True)
class ImportOutcome:
    """What became of one conversation: `new`, `known`, or `refused` for a `reason`. `screened`: how many of its texts
    moderation rules have flagged, masked and withheld. `id` is that of the conversation here, which may have been
    imported before; None where it was refused. `files` are how many of its files were stored, `left_out` how many were
    not, and `files_report` the name and reason of the first of these.
    """

    kind: str
    place: str
    messages: int = 0
    reason: str = ""
    screened: Mapping[str, int] = field(default_factory=dict)
    id: uuid.UUID | None = None
    files: int = 0
    left_out: int = 0
    files_report: Sequence[tuple[str, str]] = ()


@dataclass
class _Rows:
    """What is saved of one conversation."""

    conversation: Conversation
    messages: list[Message]
    comparisons: list[Comparison]
    runs: list[Run]  # of answers side by side only
    found: Sequence[FoundText] = ()  # by moderation rules
    attachments: Sequence[Attachment] = ()


def _nothing() -> None:
    """For who does not want to know of files."""


def import_conversations(
    user: User,
    conversations: ImportFile,
    *,
    dry_run: bool = False,
    job: ImportJob | None = None,
    on_file: Callable[[], None] = _nothing,
) -> Iterator[ImportOutcome]:
    """Saves each conversation; with `dry_run`, only yields what would become of it. In the order of the file. What is
    saved is noted as made by `job`. `on_file` is called after each file that was stored or left out.

    Raises `Unavailable` and `OSError` if files cannot be stored now; conversations before them are saved.
    """
    waiting = iter(conversations)
    while batch := list(itertools.islice(waiting, BATCH)):
        fresh = {id(one): one for one in _unknown(user, batch)}
        found = {key: screen_conversation(user, one) for key, one in fresh.items()}
        files = {} if dry_run else _store_files(user, fresh, conversations.archive, on_file)
        failed = {} if dry_run else _save(user, fresh, found, files, job)
        if not dry_run:
            keep_in_order(user, [(_id(user, one), one.order) for key, one in fresh.items() if key not in failed])
        for imported in batch:
            if reason := imported.error or failed.get(id(imported), ""):
                yield ImportOutcome("refused", imported.place, reason=reason)
            else:
                kind = "new" if id(imported) in fresh else "known"
                screened = count_found(found.get(id(imported), ()))
                stored = files.get(id(imported), NO_FILES)
                yield ImportOutcome(
                    kind, imported.place, len(imported.messages), screened=screened, id=_id(user, imported),
                    files=len(stored.files), left_out=stored.left_out, files_report=stored.report,
                )  # fmt: skip


def _store_files(
    user: User, fresh: Mapping[int, ImportedConversation], archive: ArchivedFiles, on_file: Callable[[], None]
) -> dict[int, StoredFiles]:
    """What became of the files of each conversation that has any, by the same key."""
    return {
        key: store_files(user, _id(user, one), one.document, wanted, archive, on_file)
        for key, one in fresh.items()
        if (wanted := files_to_store(one))
    }


def _unknown(user: User, batch: list[ImportedConversation]) -> list[ImportedConversation]:
    """The conversations to save: not imported before, also if in the trash now, and not twice in the file.

    One of our own export may still be there under its own id.
    """
    good = [imported for imported in batch if not imported.error]
    own = {id(imported): pk for imported in good if imported.native and (pk := _uuid(imported.id))}
    theirs = Member.objects.filter(user=user, conversation_id__in=own.values()) if own else Member.objects.none()
    known = set(theirs.values_list("conversation_id", flat=True)) | _imported_before(user, good)
    fresh = []
    for imported in good:
        pk = _id(user, imported)
        if pk not in known and own.get(id(imported)) not in known:
            fresh.append(imported)
            known.add(pk)
    return fresh


def _imported_before(user: User, good: Sequence[ImportedConversation]) -> set[uuid.UUID]:
    """The ids of those that are there and that the user is a member of.

    What the user has left since belongs to others: nothing is said of it, and the conversation gets another id here.
    """
    found: set[uuid.UUID] = set()
    while good:
        here = Conversation.objects.filter(pk__in={_id(user, one) for one in good})
        is_member = Exists(Member.objects.filter(conversation=OuterRef("pk"), user=user))
        mine = dict(here.values_list("pk", is_member))
        found |= {pk for pk, is_mine in mine.items() if is_mine}
        good = [one for one in good if mine.get(_id(user, one)) is False]
        for one in good:
            one.id += " again"
    return found


def _save(
    user: User,
    fresh: dict[int, ImportedConversation],
    found: Mapping[int, Sequence[FoundText]],
    files: Mapping[int, StoredFiles],
    job: ImportJob | None,
) -> dict[int, str]:
    """Saves them together, else one by one: what the database refuses has its reason in the result, by the same key."""
    rows = {key: _make_rows(user, imported, found[key], files.get(key)) for key, imported in fresh.items()}
    try:
        _save_together(user, rows.values(), job)
    except (DataError, IntegrityError):
        failed = {}
        for key, one in rows.items():
            try:
                _save_together(user, [one], job)
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
def _save_together(user: User, saved: Collection[_Rows], job: ImportJob | None = None) -> None:
    # Tips refer to messages that follow: foreign keys are checked at the end of the transaction.
    Conversation.objects.bulk_create([rows.conversation for rows in saved])
    Member.objects.bulk_create([Member(conversation=rows.conversation, user=user, role=Role.OWNER) for rows in saved])
    if job is not None:
        MadeConversation.objects.bulk_create(
            [MadeConversation(job=job, conversation=rows.conversation) for rows in saved]
        )
    for rows in saved:
        open_cases(user, rows.found, rows.conversation, {message.pk: message for message in rows.messages})
    Message.objects.bulk_create([message for rows in saved for message in rows.messages], batch_size=1_000)
    Comparison.objects.bulk_create([comparison for rows in saved for comparison in rows.comparisons])
    Run.objects.bulk_create([run for rows in saved for run in rows.runs], batch_size=1_000)
    for rows in saved:
        join_files(rows.conversation.pk, user.pk, rows.attachments)


def _make_rows(
    user: User, imported: ImportedConversation, found: Sequence[FoundText] = (), files: StoredFiles | None = None
) -> _Rows:
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
    by_id = dict(zip(ids, rows, strict=True))
    comparisons, runs = make_comparisons(imported, by_id)
    attachments = place_files(imported, files or StoredFiles(), by_id)
    placed = [replace(one, target_id=ids.get(one.message, conversation_id)) for one in found]
    return _Rows(conversation, rows, comparisons, runs, placed, attachments)


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
