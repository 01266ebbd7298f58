"""Staff restore a conversation from the trash, and see the periodic jobs."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from celery import current_app
from django.utils import timezone

from accounts.lib.redis import sync_redis
from accounts.models import AuditEntry, User
from chat.jobs.queues import BrokerAway
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


def test_backups_are_due_by_their_own_rule(settings: Any) -> None:
    """A timer of the operator's makes them, not beat."""
    settings.BACKUP_DAYS = 2
    PeriodicJob.objects.create(name="backup", ended_at=days_ago(1))
    root = staff_client(superuser=True)
    page = root.get("/admin/chat/periodicjob/").content.decode()
    assert "by a timer of your own" in page
    assert "no longer scheduled" not in page
    assert "overdue since" not in page
    PeriodicJob.objects.update(ended_at=days_ago(3))
    assert "overdue since" in root.get("/admin/chat/periodicjob/").content.decode()
    page = root.get("/admin/chat/periodicjob/backup/change/").content.decode()
    assert "They cannot be started from here." in page
    assert "/admin/chat/periodicjob/backup/run/" not in page


def test_a_job_in_progress_says_so() -> None:
    PeriodicJob.objects.create(
        name="purge", published_at=timezone.now(), started_at=timezone.now(), ended_at=days_ago(1)
    )
    page = staff_client(superuser=True).get("/admin/chat/periodicjob/").content.decode()
    assert "in progress since" in page
    assert "succeeded" not in page


def test_a_job_is_run_now_and_recorded() -> None:
    before = timezone.now()
    PeriodicJob.objects.create(name="purge", published_at=before)
    root = staff_client(superuser=True)
    address = "/admin/chat/periodicjob/purge/run/"
    assert f'action="{address}"' in root.get("/admin/chat/periodicjob/purge/change/").content.decode()
    assert root.get(address).status_code == 405
    answer = root.post(address, follow=True).content.decode()
    assert "was handed to a worker" in answer
    [job] = cast("list[bytes]", sync_redis().lrange("maintenance", 0, -1))
    assert json.loads(job)["headers"]["task"] == "workers.maintenance.purge"
    assert AuditEntry.objects.get(verb="run_job").object_id == "purge"
    assert PeriodicJob.objects.get().published_at == before, "its schedule stays as it is"
    form = {"action": "run_selected", "_selected_action": ["purge"]}
    assert "was handed to a worker" in root.post("/admin/chat/periodicjob/", form, follow=True).content.decode()
    assert sync_redis().llen("maintenance") == 2


def test_what_cannot_be_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("purge", "backup"):
        PeriodicJob.objects.create(name=name)
    root = staff_client(superuser=True)
    answer = root.post("/admin/chat/periodicjob/backup/run/", follow=True).content.decode()
    assert "is not scheduled here" in answer
    assert not AuditEntry.objects.filter(verb="run_job").exists()

    def away(*_: Any, **__: Any) -> None:
        raise BrokerAway("gone")

    monkeypatch.setattr(current_app, "send_task", away)
    answer = root.post("/admin/chat/periodicjob/purge/run/", follow=True).content.decode()
    assert "the broker cannot be reached" in answer


def test_running_a_job_needs_the_permission() -> None:
    PeriodicJob.objects.create(name="purge")
    reader = staff_client("view_periodicjob")
    assert reader.post("/admin/chat/periodicjob/purge/run/").status_code == 403
    assert "/purge/run/" not in reader.get("/admin/chat/periodicjob/purge/change/").content.decode()
    assert not AuditEntry.objects.filter(verb="run_job").exists()
