"""Requests of the API."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from accounts.models import ApiToken
from chat.models.messages import Message


class ApiRequest(models.Model):
    """What a program asked: the turns that the model gets in place of the branch that the message ends.

    The message has the same as one text, for people, rules and judges. A trigger of the database deletes this row when
    the text of the message is changed, so nothing that was withheld or edited reaches a model again.
    """

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="api_request")
    token = models.ForeignKey(ApiToken, null=True, on_delete=models.SET_NULL, related_name="+")
    # [role, text], or [role, text, ids of its images]; of calls, results and functions (`chat.protocol.functions`)
    # [role, text, [], [id of the call, name of the function]]. Oldest first, functions last.
    turns = models.JSONField()
    head = models.PositiveSmallIntegerField(default=0)  # how many of the first a following request does not inherit

    class Meta:
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return f"API request of message {self.message_id}"
