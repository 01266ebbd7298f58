"""Comparisons: one question, answered by several models at once."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from chat.models.messages import Message


class Comparison(models.Model):
    """A question that several models answer side by side, until one of the answers is chosen to go on.

    The answers are siblings below the question; `Run.slot` says at which place each stands. The first choice stays:
    whoever wants another answer later switches to another version, as with any message.
    """

    prompt = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="comparison")
    size = models.PositiveSmallIntegerField(help_text=_("How many models answer. Slots are numbered from 1."))
    chosen = models.ForeignKey(
        Message, null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        help_text=_("The answer that the conversation continues with. Empty: not chosen yet."),
    )  # fmt: skip

    class Meta:
        default_permissions = ()
        constraints = (models.CheckConstraint(condition=Q(size__range=(2, 4)), name="comparison_size_sane"),)

    def __str__(self) -> str:
        return f"comparison below {self.pk}"
