"""Imports and exports that people start on their settings, which workers carry out."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.collections import Collection
from chat.models.conversations import Conversation


class TransferState(models.TextChoices):
    WAITING = "waiting", _("waiting")  # for a worker
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")  # `error` says why
    CANCELLED = "cancelled", _("cancelled")
    UNDONE = "undone", _("undone")  # an import: its conversations were moved to the trash, its collections deleted


IN_PROGRESS = (TransferState.WAITING, TransferState.RUNNING)


class Transfer(models.Model):
    """What an import and an export have in common. `attempt` is the claim of the worker that runs it: whoever has an
    earlier one writes nothing any more. `beat_at` is the last sign of that worker.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    state = models.CharField(max_length=9, choices=TransferState.choices, default=TransferState.WAITING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    beat_at = models.DateTimeField(default=timezone.now, editable=False)
    attempt = models.PositiveSmallIntegerField(default=0, editable=False)
    file = models.FileField(max_length=200, blank=True, editable=False)  # in the default storage, which is not served
    size = models.BigIntegerField(default=0, editable=False)  # bytes of the file
    done = models.PositiveIntegerField(default=0, editable=False)  # conversations
    total = models.PositiveIntegerField(default=0, editable=False)  # 0: not known yet
    error = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def in_progress(self) -> bool:
        return self.state in IN_PROGRESS


class ImportJob(Transfer):
    """A file that a user uploaded. It is deleted when the import ends; the row and its report stay for a while."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="imports", editable=False)
    name = models.CharField(max_length=200, editable=False)  # of the file, as the browser gave it
    cancel = models.BooleanField(default=False, editable=False)  # its user wants it to end
    new = models.PositiveIntegerField(default=0, editable=False)
    known = models.PositiveIntegerField(default=0, editable=False)  # were there already ...
    trashed = models.PositiveIntegerField(default=0, editable=False)  # ... of them in the trash
    refused = models.PositiveIntegerField(default=0, editable=False)
    messages = models.PositiveIntegerField(default=0, editable=False)
    files = models.PositiveIntegerField(default=0, db_default=0, editable=False)  # whose contents were in the archive
    files_left_out = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    collections = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    screened = models.JSONField(default=dict, editable=False)  # how many texts were flagged, masked, withheld
    report = models.JSONField(default=list, editable=False)  # of what was refused: [[place, reason]], the first ones

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        indexes: ClassVar = (
            models.Index(fields=["user", "-created_at"], name="import_newest"),
            models.Index(fields=["beat_at"], condition=Q(state__in=("waiting", "running")), name="import_in_progress"),
        )
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(state__in=TransferState.values), name="import_state_known"),
            models.UniqueConstraint(
                fields=["user"], condition=Q(state__in=("waiting", "running")), name="import_one_at_a_time"
            ),
        )

    def __str__(self) -> str:
        return f"import of {self.name} ({self.state})"


class ImportedConversation(models.Model):
    """Which conversations an import has made, so that it can be undone."""

    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="made", editable=False)
    conversation = models.OneToOneField(
        Conversation, on_delete=models.CASCADE, primary_key=True, related_name="+", editable=False
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"conversation {self.conversation_id} of import {self.job_id}"


class ImportedCollection(models.Model):
    """Which collections an import has made, so that it can be undone. `digest` is that of what it has put into them
    (`chat.portability.imported_collections`): one that has another now was changed since.
    """

    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="made_collections", editable=False)
    collection = models.OneToOneField(
        Collection, on_delete=models.CASCADE, primary_key=True, related_name="+", editable=False
    )
    digest = models.CharField(max_length=64, editable=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"collection {self.collection_id} of import {self.job_id}"


class ExportJob(Transfer):
    """An export of all data of a user, as a ZIP file that its user can download until `expires_at`."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports", editable=False)
    reasoning = models.BooleanField(default=False, editable=False)  # with what the models thought
    expires_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        indexes: ClassVar = (
            models.Index(fields=["user", "-created_at"], name="export_newest"),
            models.Index(fields=["beat_at"], condition=Q(state__in=("waiting", "running")), name="export_in_progress"),
            models.Index(fields=["expires_at"], name="export_by_end"),
        )
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(state__in=TransferState.values), name="export_state_known"),
            models.UniqueConstraint(
                fields=["user"], condition=Q(state__in=("waiting", "running")), name="export_one_at_a_time"
            ),
        )

    def __str__(self) -> str:
        return f"export ({self.state})"


class StaffExport(Transfer):
    """A list of the admin as a CSV file, made in the background for the member of staff who asked for it.

    `done` counts rows. `total` stays 0: lists are not counted.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="staff_exports", editable=False
    )
    kind = models.CharField(max_length=60, editable=False)  # app.model
    query = models.TextField(blank=True, editable=False)  # the list's filters, as in its address
    expires_at = models.DateTimeField(null=True, editable=False)
    fetched_at = models.DateTimeField(null=True, editable=False)  # downloaded for the first time

    class Meta:
        default_permissions = ()
        verbose_name = _("export of a list")
        verbose_name_plural = _("exports of lists")
        indexes: ClassVar = (
            models.Index(fields=["user", "-created_at"], name="staff_export_newest"),
            models.Index(
                fields=["beat_at"], condition=Q(state__in=("waiting", "running")), name="staff_export_in_progress"
            ),
            models.Index(fields=["expires_at"], name="staff_export_by_end"),
        )
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(state__in=TransferState.values), name="staff_export_state_known"),
        )

    def __str__(self) -> str:
        return f"export of {self.kind} ({self.state})"
