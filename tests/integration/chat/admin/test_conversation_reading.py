"""A conversation as staff read it: one page, one entry in the audit log, and all that belongs to its messages."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, User
from chat.admin import conversation_reading
from chat.models import Attachment, Blob, Conversation, File, Member, Message, ModerationCase, Rating, Run
from tests.integration.chat.admin.staff_pages import page, viewer

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.fixture
def conversation(alice: User) -> Conversation:
    made = Conversation.objects.create(title="About bread", system_prompt="You are a baker.")
    Member.objects.create(conversation=made, user=alice, role="owner")
    question = Message.objects.create(conversation=made, role="user", author=alice, text="Which <b>flour</b>?")
    blob = Blob.objects.create(sha256="a" * 64, size=2048, media_type="text/csv", kind="table", path="x")
    file = File.objects.create(blob=blob, owner=alice, conversation=made, name="flours.csv")
    Attachment.objects.create(message=question, file=file, position=0)
    answer = Message.objects.create(conversation=made, parent=question, role="assistant", text="", status="failed")
    Run.objects.create(
        conversation=made, prompt=question, message=answer, requested_by=alice, model="m-1", status="failed",
        finished_at=timezone.now(), error_code="upstream_error", error_message="The model failed.",
        upstream_said="HTTP 503: overloaded", first_token_ms=1234, output_tokens=3, input_tokens=4, cost=Decimal("0.5"),
    )  # fmt: skip
    again = Message.objects.create(conversation=made, parent=question, role="assistant", text="Rye.")
    Rating.objects.create(message=again, user=alice, value=-1, note="Too dark", model="m-1")
    ModerationCase.objects.create(
        target="message", target_id=question.pk, conversation=made, person=alice, direction="asked", origin="report",
        action="flag", category="spam", original="withheld words",
    )  # fmt: skip
    return made


def path_of(conversation: Conversation) -> str:
    return f"chat/conversation/{conversation.pk}/read"


def test_one_page_has_all_and_is_one_entry(conversation: Conversation, alice: User) -> None:
    shown = page(viewer("read_message_body"), path_of(conversation))
    for fact in (
        "About bread", "You are a baker.", "Which &lt;b&gt;flour&lt;/b&gt;?", "flours.csv", "alice@example.org",
        "upstream_error", "HTTP 503: overloaded", "1\u202f234\u202fms", "Rye.", "Too dark", "Spam", "follows message 1",
    ):  # fmt: skip
        assert fact in shown, fact
    assert "withheld words" not in shown, "the original of a case has a permission of its own"
    [entry] = AuditEntry.objects.all()
    assert (entry.verb, entry.object_id, entry.conversation_id) == ("read_body", str(conversation.pk), conversation.pk)
    assert entry.subjects == [alice.pk]
    assert entry.details == "messages 1-3 of 3"


def test_not_without_the_permission(sam: Client, conversation: Conversation) -> None:
    assert sam.get(f"/admin/{path_of(conversation)}/").status_code == 403
    assert not AuditEntry.objects.filter(verb="read_body").exists()


def test_a_deleted_message_has_no_text(conversation: Conversation) -> None:
    Message.objects.filter(text="Rye.").update(text="", deleted_at=timezone.now())
    assert "The message was deleted." in page(viewer("read_message_body"), path_of(conversation))


def test_pages_and_the_one_with_a_message(conversation: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_reading, "SHOWN", 2)
    reader = viewer("read_message_body")
    third = Message.objects.get(text="Rye.")
    assert "Which" in page(reader, path_of(conversation))
    shown = page(reader, path_of(conversation), message=str(third.pk))
    assert "Rye." in shown
    assert "Which" not in shown
    assert "follows a message of an earlier page" in shown
    assert "Page 2 of 2" in shown
    assert "Rye." in page(reader, path_of(conversation), page="99"), "the last page"


def test_as_few_queries_for_many_messages(conversation: Conversation, alice: User) -> None:
    reader = viewer("read_message_body")

    def count() -> int:
        with CaptureQueriesContext(connection) as asked:
            page(reader, path_of(conversation))
        return len(asked)

    few = count()
    parent = Message.objects.get(text="Rye.")
    for number in range(20):
        at = timezone.now() + timedelta(seconds=number)
        parent = Message.objects.create(
            conversation=conversation, parent=parent, role="user", author=alice, text=f"Q{number}", created_at=at
        )
    assert count() == few


def test_the_users_page_links_everything_of_theirs(alice: User) -> None:
    shown = page(viewer("read_message_body"), f"accounts/user/{alice.pk}/change")
    for part in (
        "chat/conversation/?member=", "search-texts/?person=alice%40example.org", "chat/message/?author__exact=",
        "chat/run/?requested_by__exact=", "chat/file/?owner__exact=", "chat/rating/?user__exact=",
        "chat/recording/?user__exact=", "chat/sharelink/?created_by__exact=", "chat/toolcall/?q=alice%40example.org",
        "chat/moderationcase/?person=", "accounts/dailyusage/?user__exact=", "accounts/quota/?user__exact=",
    ):  # fmt: skip
        assert part in shown, part


def test_lists_by_member_and_of_the_trash(conversation: Conversation, alice: User, bob: User) -> None:
    staff = viewer()
    end = str(conversation.pk)[-8:]
    assert end in page(staff, "chat/conversation", member=str(alice.pk))
    assert end not in page(staff, "chat/conversation", member=str(bob.pk))
    assert end not in page(staff, "chat/conversation", trash="yes")
    Conversation.objects.update(deleted_at=timezone.now())
    assert end in page(staff, "chat/conversation", trash="yes")
