"""What members of a conversation share: mentions, the rule, quotas, and messages that wait for a reviewer."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import Quota, User
from accounts.quotas import sharers
from chat.conversations.members import leave
from chat.models import (
    Conversation,
    Member,
    Mention,
    Message,
    ModerationCase,
    Role,
)  # fmt: skip
from chat.protocol.errors import Forbidden, Invalid, Moderated, NotFound, QuotaExceeded, RateLimited
from chat.turns import mentioning
from chat.turns.releasing import release_held
from tests.conftest import make_user
from tests.fixtures.asking import claimed, logged, send, share
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.people import logged_in
from tests.fixtures.quota_rows import end, give
from tests.fixtures.run_rows import say

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "one_model")]


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    """A conversation of Alice and Bob, an editor; the model has answered Alice's first message."""
    return share(alice, bob)


class TestRights:
    def test_viewers_and_strangers_write_nothing(self, shared: Conversation, bob: User, mallory: User) -> None:
        Member.objects.filter(user=bob).update(role=Role.VIEWER)
        with pytest.raises(Forbidden):
            send(bob, "@model hi", shared)
        with pytest.raises(Forbidden):
            send(bob, "hi", shared)
        with pytest.raises(NotFound):
            send(mallory, "hi", shared)

    def test_asking_a_model_that_is_not_allowed(self, shared: Conversation, bob: User) -> None:
        with pytest.raises(Invalid):
            send(bob, "hi", shared, ask=True, model="not offered")
        assert send(bob, "hi", shared, ask=False, model="not offered").asked_run_id is None, "nobody is asked"

    def test_a_note_needs_neither_a_quota_nor_room_for_an_answer(
        self, shared: Conversation, bob: User, settings: Any
    ) -> None:
        give(bob, 1)
        settings.RATE_RUNS_PER_USER = 1
        say(bob, "Elsewhere")
        with pytest.raises((QuotaExceeded, RateLimited)):
            send(bob, "@model", shared)
        assert send(bob, "A note", shared).asked_run_id is None


class TestMentions:
    def test_stored_with_the_message_and_for_whom_it_mentions(
        self, shared: Conversation, alice: User, bob: User
    ) -> None:
        accepted = send(bob, "@Alice and @Bob, look", shared)
        assert list(accepted.mentioned) == [alice.pk], "nobody mentions themselves"
        assert [one["user"] for one in Message.objects.get(pk=accepted.message_id).mentions] == [
            str(alice.pk), str(bob.pk)
        ]  # fmt: skip
        assert list(mentioning.mentioned_in(alice.pk)) == [shared.pk]
        mentioning.note_seen(alice.pk, shared.pk)
        assert list(mentioning.mentioned_in(alice.pk)) == []
        assert Mention.objects.get().by == bob

    def test_in_a_message_that_asks(self, shared: Conversation, alice: User, bob: User) -> None:
        accepted = send(bob, "@model, what does @Alice mean?", shared)
        assert accepted.asked_run_id is not None
        assert list(accepted.mentioned) == [alice.pk]

    @pytest.mark.parametrize("change", ["left", "disabled", "to be erased"])
    def test_nobody_who_is_not_there(self, shared: Conversation, alice: User, bob: User, change: str) -> None:
        if change == "left":
            Member.objects.filter(user=alice).delete()
        else:
            gone = {"is_active": False} if change == "disabled" else {"erase_at": timezone.now()}
            User.objects.filter(pk=alice.pk).update(**gone)
        accepted = send(bob, "@Alice?", shared, ask=False)
        assert not accepted.mentioned
        assert Message.objects.get(pk=accepted.message_id).mentions == []

    def test_no_more_than_20_people_by_one_message(self, shared: Conversation, bob: User) -> None:
        crowd = [make_user(f"Person{n}") for n in range(21)]
        Member.objects.bulk_create(Member(conversation=shared, user=one, role=Role.VIEWER) for one in crowd)
        text = " ".join(f"@{one.name}" for one in crowd)
        with pytest.raises(Invalid, match="at most 20 people"):
            send(bob, text, shared)
        assert len(send(bob, text.rpartition(" ")[0], shared).mentioned) == 20

    def test_a_flood_tells_nobody(self, shared: Conversation, bob: User, settings: Any) -> None:
        settings.MENTIONS_PER_HOUR = 2
        assert [send(bob, "@Alice!", shared).unnotified for _ in range(4)] == [False, False, True, True]
        assert Mention.objects.count() == 2
        Mention.objects.update(created_at=timezone.now() - timedelta(hours=2))
        assert not send(bob, "@Alice!", shared).unnotified

    def test_of_200_members(self, shared: Conversation, bob: User) -> None:
        crowd = User.objects.bulk_create(User(email=f"p{n}@example.org", name=f"Zoë Q {n}") for n in range(198))
        Member.objects.bulk_create(Member(conversation=shared, user=user, role=Role.VIEWER) for user in crowd)
        assert list(send(bob, "@zoe q 197 and @Zoe Q 1", shared).mentioned) == [crowd[197].pk, crowd[1].pk]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_rules")
class TestModeration:
    def test_a_held_note_is_in_nobody_s_way_and_mentions_once_released(
        self, shared: Conversation, alice: User, bob: User
    ) -> None:
        add_rule("hold", "badger")
        note = send(bob, "@Alice a badger!", shared)
        held = Message.objects.get(pk=note.message_id)
        assert (held.text, held.mentions, note.mentioned) == ("", [], ())
        asked = send(alice, "@model go", shared)
        assert claimed(asked).path[-2:] == [("assistant", "Yes"), ("user", "@model go")], "without what is withheld"
        released = release_held(ModerationCase.objects.get().pk)
        assert released.changed
        held.refresh_from_db()
        assert held.text == "@Alice a badger!"
        assert held.mentions == [{"start": 0, "length": 6, "user": str(alice.pk)}]
        assert list(mentioning.mentioned_in(alice.pk)) == [shared.pk]

    def test_a_refused_note_is_not_stored(self, shared: Conversation, bob: User) -> None:
        add_rule("block", "badger")
        with pytest.raises(Moderated):
            send(bob, "a badger", shared)
        assert Message.objects.filter(author=bob).count() == 0


class TestOverHttp:
    def test_members_who_write_choose_the_rule(self, shared: Conversation, alice: User, bob: User) -> None:
        url = f"/c/{shared.pk}/answers/"
        usual = {"answers": "mentioned", "chosen": None, "usual": "mentioned", "may_change": True}
        assert logged_in(bob).get(url).json() == usual
        assert logged_in(bob).post(url, {"answers": "always"}).json()["answers"] == "always"
        event = logged(shared)[-1]
        assert (event["type"], event["answers"]) == ("conversation.updated", "always")
        assert logged_in(alice).post(url, {"answers": ""}).json() == usual
        assert logged_in(alice).post(url, {"answers": "never"}).status_code == 400
        Member.objects.filter(user=bob).update(role=Role.VIEWER)
        assert logged_in(bob).post(url, {"answers": "always"}).json()["code"] == "forbidden"
        assert logged_in(bob).get(url).json()["may_change"] is False

    def test_the_usual_rule_changes_with_the_members(self, shared: Conversation, bob: User) -> None:
        assert shared.rule == "mentioned"
        leave(bob.pk, shared.pk)
        assert shared.rule == "always"
        assert logged(shared)[-1]["answers"] == "always"

    def test_a_mention_is_seen_when_its_conversation_is_opened(
        self, shared: Conversation, alice: User, bob: User
    ) -> None:
        send(bob, "@Alice", shared)
        assert str(shared.pk) in logged_in(alice).get("/").content.decode()
        assert list(mentioning.mentioned_in(alice.pk)) == [shared.pk]
        assert logged_in(alice).post(f"/c/{shared.pk}/mentions/seen/").status_code == 200
        assert list(mentioning.mentioned_in(alice.pk)) == []


class TestSharedQuotas:
    def test_those_who_are_online_see_them_drain(self, alice: User, bob: User, mallory: User, monkeypatch: Any) -> None:
        group = Group.objects.create(name="Team")
        for one in (alice, bob, mallory):
            one.groups.add(group)
        Quota.objects.create(group=group, unit="messages", period="day", limit=1, shared=True)
        give(alice, 1)
        ended = end(say(alice).run_id)
        monkeypatch.setattr(sharers, "users_online", lambda _: [alice.pk, bob.pk])
        [(person, quotas)] = sharers.sharers_online(alice.pk, ended.near)
        assert person == bob.pk, "not the one who asked, and not who is away"
        assert [(one.shared_by, one.remaining) for one in quotas] == [("Team", Decimal(0))], "and nobody's own quota"
        assert sharers.sharers_online(alice.pk, ended.near) == [], "once in a while"
