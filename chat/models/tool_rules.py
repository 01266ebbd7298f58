"""Which tools there are, and who may use and allow them: what staff and people decided."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chat.models.conversations import Conversation
from chat.models.tools import Approval, ToolEffect


class KnownTool(models.Model):
    """A tool that exists: one of our own, or one that a tool server lists. Workers write it, pages and staff read it.

    `gone_at`: its server does not list it any more, or this version has it no more.
    """

    server = models.CharField(
        max_length=64, blank=True, help_text=_("The short name of its tool server. Empty: a built-in tool.")
    )
    name = models.CharField(max_length=128, help_text=_("The name that models use, without the server."))
    upstream_name = models.CharField(max_length=500, blank=True, help_text=_("The name that its server uses."))
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    recipe = models.JSONField(default=dict, blank=True, editable=False, help_text=_("How its server is called."))
    effect = models.CharField(max_length=6, choices=ToolEffect.choices, default=ToolEffect.WRITES)
    approval = models.CharField(max_length=6, choices=Approval.choices, default=Approval.ASK)
    outside = models.BooleanField(default=True, help_text=_("Its results are external content."))
    enabled = models.BooleanField(default=True, help_text=_("If off, nobody can use it."))
    by_default = models.BooleanField(
        default=True, help_text=_("Enabled in conversations whose members chose no tools.")
    )
    decided = models.BooleanField(
        default=False,
        editable=False,
        help_text=_("Staff set its effect or approval, which its server does not change."),
    )
    changed_at = models.DateTimeField(
        null=True, blank=True, editable=False,
        help_text=_("When its server changed it. It is off until staff review the change."),
    )  # fmt: skip
    earlier = models.JSONField(null=True, blank=True, editable=False, help_text=_("Its definition before the change."))
    seen_at = models.DateTimeField(default=timezone.now, editable=False)
    gone_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        constraints: ClassVar = (models.UniqueConstraint(fields=["server", "name"], name="known_tool_once"),)

    def __str__(self) -> str:
        return f"{self.server}/{self.name}" if self.server else self.name


class ToolApproval(models.Model):
    """A decision of a person that is remembered: about one tool, in one conversation or (none) in all of theirs."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tool_approvals")
    conversation = models.ForeignKey(
        Conversation, null=True, blank=True, on_delete=models.CASCADE, related_name="tool_approvals"
    )
    server = models.CharField(max_length=64, blank=True)
    tool = models.CharField(max_length=128)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = (
            models.UniqueConstraint(
                fields=["user", "conversation", "server", "tool"], nulls_distinct=False, name="tool_approval_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.server}/{self.tool}" if self.server else self.tool


class ToolPolicy(models.Model):
    """What staff decided about tools. The most specific applies: tool before server before all, group before everybody.

    Of several groups' policies the strictest applies. `off`: the tool is not offered.
    """

    class Rule(models.TextChoices):
        NEVER = "never", _("Never ask")
        ASK = "ask", _("Ask unless permanently allowed")
        ALWAYS = "always", _("Ask each time")
        OFF = "off", _("Not offered")

    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.CASCADE, related_name="tool_policies",
        help_text=_("The group that the policy applies to. Empty: everyone."),
    )  # fmt: skip
    server = models.CharField(
        max_length=64, blank=True, help_text=_("The short name of a tool server. Empty: built-in tools.")
    )
    tool = models.CharField(max_length=128, blank=True, help_text=_("The name of a tool. Empty: all tools."))
    rule = models.CharField(max_length=6, choices=Rule.choices, default=Rule.ASK)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = _("tool policies")
        constraints: ClassVar = (
            models.UniqueConstraint(fields=["group", "server", "tool"], nulls_distinct=False, name="tool_policy_once"),
        )

    def __str__(self) -> str:
        server, tool = self.server or gettext("built-in tools"), self.tool or gettext("all")
        return f"{server} / {tool}: {self.get_rule_display()}"


class ToolSwitch(models.Model):
    """The one row that stops all tools at once: no call begins while `stopped` is true."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    stopped = models.BooleanField(default=False)
    reason = models.CharField(max_length=200, blank=True, help_text=_("Shown to users."))
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = (models.CheckConstraint(condition=Q(id=1), name="tool_switch_only_one"),)

    def __str__(self) -> str:
        return gettext("Stopped") if self.stopped else gettext("On")

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.id = 1
        super().save(*args, **kwargs)
