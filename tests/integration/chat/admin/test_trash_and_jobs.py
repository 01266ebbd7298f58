"""Staff restore a conversation from the trash, and see the periodic jobs."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, User
from chat.models import Conversation, PeriodicJob, Webhook
from tests.fixtures.people import staff_client
from tests.integration.config.ops.operating import conversation, days_ago

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def deleted(alice: User) -> Conversation:
    made = conversation(alice, "question", "answer")
    Conversation.objects.filter(pk=made.pk).update(deleted_at=timezone.now())
    return made


def is_deleted(row: Conversation) -> bool:
    return Conversation.objects.exclude(deleted_at=None).filter(pk=row.pk).exists()


def test_restoring_asks_why_and_is_recorded(deleted: Conversation, alice: User) -> None:
    root = staff_client(superuser=True)
    address = f"/admin/chat/conversation/{deleted.pk}/restore/"
    assert f'href="{address}"' in root.get(f"/admin/chat/conversation/{deleted.pk}/change/").content.decode()
    assert root.post(address).status_code == 200, "without a reason it asks again"
    assert is_deleted(deleted)
    assert root.post(address, {"reason": "deleted by mistake"}).status_code == 302
    assert not is_deleted(deleted)
    entry = AuditEntry.objects.get(verb="restore")
    assert (entry.reason, entry.subjects, entry.conversation_id) == ("deleted by mistake", [alice.pk], deleted.pk)
    assert root.post(address, {"reason": "again"}).status_code == 302, "nothing is left to do"
    assert AuditEntry.objects.filter(verb="restore").count() == 1


def test_restoring_needs_the_permission(deleted: Conversation) -> None:
    address = f"/admin/chat/conversation/{deleted.pk}/restore/"
    assert staff_client("view_conversation").post(address, {"reason": "x"}).status_code == 403
    assert is_deleted(deleted)


def test_the_periodic_jobs_are_shown_with_what_they_have_left() -> None:
    left = {"trash": {"rows": 92_000, "overdue_seconds": 86400.0}}
    PeriodicJob.objects.create(
        name="purge", published_at=days_ago(1), ended_at=days_ago(1), seconds=600, report={"left": left}
    )
    PeriodicJob.objects.create(name="seal-audit", published_at=timezone.now(), error="OperationalError")
    root = staff_client(superuser=True)
    page = root.get("/admin/chat/periodicjob/").content.decode()
    assert "92\u202f000 expired rows are left" in page
    assert "overdue since" in page
    assert "failed: OperationalError" in page
    assert "overdue_seconds" in root.get("/admin/chat/periodicjob/purge/change/").content.decode()


def test_jobs_that_have_nothing_to_do_are_said_to_be_not_set_up(settings: Any) -> None:
    """Without a mail server and webhooks they have no success to show."""
    settings.EMAIL_HOST, settings.EMAIL_BACKEND = "", "django.core.mail.backends.dummy.EmailBackend"
    for name in ("mail-mentions", "send-webhooks"):
        PeriodicJob.objects.create(name=name, published_at=timezone.now())
    root = staff_client(superuser=True)
    assert root.get("/admin/chat/periodicjob/").content.decode().count("not set up") == 2
    settings.EMAIL_HOST = "mail.example.org"
    Webhook.objects.create(name="Hook", url="https://example.org/", events=["user.created"])
    assert "not set up" not in root.get("/admin/chat/periodicjob/").content.decode()
