"""Vectors of the passages of contents in collections, and of long ones that are attached: with them, a question finds
passages that say it in other words.

Blob ── Embedding (which model made them, how far) and Blob ──< PassageVectors (those of a part). They are made from the
texts, so no export or import has them; another embedding model makes them anew.
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.files import Blob


class EmbeddingState(models.TextChoices):
    PENDING = "pending", _("Waiting")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class Embedding(models.Model):
    """How far the vectors of a content are made. Without an embedding model, no content has one."""

    blob = models.OneToOneField(Blob, on_delete=models.CASCADE, primary_key=True, related_name="embedding")
    model_key = models.CharField(
        max_length=32,
        help_text=_("Which embedding model makes the vectors, as `workers.models.Embedder.key` names it."),
    )
    state = models.CharField(max_length=8, choices=EmbeddingState.choices, default=EmbeddingState.PENDING)
    reason = models.CharField(max_length=40, blank=True, help_text=_("Why it waits or failed, for staff."))
    characters = models.BigIntegerField(default=0, help_text=_("Of the text that has vectors."))
    passages = models.PositiveIntegerField(default=0, help_text=_("That have a vector."))
    dimensions = models.PositiveIntegerField(default=0, help_text=_("Of each vector."))
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_by = models.UUIDField(null=True, editable=False)
    claimed_until = models.DateTimeField(
        null=True, editable=False, help_text=_("Until then it belongs to the worker that makes the vectors.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ()
        verbose_name = _("embedding")
        indexes = (models.Index(fields=["created_at"], condition=Q(state="pending"), name="embedding_pending"),)
        constraints = (
            models.CheckConstraint(condition=Q(state__in=EmbeddingState.values), name="embedding_state_known"),
        )

    def __str__(self) -> str:
        return self.get_state_display()


class PassageVectors(models.Model):
    """The vectors of consecutive passages of one part. `vectors` has `dimensions` signed bytes for each of `starts`;
    only their direction counts.
    """

    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, related_name="+", db_index=False)
    position = models.PositiveIntegerField()
    start = models.PositiveIntegerField(help_text=_("Where the first of the passages begins in the part."))
    starts = ArrayField(models.PositiveIntegerField())
    vectors = models.BinaryField()

    class Meta:
        default_permissions = ()
        verbose_name = _("vectors of passages")
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["blob", "position", "start"], name="passagevectors_in_place"),
        )

    def __str__(self) -> str:
        return str(self.position)
