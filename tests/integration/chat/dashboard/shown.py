"""Runs of the dashboard's tests, and what the dashboard shows of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.quotas.settlement import Used, settle_run
from chat.models import Conversation, Message, Run


def make_run(owner: User, ago: float = 60, status: str = "done", used: Used | None = None, **facts: Any) -> Run:
    """A run begun `ago` seconds ago."""
    conversation = Conversation.objects.create()
    question = Message.objects.create(conversation=conversation, role="user", author=owner)
    answer = Message.objects.create(conversation=conversation, parent=question, role="assistant")
    at = timezone.now() - timedelta(seconds=ago)
    ended: dict[str, Any] = {} if status in ("queued", "running") else {"finished_at": at}
    if status == "running":
        ended = {"lease_expires_at": timezone.now() + timedelta(hours=1), "attempt": 1}
    run = Run.objects.create(
        conversation=conversation, prompt=question, message=answer, requested_by=owner, created_at=at, status=status,
        enqueued_at=at, **{"model": "m-1", "attempt": 1, **facts, **ended},
    )  # fmt: skip
    if used is not None:
        settle_run(owner.pk, run.pk, at, used)
    return run


def show(client: Client, **query: str) -> str:
    response = client.get("/admin/", query)
    assert response.status_code == 200
    return response.content.decode()
