"""How far people have read, and the marks of their lists."""

from __future__ import annotations

import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts.models import User
from chat.conversations.listing import read_listing
from chat.models import Conversation, Member, Message, Role, Run
from chat.notifications.marks import Mark, read_marks
from chat.notifications.positions import MOST_ANNOUNCED, MOST_UNREAD, move_position
from chat.protocol.errors import NotFound
from tests.fixtures.conversation_rows import make_conversation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    """Four messages that Alice and a model wrote; Bob is an editor. Nobody has read anything."""
    conversation = make_conversation(alice, 4)
    Member.objects.create(conversation=conversation, user=bob, role=Role.EDITOR)
    Member.objects.update(seen_until=timezone.now() - timedelta(days=1))
    return conversation


def messages(conversation: Conversation) -> list[Message]:
    return list(Message.objects.filter(conversation=conversation).order_by("created_at"))


def position(conversation: Conversation, user: User) -> uuid.UUID | None:
    return Member.objects.values_list("seen_message_id", flat=True).get(conversation=conversation, user=user)


def unread(conversation: Conversation, user: User) -> int:
    return read_marks([conversation.pk])[conversation.pk, user.pk].unread


def test_a_position_goes_forward_and_counts_what_is_left(shared: Conversation, alice: User, bob: User) -> None:
    first, second, *_, last = messages(shared)
    assert (unread(shared, alice), unread(shared, bob)) == (2, 4), "one's own messages are no news"
    moved = move_position(bob.pk, shared.pk, second.pk)
    assert moved is not None
    assert (moved.unread, moved.announced) == (2, True)
    assert move_position(bob.pk, shared.pk, first.pk) is None, "backwards"
    assert move_position(bob.pk, shared.pk, second.pk) is None, "again"
    assert position(shared, bob) == second.pk
    done = move_position(bob.pk, shared.pk, last.pk)
    assert done is not None
    assert done.unread == 0
    assert position(shared, alice) is None


def test_of_another_conversation_or_of_no_member(shared: Conversation, alice: User, bob: User, mallory: User) -> None:
    theirs = messages(make_conversation(mallory))[0]
    for message in (theirs.pk, uuid.uuid4()):
        with pytest.raises(NotFound):
            move_position(bob.pk, shared.pk, message)
    with pytest.raises(NotFound):
        move_position(mallory.pk, shared.pk, messages(shared)[0].pk)
    with pytest.raises(NotFound):
        move_position(bob.pk, theirs.conversation_id, theirs.pk)
    assert position(shared, bob) is None


def test_the_past_is_no_news_for_who_joins(shared: Conversation, mallory: User) -> None:
    Member.objects.create(conversation=shared, user=mallory, role=Role.VIEWER)
    assert unread(shared, mallory) == 0
    moved = move_position(mallory.pk, shared.pk, messages(shared)[-1].pk)
    assert moved is not None, "where they are is known from the first look on"
    assert position(shared, mallory) == messages(shared)[-1].pk


def test_the_others_of_a_large_conversation_are_not_told(shared: Conversation, alice: User, bob: User) -> None:
    crowd = User.objects.bulk_create(User(email=f"p{n}@example.org") for n in range(198))
    Member.objects.bulk_create(Member(conversation=shared, user=user, role=Role.VIEWER) for user in crowd)
    moved = move_position(bob.pk, shared.pk, messages(shared)[0].pk)
    assert moved is not None
    assert not moved.announced
    assert len(read_marks([shared.pk])) == 200 > MOST_ANNOUNCED
    Member.objects.exclude(user=bob).delete()
    moved = move_position(bob.pk, shared.pk, messages(shared)[1].pk)
    assert moved is not None
    assert not moved.announced, "alone"


def test_counting_stops(shared: Conversation, bob: User) -> None:
    now = timezone.now()
    Message.objects.bulk_create(
        Message(conversation=shared, role="assistant", text="x", created_at=now + timedelta(milliseconds=n))
        for n in range(MOST_UNREAD + 20)
    )
    assert unread(shared, bob) == MOST_UNREAD


class TestMarks:
    def run(self, conversation: Conversation, status: str, user: User, **fields: object) -> Run:
        *_, prompt, answer = messages(conversation)
        message_status = {"done": "complete", "waiting": "pending", "queued": "pending", "running": "streaming"}
        Message.objects.filter(pk=answer.pk).update(status=message_status.get(status, status))
        if status == "running":
            fields |= {"lease_expires_at": timezone.now(), "attempt": 1}
        if status not in ("waiting", "queued", "running"):
            fields["finished_at"] = timezone.now()
        fields |= {"requested_by": user, "model": "m", "status": status}
        return Run.objects.create(conversation=conversation, prompt=prompt, message=answer, **fields)

    @pytest.mark.parametrize(
        ("status", "fields", "mark"),
        [
            ("running", {}, Mark(3, running=True)),
            ("queued", {}, Mark(3, running=True)),
            ("waiting", {"waiting_for": "moderation"}, Mark(3, waiting="moderation")),
            ("waiting", {"waiting_for": "approval"}, Mark(3, waiting="approval", decides=True)),
            ("failed", {}, Mark(4, failed=True)),
            ("interrupted", {}, Mark(4, failed=True)),
            ("done", {}, Mark(4)),
        ],
    )
    def test_of_an_answer(
        self, shared: Conversation, alice: User, bob: User, status: str, fields: dict[str, object], mark: Mark
    ) -> None:
        self.run(shared, status, alice, **fields)
        assert read_marks([shared.pk], bob.pk) == {(shared.pk, bob.pk): mark}

    def test_a_viewer_does_not_decide(self, shared: Conversation, alice: User, bob: User) -> None:
        Member.objects.filter(user=bob).update(role="viewer")
        self.run(shared, "waiting", alice, waiting_for="approval")
        [mark] = read_marks([shared.pk], bob.pk).values()
        assert (mark.waiting, mark.decides, mark.frame(shared.pk)["decides"]) == ("approval", False, False)

    def test_a_failure_that_was_seen_is_no_mark(self, shared: Conversation, alice: User) -> None:
        self.run(shared, "failed", alice)
        move_position(alice.pk, shared.pk, messages(shared)[-1].pk)
        assert read_marks([shared.pk], alice.pk) == {(shared.pk, alice.pk): Mark()}

    def test_the_list_has_them(self, shared: Conversation, bob: User) -> None:
        [group] = read_listing(bob.pk, zone=ZoneInfo("UTC")).groups
        assert [(item.id, item.mark.unread) for item in group.items] == [(shared.pk, 4)]
        Conversation.objects.update(pinned_at=timezone.now())
        [pinned] = read_listing(bob.pk, zone=ZoneInfo("UTC")).groups
        assert [item.mark.unread for item in pinned.items] == [4]
