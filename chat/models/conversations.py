"""Conversations and their members."""

from __future__ import annotations

from typing import ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib.ids import uuid7
from chat.models.statuses import Effort

TITLE_LENGTH: Final = 60


def title_from(text: str) -> str:
    """A conversation's first title: the start of its first message, cut between words."""
    line = " ".join(text.split())
    if len(line) <= TITLE_LENGTH:
        return line
    return line[:TITLE_LENGTH].rsplit(" ", 1)[0].rstrip(" ,.;:") + "…"


class Answers(models.TextChoices):
    """Which messages of people a model answers, unless a message itself says."""

    ALWAYS = "always", _("every message")
    MENTIONED = "mentioned", _("messages that mention it")


class Conversation(models.Model):
    """A tree of messages by its members and a model.

    Every rule that one row or one unique index can hold is a constraint. `chat.turns` keeps the others, which concern
    several rows, in one transaction.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    title = models.CharField(max_length=200, blank=True)
    written_title = models.CharField(
        max_length=200, blank=True, default="", db_default="", editable=False,
        help_text=_(
            "The title that a model generated from the first question and answer. Removed when these are "
            "withheld."
        ),
    )  # fmt: skip
    model = models.CharField(
        max_length=200, blank=True, help_text=_("The model for the next answer. Empty: the server default.")
    )
    # These four apply from the next answer on. Empty: the default of the site or the model.
    system_prompt = models.TextField(blank=True)
    preset = models.ForeignKey(
        "Preset", null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_index=False,
        help_text=_("The preset that the conversation started with. Its values were copied."),
    )  # fmt: skip
    temperature = models.FloatField(null=True, blank=True)
    max_tokens = models.PositiveIntegerField(_("max output tokens"), null=True, blank=True, help_text=_("Per answer."))
    effort = models.CharField(
        max_length=6, choices=Effort.choices, blank=True, default="", db_default="",
        help_text=_("How much the model should think. Empty: the model's default."),
    )  # fmt: skip
    answers = models.CharField(
        max_length=9, choices=Answers.choices, blank=True, default="", db_default="",
        help_text=_("Which messages the model answers. Empty: all messages if there is one member, else those that "
        "mention it."),
    )  # fmt: skip
    tools = models.JSONField(
        null=True, blank=True, editable=False,
        help_text=_("Names of the tools that models may call here. Empty: those that are on by default."),
    )  # fmt: skip
    web_search = models.BooleanField(default=False, db_default=False, help_text=_("Models may search the web."))
    tool_approval = models.CharField(
        max_length=6, blank=True, default="", db_default="",
        choices=[("ask", _("Ask")), ("always", _("Ask each time"))],
        help_text=_("Asks more often than the policies require. Empty: as the policies require."),
    )  # fmt: skip
    # `steps`, `seconds`, `tokens`, `cost`: lower limits of an answer with tools than the plan's.
    tool_limits = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), editable=False)
    outside_content_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("When external content first entered its context.")
    )
    collections: models.ManyToManyField[models.Model, models.Model] = models.ManyToManyField(
        "Collection", blank=True, editable=False, related_name="conversations"
    )
    members: models.ManyToManyField[models.Model, Member] = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Member", related_name="conversations"
    )
    tip = models.ForeignKey(
        "Message", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text=_("The newest message. A message sent without a parent is added below it."),
    )  # fmt: skip
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, db_index=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    pinned_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("Pinned conversations are listed first and never deleted because of their age."),
    )
    # The default is the database's, because turns insert rows without this column.
    temporary = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_("Not listed, and deleted after some hours. Set when the conversation starts."),
    )

    class Meta:
        indexes: ClassVar = (
            models.Index(fields=["preset"], condition=Q(preset__isnull=False), name="conversation_preset"),
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="conversation_trash"),
            models.Index(fields=["updated_at"], condition=Q(temporary=True), name="conversation_temporary"),
        )
        constraints: ClassVar = (
            models.CheckConstraint(
                condition=Q(temporary=False) | Q(pinned_at=None), name="conversation_temporary_or_pinned"
            ),
            models.CheckConstraint(
                condition=Q(temperature=None) | Q(temperature__range=(0, 2)), name="conversation_temperature_sane"
            ),
            models.CheckConstraint(
                condition=Q(max_tokens=None) | Q(max_tokens__gte=1), name="conversation_tokens_sane"
            ),
            models.CheckConstraint(condition=Q(effort__in=["", *Effort.values]), name="conversation_effort_known"),
            models.CheckConstraint(condition=Q(answers__in=["", *Answers.values]), name="conversation_answers_known"),
        )

    def __str__(self) -> str:
        # Titles are made from messages, so only staff who may read messages see them in the admin.
        return gettext("Conversation %(id)s") % {"id": self.id}

    @property
    def rule(self) -> str:
        """Which messages the model answers (`Answers`). One query, unless it was chosen."""
        return self.answers or usual_rule(Member.objects.filter(conversation=self).count())


def usual_rule(members: int) -> str:
    """Which messages the model answers in a conversation of so many people, unless they chose."""
    return Answers.ALWAYS.value if members < 2 else Answers.MENTIONED.value


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    EDITOR = "editor", _("Editor")
    VIEWER = "viewer", _("Viewer")


class Member(models.Model):
    """A user's membership of a conversation. Owners may do everything, editors write, viewers read."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships",
        db_index=False,  # `member_once` begins with it
    )  # fmt: skip
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.EDITOR)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)
    tip = models.ForeignKey(
        "Message", null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+", db_index=False,
        help_text=_("The last message of the branch that this member views. Empty: the newest message."),
    )  # fmt: skip
    # How far they have read (`chat.notifications.positions`). No foreign key: a purged message leaves the time.
    seen_message_id = models.UUIDField(null=True, editable=False)
    seen_until = models.DateTimeField(db_default=Now(), editable=False)
    # How this member keeps the conversation in their own list (`chat.conversations.organising`). Nobody else sees it.
    folder = models.ForeignKey(
        "Folder", null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="memberships",
        db_index=False,
    )  # fmt: skip
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    marked_unread = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        indexes: ClassVar = (
            models.Index(fields=["tip"], condition=Q(tip__isnull=False), name="member_branch"),
            models.Index(fields=["folder"], condition=Q(folder__isnull=False), name="member_folder"),
            models.Index(fields=["user"], condition=Q(archived_at__isnull=False), name="member_archived"),
        )
        constraints = (
            models.UniqueConstraint(fields=["user", "conversation"], name="member_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_role_known"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.conversation_id}"
