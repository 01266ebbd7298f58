"""What users say about themselves and about how they want to be answered, for all their conversations."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

MAX_INSTRUCTIONS: Final = 4_000  # characters


class Instructions(models.Model):
    """A user's own instructions. They are theirs alone: no page, list or search of staff or other members reads them.

    Models get them with the system prompt in answers to this user's messages (`chat.runs.system_prompt`).
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="instructions"
    )
    text = models.CharField(max_length=MAX_INSTRUCTIONS, blank=True)
    enabled = models.BooleanField(default=True)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ()
        verbose_name_plural = _("instructions")

    def __str__(self) -> str:
        return f"instructions of {self.user_id}"
