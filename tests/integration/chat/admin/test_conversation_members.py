"""Staff change the members of a conversation and revoke its links; each is in the audit log."""

from __future__ import annotations

import pytest

from accounts.models import AuditEntry, User
from chat.conversations.join_links import create_link, find_link
from chat.conversations.members import members_of
from chat.models import Conversation
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return make_conversation(alice)


def roles(conversation: Conversation) -> dict[str, str]:
    return {member.user.name: member.role for member in members_of(conversation.pk)}


def test_added_changed_and_removed(conversation: Conversation, bob: User) -> None:
    staff = staff_client("view_conversation", "change_member")
    url = f"/admin/chat/conversation/{conversation.pk}/members/"
    for role, then in (("viewer", "viewer"), ("owner", "owner"), ("remove", None)):
        answer = staff.post(url, {"email": "Bob@example.org", "role": role})
        assert answer.status_code == 302, answer.content.decode()
        assert roles(conversation).get("Bob") == then
        entry = AuditEntry.objects.latest("pk")
        assert (entry.verb, entry.object_id, entry.details) == ("change_member", str(bob.pk), role)
        assert entry.conversation_id == conversation.pk


@pytest.mark.parametrize(
    ("email", "role", "words"),
    [("alice@example.org", "remove", "needs an owner"), ("alice@example.org", "viewer", "needs an owner"),
     ("bob@example.org", "remove", "no longer a member"), ("nobody@example.org", "editor", "Nobody with this address")],
)  # fmt: skip
def test_refused_with_a_reason(conversation: Conversation, bob: User, email: str, role: str, words: str) -> None:
    staff = staff_client("view_conversation", "change_member")
    answer = staff.post(f"/admin/chat/conversation/{conversation.pk}/members/", {"email": email, "role": role})
    assert words in answer.content.decode()
    assert roles(conversation) == {"Alice": "owner"}


def test_links_are_listed_and_revoked(conversation: Conversation, alice: User) -> None:
    link, secret = create_link(alice.pk, conversation.pk, role="viewer", days=7, most_uses=3)
    staff = staff_client("view_conversation", "change_member")
    url = f"/admin/chat/conversation/{conversation.pk}/members/"
    page = staff.get(url).content.decode()
    assert "used 0 of 3" in page
    assert secret not in page
    assert staff.post(url, {"revoke": str(link.pk)}).status_code == 302
    assert find_link(secret) is None
    assert AuditEntry.objects.latest("pk").verb == "revoke_join_link"


def test_only_with_the_permission(conversation: Conversation, bob: User) -> None:
    url = f"/admin/chat/conversation/{conversation.pk}/members/"
    reader = staff_client("view_conversation")
    assert 'name="email"' not in reader.get(url).content.decode()
    assert reader.post(url, {"email": bob.email, "role": "viewer"}).status_code == 403
    assert roles(conversation) == {"Alice": "owner"}


def test_not_at_all_without_seeing_conversations(conversation: Conversation) -> None:
    assert staff_client("view_run").get(f"/admin/chat/conversation/{conversation.pk}/members/").status_code == 403
