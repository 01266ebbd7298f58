"""What members think of answers."""

from __future__ import annotations

from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chat.models.messages import Message

MAX_NOTE: Final = 1_000  # characters; `message.rate` has the same


class Rating(models.Model):
    """A member's opinion of an answer: 1 is good, -1 is bad. One of each member and answer; other members do not see
    it.
    """

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="ratings", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ratings")
    value = models.SmallIntegerField(choices=((1, _("Good")), (-1, _("Bad"))))
    note = models.CharField(_("reason"), max_length=MAX_NOTE, blank=True)
    model = models.CharField(max_length=200, help_text=_("The model that wrote the answer."))
    rated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ("-rated_at",)
        indexes: ClassVar = (
            models.Index(fields=["-rated_at"], name="rating_newest"),
            models.Index(fields=["model", "-rated_at"], name="rating_by_model"),
        )
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["message", "user"], name="rating_once"),
            models.CheckConstraint(condition=Q(value__in=(1, -1)), name="rating_good_or_bad"),
        )

    def __str__(self) -> str:
        return gettext("Rating %(id)s") % {"id": self.pk}
