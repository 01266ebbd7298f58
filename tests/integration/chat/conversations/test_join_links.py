"""Links by which people join a conversation: who may make one, how long it works, and what it may be used for."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from chat.conversations import join_links, members
from chat.models import Conversation, JoinLink, Member
from chat.protocol.errors import Forbidden, Invalid, NotFound, Suspended
from tests.conftest import make_user
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from tests.fixtures.quota_rows import together

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def shared(alice: User) -> Conversation:
    return make_conversation(alice)


def make_link(owner: User, conversation: Conversation, **more: Any) -> tuple[JoinLink, str]:
    return join_links.create_link(owner.pk, conversation.pk, **{"role": "editor", "days": 7, "most_uses": None, **more})


def use(user: User, link: JoinLink) -> Conversation:
    return join_links.join(user, link.token_hash)


def test_joining(shared: Conversation, alice: User, bob: User) -> None:
    link, secret = make_link(alice, shared)
    assert secret not in str(JoinLink.objects.values().get())
    assert join_links.find_link(secret) == link
    assert use(bob, link) == shared
    assert Member.objects.get(user=bob).role == "editor"
    assert join_links.list_links(alice.pk, shared.pk)[0]["uses"] == 1


def test_a_member_who_uses_it_stays_what_they_are(shared: Conversation, alice: User) -> None:
    link, _ = make_link(alice, shared, most_uses=1)
    use(alice, link)
    link.refresh_from_db()
    assert link.uses == 0
    assert Member.objects.get(user=alice).role == "owner"


@pytest.mark.parametrize(
    "change",
    [{"expires_at": timezone.now() - timedelta(seconds=1)}, {"revoked_at": timezone.now()}, {"most_uses": 0}],
    ids=["expired", "revoked", "used up"],
)
def test_a_link_that_does_not_work(shared: Conversation, alice: User, bob: User, change: dict[str, Any]) -> None:
    link, secret = make_link(alice, shared)
    JoinLink.objects.update(**change)
    assert join_links.find_link(secret) is None
    with pytest.raises(Invalid, match="has expired"):
        use(bob, link)


def test_a_suspended_person_neither_joins_nor_invites(shared: Conversation, alice: User, bob: User) -> None:
    link, secret = make_link(alice, shared)
    User.objects.filter(pk__in=[alice.pk, bob.pk]).update(suspended_until=timezone.now() + timedelta(hours=1))
    page = logged_in(bob)
    page.post("/join/", {"secret": secret})
    refused = page.post("/join/accept/")
    assert refused.status_code == 403
    assert "suspended until" in refused.content.decode()
    link.refresh_from_db()
    assert (Member.objects.filter(conversation=shared).count(), link.uses) == (1, 0)
    with pytest.raises(Suspended):
        make_link(alice, shared)
    with pytest.raises(Suspended):
        members.add_member(alice.pk, shared.pk, bob.email, "editor")
    User.objects.filter(pk=bob.pk).update(suspended_until=timezone.now() - timedelta(seconds=1))
    assert page.post("/join/accept/").status_code == 302  # the same page, without another look for the link


def test_a_link_of_somebody_who_no_longer_owns_it(shared: Conversation, alice: User, bob: User) -> None:
    link, secret = make_link(alice, shared)
    members.add_member(alice.pk, shared.pk, bob.email, "owner")
    members.leave(alice.pk, shared.pk)
    assert join_links.find_link(secret) is None
    with pytest.raises(Invalid):
        use(make_user("Carol"), link)


def test_a_link_of_a_disabled_owner_or_a_deleted_conversation(shared: Conversation, alice: User) -> None:
    _, secret = make_link(alice, shared)
    User.objects.update(is_active=False)
    assert join_links.find_link(secret) is None
    User.objects.update(is_active=True)
    Conversation.objects.update(deleted_at=timezone.now())
    assert join_links.find_link(secret) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"role": "owner"}, "editors or viewers"), ({"days": 0}, "1 to 90 days"), ({"days": 91}, "1 to 90 days"),
     ({"most_uses": 0}, "1 to 1,000"), ({"most_uses": 1001}, "1 to 1,000")],
)  # fmt: skip
def test_bounds(shared: Conversation, alice: User, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        make_link(alice, shared, **wrong)


def test_at_most_20_that_work(shared: Conversation, alice: User) -> None:
    for _ in range(20):
        link, _secret = make_link(alice, shared)
    with pytest.raises(Invalid, match="at most 20"):
        make_link(alice, shared)
    join_links.revoke_link(alice.pk, shared.pk, link.pk)
    make_link(alice, shared)


def test_only_owners(shared: Conversation, alice: User, bob: User) -> None:
    link, _ = make_link(alice, shared)
    members.add_member(alice.pk, shared.pk, bob.email, "editor")
    with pytest.raises(Forbidden):
        make_link(bob, shared)
    with pytest.raises(Forbidden):
        join_links.revoke_link(bob.pk, shared.pk, link.pk)
    assert join_links.list_links(bob.pk, shared.pk) == []
    with pytest.raises(NotFound):
        join_links.revoke_link(alice.pk, shared.pk, uuid.uuid4())


@pytest.mark.django_db(transaction=True)
def test_a_link_for_one_used_by_four_at_once(shared: Conversation, alice: User) -> None:
    link, _ = make_link(alice, shared, most_uses=1)
    people = [make_user(f"P{number}") for number in range(4)]
    results = together(4, lambda number: use(people[number], link))
    assert sum(isinstance(result, Conversation) for result in results) == 1
    assert sum(isinstance(result, Invalid) for result in results) == 3
    assert Member.objects.filter(conversation=shared).count() == 2


class TestPage:
    def test_from_the_link_to_the_conversation(self, shared: Conversation, alice: User, bob: User) -> None:
        url = f"/c/{shared.pk}/members/links/"
        made = logged_in(alice).post(url, {"role": "viewer", "days": "7", "most_uses": "1"}).json()
        address, _, secret = made["url"].partition("#")
        assert address.endswith("/join/")
        browser = logged_in(bob)
        assert "data-open-link" in browser.get("/join/").content.decode()
        asked = browser.post("/join/", {"secret": secret}, follow=True)
        assert "Alice invites you to a conversation" in asked.content.decode()
        assert "Crocodiles" not in asked.content.decode()
        joined = browser.post("/join/accept/")
        assert joined["Location"] == f"/c/{shared.pk}/"
        assert Member.objects.get(user=bob).role == "viewer"
        assert browser.post("/join/", {"secret": secret}).status_code == 410, "used up"

    def test_a_guessed_secret(self, bob: User) -> None:
        browser = logged_in(bob)
        assert browser.post("/join/", {"secret": "guess"}).status_code == 410
        assert browser.get("/join/accept/").status_code == 410

    def test_somebody_who_is_not_logged_in_logs_in_first(self, shared: Conversation, alice: User, client: Any) -> None:
        _, secret = make_link(alice, shared)
        answer = client.post("/join/", {"secret": secret}, follow=True)
        assert answer.redirect_chain[-1][0].startswith("/accounts/login/?next=/join/accept/")

    def test_numbers_that_are_none(self, shared: Conversation, alice: User) -> None:
        answer = logged_in(alice).post(f"/c/{shared.pk}/members/links/", {"role": "viewer", "days": "seven"})
        assert (answer.status_code, answer.json()["message"]) == (400, "Enter a whole number from 1 to 90.")
