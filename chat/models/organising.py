"""How a user keeps their own list of conversations in order: folders and tags. They are the user's alone."""

from __future__ import annotations

from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7

MAX_FOLDERS: Final = 200  # of one user
MAX_DEPTH: Final = 3  # a folder, one in it, and one in that
MAX_FOLDER_NAME: Final = 80
MAX_FOLDER_INSTRUCTIONS: Final = 4_000  # characters
MAX_TAGS: Final = 100  # of one user
MAX_TAGS_EACH: Final = 20  # of one conversation
MAX_TAG_NAME: Final = 40


class Folder(models.Model):
    """A folder of a user's list. No page, list or search of staff or other members reads it.

    `chat.conversations.folders` keeps the rules that concern several rows: how many there are, and how deep they nest.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="folders")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    name = models.CharField(max_length=MAX_FOLDER_NAME)
    position = models.PositiveIntegerField(default=0, help_text=_("Among the folders beside it."))
    # Conversations that begin in it get these; empty: the usual ones.
    instructions = models.CharField(max_length=MAX_FOLDER_INSTRUCTIONS, blank=True)
    model = models.CharField(max_length=200, blank=True)
    collections: models.ManyToManyField[models.Model, models.Model] = models.ManyToManyField(
        "Collection", related_name="folders"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"folder {self.pk} of {self.user_id}"


class Tag(models.Model):
    """A word that a user gives conversations of theirs. Names differ by more than upper and lower case."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tags", db_index=False)
    name = models.CharField(max_length=MAX_TAG_NAME)
    members: models.ManyToManyField[models.Model, models.Model] = models.ManyToManyField(
        "Member", related_name="tags", db_table="chat_member_tag"
    )

    class Meta:
        default_permissions = ()
        constraints: ClassVar = (models.UniqueConstraint("user", Lower("name"), name="tag_once"),)

    def __str__(self) -> str:
        return f"tag {self.pk} of {self.user_id}"
