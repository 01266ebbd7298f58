"""Embedding models that are set up in the admin. Only workers ask them (`workers.embeddings`)."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar, Final

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from workers.models.endpoints import Endpoint, Use

MOST_DIMENSIONS: Final = 4_096
APIS: Final = ("openai_chat", "openai_responses", "azure", "ollama")  # of endpoints that have /v1/embeddings
_PREFIX: Final = 100


class Embedder(models.Model):
    """A model that makes vectors of texts. The enabled one is asked about the passages of collections and of long
    attached files, and about each question that is looked up in them.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(
        default=False,
        help_text=_("Only one can be enabled. Without one, collections are searched by words only."),
    )
    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.PROTECT, related_name="+",
        help_text=_("Passages of files and questions are sent to this endpoint. If it is only for this, set its use to "
        "fallback."),
    )  # fmt: skip
    model = models.CharField(max_length=200, help_text=_("For example text-embedding-3-small or nomic-embed-text."))
    dimensions = models.PositiveIntegerField(
        null=True, blank=True, validators=(MinValueValidator(16), MaxValueValidator(MOST_DIMENSIONS)),
        help_text=_("Asks for shorter vectors, which some models can make. Empty: as the model makes them."),
    )  # fmt: skip
    passage_prefix = models.CharField(
        max_length=_PREFIX, blank=True,
        help_text=_("Some models want words before a passage, for example search_document: or passage:"),
    )  # fmt: skip
    question_prefix = models.CharField(
        max_length=_PREFIX, blank=True, help_text=_("The same for questions, for example search_query: or query:")
    )
    least_similarity = models.FloatField(
        default=0.3, validators=(MinValueValidator(0.0), MaxValueValidator(0.99)),
        help_text=_("From 0 to 0.99. Passages whose similarity with the question is lower are not used. The test shows "
        "what this model says of texts that fit and that do not."),
    )  # fmt: skip
    timeout = models.FloatField(
        default=2.0, validators=(MinValueValidator(0.1), MaxValueValidator(30.0)),
        help_text=_("How many seconds a question waits for its vector; then it is looked up by words only."),
    )  # fmt: skip
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_passed = models.BooleanField(null=True, editable=False)
    test_said = models.TextField(blank=True, editable=False)

    class Meta:
        verbose_name = _("embedding model")
        permissions = (("test_embedder", gettext_noop("Can test an embedding model")),)
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=["enabled"], condition=Q(enabled=True), name="embedder_one_enabled",
                violation_error_message=_("Another embedding model is enabled. Disable that one first."),
            ),
            models.CheckConstraint(
                condition=Q(least_similarity__gte=0, least_similarity__lt=1) & Q(timeout__gte=0.1, timeout__lte=30),
                name="embedder_sane",
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        if not hasattr(self, "endpoint"):
            return
        if self.endpoint.use == Use.OFF:
            raise ValidationError({"endpoint": gettext("That endpoint is off. Change its use first.")})
        if self.endpoint.api not in APIS:
            said = gettext("Embeddings are asked for as OpenAI does, which this kind of endpoint does not offer.")
            raise ValidationError({"endpoint": said})

    @property
    def key(self) -> str:
        """What vectors of passages depend on: those of another key are not compared, and are made anew."""
        made_of = [str(self.endpoint_id), self.model, self.dimensions, self.passage_prefix]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
