"""Messages that wait, in the admin: who sees the text, and that a removal is recorded and published."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import AuditEntry, User
from chat.models import Conversation, Member, QueuedMessage
from tests.conftest import make_user
from tests.fixtures.people import staff_client
from tests.fixtures.waiting_rows import waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def one(alice: User) -> QueuedMessage:
    conversation = Conversation.objects.create(title="x")
    Member.objects.create(conversation=conversation, user=alice, role="owner")
    return waiting(alice, conversation, "something private", reason="quota_exceeded", sentence="Your quota is used up.")


def client_with(*names: str) -> Client:
    person = make_user("Sam")
    person.is_staff = True
    person.save()
    person.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(person)
    return client


def page_of(row_id: uuid.UUID, action: str = "change") -> str:
    return f"/admin/chat/queuedmessage/{row_id}/{action}/"


def test_the_text_needs_its_own_permission(one: QueuedMessage) -> None:
    without = client_with("view_queuedmessage")
    shown = without.get(page_of(one.pk)).content.decode()
    assert "Your quota is used up." in shown
    assert "something private" not in shown
    assert without.post(page_of(one.pk, "delete"), {"post": "yes"}).status_code == 403
    assert not AuditEntry.objects.filter(verb="read_body").exists()


def test_a_removal_is_recorded(one: QueuedMessage) -> None:
    staff = staff_client(superuser=True)
    assert "something private" in staff.get(page_of(one.pk)).content.decode()
    assert staff.post(page_of(one.pk, "delete"), {"post": "yes"}).status_code == 302
    entry = AuditEntry.objects.get(verb="remove_queued_message")
    assert (entry.object_id, entry.conversation_id) == (str(one.pk), one.conversation_id)
    one.refresh_from_db()
    assert (one.state, one.text, one.logged) == ("removed", "", one.revision), "open pages were told"
    staff.get("/admin/chat/queuedmessage/")  # says that it was removed
    assert str(one.pk) not in staff.get("/admin/chat/queuedmessage/").content.decode()
