"""Files that people attach to messages: what is stored, what was read from it, and what a model got of it.

Blob (a content, by its hash) ──< File (one person's, in one conversation or collection) ──< Attachment (to a message)
  ├──< FileText (a page, a sheet or a part)          └──< FileUse (what one run's model got)
  └─── Recognition (text in its pictures)
Upload (not finished) becomes a File.

The bytes are in the default storage, never in a row or a frame. A fork, a copy and a reuse of a file make another row
`File` of the same blob. A blob without files is deleted by the purge.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.collections import Collection
from chat.models.conversations import Conversation
from chat.models.messages import Message
from chat.models.runs import Run

MAX_FILE_NAME = 200  # characters


class FileKind(models.TextChoices):
    """What a content is, going by its bytes. It decides how it is read, shown and sent to a model."""

    IMAGE = "image", _("Image")
    PDF = "pdf", _("PDF")
    DOCUMENT = "document", _("Document")  # of a word processor, a presentation, a book, HTML
    TABLE = "table", _("Table")  # a workbook or CSV
    TEXT = "text", _("Text")  # also code
    OTHER = "other", _("Other")  # kept, and not read


class FileState(models.TextChoices):
    """How far a content was read. Only READ and EMPTY contents can be given to a model, and images when READ."""

    PENDING = "pending", _("Waiting to be read")
    READ = "read", _("Read")
    EMPTY = "empty", _("No text found")
    FAILED = "failed", _("Not readable")


class FileUseKind(models.TextChoices):
    """How a model got a file."""

    IMAGE = "image", _("As an image")
    FULL = "full", _("In full")
    PASSAGES = "passages", _("Passages that fit the question")
    NONE = "none", _("Not at all")


class Blob(models.Model):
    """A content. Files of the same bytes share it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sha256 = models.CharField(max_length=64, unique=True, help_text=_("In hexadecimal digits."))
    size = models.BigIntegerField(help_text=_("In bytes."))
    media_type = models.CharField(max_length=100, help_text=_("By the content, not by the name."))
    kind = models.CharField(max_length=10, choices=FileKind.choices)
    path = models.CharField(max_length=200, help_text=_("In the storage."))
    thumbnail = models.CharField(max_length=200, blank=True, help_text=_("Its path in the storage; empty: none."))
    width = models.PositiveIntegerField(null=True, blank=True, help_text=_("In pixels, of an image as it is shown."))
    height = models.PositiveIntegerField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=FileState.choices, default=FileState.PENDING)
    reason = models.CharField(
        max_length=40, blank=True, help_text=_("Why it could not be read: a code of `chat.files.reading_reasons`.")
    )
    parts = models.PositiveIntegerField(null=True, blank=True, help_text=_("Pages, sheets or parts that it has."))
    characters = models.BigIntegerField(default=0, help_text=_("Of its text."))
    attempts = models.PositiveSmallIntegerField(default=0, help_text=_("How often reading it was begun."))
    claimed_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("Until then it belongs to the worker that reads it.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("stored content")
        indexes = (models.Index(fields=["created_at"], condition=Q(state="pending"), name="blob_unread"),)
        constraints = (
            models.CheckConstraint(condition=Q(kind__in=FileKind.values), name="blob_kind_known"),
            models.CheckConstraint(condition=Q(state__in=FileState.values), name="blob_state_known"),
            models.CheckConstraint(condition=Q(size__gt=0), name="blob_not_empty"),
        )

    def __str__(self) -> str:
        return self.sha256[:12]


class File(models.Model):
    """One person's file. Without a conversation or a collection it waits in the composer until attached or purged."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="files")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="files")
    conversation = models.ForeignKey(
        Conversation, null=True, blank=True, on_delete=models.CASCADE, related_name="files"
    )
    collection = models.ForeignKey(
        Collection, null=True, blank=True, on_delete=models.CASCADE, related_name="files", db_index=False
    )
    name = models.CharField(max_length=MAX_FILE_NAME)
    pasted = models.BooleanField(default=False, help_text=_("A long text that was pasted."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("file")
        indexes = (
            models.Index(fields=["owner", "-created_at"], name="file_newest"),
            models.Index(fields=["created_at"], condition=Q(conversation=None), name="file_unattached"),
        )
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=["collection", "blob"], condition=Q(collection__isnull=False), name="file_once_per_collection"
            ),
            models.CheckConstraint(
                condition=Q(collection=None) | Q(conversation=None), name="file_conversation_or_collection"
            ),
        )

    def __str__(self) -> str:
        return gettext("File %(id)s") % {"id": self.id}  # its name is for who may read texts


class Attachment(models.Model):
    """A file of a message, in its place. An edit of the message that asks again has attachments of its own."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attachments", db_index=False)
    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="attachments")
    position = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name = _("attachment")
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["message", "position"], name="attachment_in_place"),
            models.UniqueConstraint(fields=["message", "file"], name="attachment_once"),
        )

    def __str__(self) -> str:
        return str(self.file_id)


class FileText(models.Model):
    """The text of one part of a content: a page, a sheet, or as much as one part may have."""

    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, related_name="texts", db_index=False)
    position = models.PositiveIntegerField()
    label = models.CharField(max_length=80, help_text=_("Where it is: page 3, the sheet's name. Empty: no parts."))
    text = models.TextField()
    words = SearchVectorField(null=True, editable=False)  # to find the passages that fit a question
    recognised = models.BooleanField(
        default=False, db_default=False, help_text=_("It was recognised in the image of the part.")
    )

    class Meta:
        verbose_name = _("text of a file")
        indexes = (GinIndex(fields=["words"], name="filetext_words"),)
        constraints: ClassVar = (models.UniqueConstraint(fields=["blob", "position"], name="filetext_in_place"),)

    def __str__(self) -> str:
        return self.label


class RecognitionState(models.TextChoices):
    PENDING = "pending", _("Waiting")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class Recognition(models.Model):
    """Text that is to be recognised in the images of a content (OCR), or was. There is none where no recogniser is set
    up, and of contents that have no images. `characters` are among those of the content.
    """

    blob = models.OneToOneField(Blob, on_delete=models.CASCADE, primary_key=True, related_name="recognition")
    state = models.CharField(
        max_length=8, choices=RecognitionState.choices, default=RecognitionState.PENDING
    )  # fmt: skip
    characters = models.BigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(
        null=True, editable=False, help_text=_("Until then it belongs to the worker that recognises the text.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ()
        verbose_name = _("recognition of text")
        indexes = (models.Index(fields=["created_at"], condition=Q(state="pending"), name="recognition_pending"),)
        constraints = (
            models.CheckConstraint(condition=Q(state__in=RecognitionState.values), name="recognition_state_known"),
        )

    def __str__(self) -> str:
        return self.get_state_display()


class FileUse(models.Model):
    """What the model of one run got of a file, for the transcript ("3 of 40 pages")."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="file_uses", db_index=False)
    file = models.ForeignKey(File, on_delete=models.CASCADE, related_name="uses")
    kind = models.CharField(max_length=8, choices=FileUseKind.choices)
    given = models.PositiveIntegerField(default=0, help_text=_("Parts that the model got."))
    total = models.PositiveIntegerField(default=0, help_text=_("Parts that the file has."))
    reason = models.CharField(max_length=40, blank=True, help_text=_("Why it got nothing or not all."))

    class Meta:
        verbose_name = _("use of a file")
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["run", "file"], name="fileuse_once"),
            models.CheckConstraint(condition=Q(kind__in=FileUseKind.values), name="fileuse_kind_known"),
        )

    def __str__(self) -> str:
        return self.get_kind_display()


class Upload(models.Model):
    """A file that is being uploaded in chunks. `received` bytes of it are in the storage, as `chunks`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=MAX_FILE_NAME)
    size = models.BigIntegerField(help_text=_("In bytes, as announced."))
    received = models.BigIntegerField(default=0, help_text=_("In bytes."))
    chunks = models.JSONField(default=list, editable=False)  # the paths of what was received, in order
    pasted = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    touched_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("upload")
        indexes = (models.Index(fields=["touched_at"], name="upload_oldest"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(received__gte=0) & Q(received__lte=models.F("size")), name="upload_sane"
            ),
        )

    def __str__(self) -> str:
        return self.name
