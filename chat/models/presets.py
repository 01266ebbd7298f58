"""Presets: a system prompt, a model and its parameters under one name."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.contrib.auth.models import Group
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.lib.ids import uuid7

MAX_PROMPT: Final = 20_000  # characters


class Preset(models.Model):
    """A system prompt, a model and its parameters, under a name that users can choose."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    description = models.CharField(max_length=200, blank=True, help_text="Shown to users with the name.")
    system_prompt = models.TextField(
        blank=True, validators=[MaxLengthValidator(MAX_PROMPT)],
        help_text="Sent to the model before the conversation. Empty: the SYSTEM_PROMPT setting.",
    )  # fmt: skip
    model = models.CharField(max_length=200, blank=True, help_text="Empty: the server default.")
    temperature = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(2)],
        help_text="0 to 2. Empty: the model's default. Ignored by models that do not support it.",
    )  # fmt: skip
    max_tokens = models.PositiveIntegerField(
        "max output tokens", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text="Per answer. Empty: the model's limit.",
    )  # fmt: skip
    enabled = models.BooleanField(default=True, help_text="Users can choose this preset.")
    position = models.PositiveIntegerField(default=10, help_text="Presets are listed in ascending order.")
    groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text="Groups that can choose this preset. None: everyone."
    )

    class Meta:
        ordering: ClassVar = ("position", "name")
        constraints: ClassVar = (
            models.CheckConstraint(
                condition=Q(temperature=None) | Q(temperature__range=(0, 2)), name="preset_temperature_sane"
            ),
            models.CheckConstraint(condition=Q(max_tokens=None) | Q(max_tokens__gte=1), name="preset_tokens_sane"),
        )

    def __str__(self) -> str:
        return self.name
