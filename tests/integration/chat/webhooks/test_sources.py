"""What is recorded for webhooks: with what happened, once, and only where one wants it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from accounts.models import User
from chat.models import RunStatus, Webhook, WebhookDelivery, WebhookEvent
from chat.webhooks import record
from tests.conftest import make_user
from tests.fixtures.cases import make_case
from tests.fixtures.quota_rows import end, give, send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def unknown() -> None:
    record.forget_wanted()


def listen(*events: WebhookEvent, **fields: Any) -> Webhook:
    row = Webhook(name=",".join(events), url="https://crm.example.org/", events=[one.value for one in events], **fields)
    row.new_secret()
    row.save()
    return row


def recorded() -> list[str]:
    return list(WebhookDelivery.objects.order_by("pk").values_list("event", flat=True))


def test_nothing_is_recorded_that_nobody_wants(alice: User) -> None:
    listen(WebhookEvent.CASE_OPENED)
    listen(WebhookEvent.ANSWER_FINISHED, enabled=False)
    end(send(alice).run_id)
    make_user("Newcomer")
    assert recorded() == []


@pytest.mark.parametrize("status", [RunStatus.DONE, RunStatus.STOPPED, RunStatus.FAILED])
def test_answers_that_end(alice: User, status: RunStatus) -> None:
    listen(WebhookEvent.ANSWER_FINISHED)
    accepted = send(alice)
    assert recorded() == []
    end(accepted.run_id, status=status)
    row = WebhookDelivery.objects.get()
    assert (row.data["status"], row.data["user_id"]) == (status.value, str(alice.pk))


def test_a_quota_is_reached_once(alice: User, bob: User) -> None:
    listen(WebhookEvent.QUOTA_REACHED)
    give(alice, 2)
    give(bob, 1)
    end(send(alice).run_id)
    assert recorded() == []
    end(send(alice).run_id)
    end(send(bob).run_id)
    rows = WebhookDelivery.objects.order_by("pk")
    assert [row.data["user_id"] for row in rows] == [str(alice.pk), str(bob.pk)]
    assert (rows[0].data["quota"]["limit"], rows[0].data["quota"]["left"]) == (2, 0)


def test_users_and_cases(alice: User) -> None:
    listen(WebhookEvent.USER_CREATED, WebhookEvent.CASE_OPENED)
    newcomer = make_user("Newcomer")
    newcomer.save()
    case = make_case(alice)
    case.save()
    assert recorded() == ["user.created", "case.opened"]
    said = [row.data for row in WebhookDelivery.objects.order_by("pk")]
    assert said[0] == {"user_id": str(newcomer.pk), "is_active": True}
    assert (said[1]["case_id"], said[1]["user_id"]) == (str(case.pk), str(alice.pk))
    assert case.original
    assert case.original not in str(said)


def test_what_is_rolled_back_was_not(alice: User) -> None:
    listen(WebhookEvent.ANSWER_FINISHED)
    accepted = send(alice)
    with transaction.atomic():
        end(accepted.run_id)
        assert recorded() == ["answer.finished"]
        transaction.set_rollback(True)
    assert recorded() == []
