"""Collections: files that answers are looked up in ("Knowledge"), chosen for each conversation, preset or folder."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7

MAX_COLLECTIONS: Final = 100  # of one user
MAX_COLLECTION_FILES: Final = 1_000  # of one collection
COLLECTION_NAME_TAKEN: Final = _("You already have a collection with this name.")


class Collection(models.Model):
    """Files of one owner under a name (`File.collection`). It is for its owner, and for those of its groups that the
    owner is in. Only its owner changes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, editable=False, on_delete=models.CASCADE, related_name="collections",
        db_index=False,  # the constraint of its names begins with it
    )  # fmt: skip
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=200, blank=True, help_text=_("Shown to users with the name."))
    groups: models.ManyToManyField[Group, Any] = models.ManyToManyField(
        Group, blank=True, related_name="+", help_text=_("Groups whose members can use it. None: only its owner.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ("name",)
        verbose_name = _("collection")
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=["owner", "name"],
                name="collection_name_once",
                violation_error_message=COLLECTION_NAME_TAKEN,
            ),
        )

    def __str__(self) -> str:
        return gettext("Collection %(id)s") % {"id": self.id}  # its name is for who may read texts
