"""The admin's command palette: people by words, everything else by its id, each by permission."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from chat.models import Conversation, Message, Run
from tests.fixtures.people import staff_client
from tests.integration.chat.admin.staff_pages import viewer
from tests.integration.config.ops.operating import conversation

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


def find(client: Client, term: object) -> str:
    answer = client.get("/admin/search/", {"s": str(term), "extended": "1"})
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def run(alice: User) -> Run:
    conversation(alice, "Crocodile?", "Yes.")
    question, answer = Message.objects.order_by("created_at")
    return Run.objects.create(
        conversation=Conversation.objects.get(), prompt=question, message=answer, requested_by=alice, model="m-1",
        status="failed", finished_at=timezone.now(),
    )  # fmt: skip


def test_people_are_found_by_beginnings_of_words(alice: User, bob: User) -> None:
    shown = find(viewer(), "ali")
    assert f"/admin/accounts/user/{alice.pk}/change/" in shown
    assert str(bob.pk) not in shown
    assert f"/admin/accounts/user/{alice.pk}/change/" in find(Client_again(), alice.pk)


def Client_again() -> Client:  # noqa: N802  # a browser of the same Sam
    client = Client()
    client.force_login(User.objects.get(email="sam@example.org"))
    return client


def test_rows_are_found_by_their_ids(run: Run) -> None:
    staff = viewer()
    assert f"/admin/chat/run/{run.pk}/change/" in find(staff, run.pk)
    assert f"/admin/chat/conversation/{run.conversation_id}/change/" in find(staff, run.conversation_id)
    shown = find(staff, run.message_id)
    assert f"/admin/chat/message/{run.message_id}/change/" in shown
    assert f"/admin/chat/run/{run.pk}/change/" in shown, "an answer's id finds its run"
    assert f"/admin/chat/run/{run.pk}/change/" in find(staff, str(run.pk).upper())


def test_texts_are_not_searched(run: Run) -> None:
    assert "/change/" not in find(viewer("read_message_body"), "crocodile")


def test_only_what_one_may_see(run: Run, alice: User) -> None:
    staff = staff_client("view_run")
    assert "/admin/accounts/user/" not in find(staff, "alice")
    assert "/admin/chat/conversation/" not in find(staff, run.conversation_id)
    assert f"/admin/chat/run/{run.pk}/change/" in find(staff, run.pk)


def test_pages_are_found_as_before() -> None:
    assert "/admin/chat/run/" in find(viewer(), "runs")
