"""Commands of operators, and the conversations that they are about."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from chat.models import Conversation, Member, Message, MessageRole, Role
from tests import forking
from tests.stack import Stack


def run(stack: Stack, *command: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of a `manage.py` command; with another environment where `env` has some."""
    if env is None:
        code, out, err = stack.commands.run(*command)
    else:
        done = forking.run(*command, env={**stack.env, **env})
        code, out, err = done.returncode, done.stdout, done.stderr
    return code, out if "--json" in command else out + err


def conversation(owner: User, *texts: str, title: str = "") -> Conversation:
    made = Conversation.objects.create(title=title)
    Member.objects.create(conversation=made, user=owner, role=Role.OWNER)
    parent = None
    for place, text in enumerate(texts):
        asked = place % 2 == 0
        parent = Message.objects.create(
            conversation=made,
            parent=parent,
            role=MessageRole.USER if asked else MessageRole.ASSISTANT,
            author=owner if asked else None,
            text=text,
        )
    made.tip = parent
    made.save()
    return made


def days_ago(days: float) -> Any:
    return timezone.now() - timedelta(days=days)
