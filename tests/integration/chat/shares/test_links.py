"""Share links as rows: who may create one, how long it works, what a snapshot keeps, and what ends with people."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import suspension
from accounts.models import AuditEntry, User
from chat.conversations import changing, members
from chat.models import Conversation, Message, MessageStatus, SharedMessage, ShareLink
from chat.portability.export import export_user_data
from chat.protocol.errors import Busy, Forbidden, Invalid, NotFound, Suspended
from chat.retention import erasure, purge
from chat.shares import links
from chat.shares.links import find_share, list_shares, revoke_share
from chat.shares.reading import read_shared
from tests.conftest import make_user
from tests.fixtures.people import staff_client
from tests.integration.chat.shares.links import conversation as conversation  # a fixture
from tests.integration.chat.shares.links import share, texts, tip_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def test_creating_and_finding(conversation: Conversation, alice: User) -> None:
    link, secret = share(alice, conversation)
    assert secret not in str(ShareLink.objects.values().get())
    assert find_share(secret) == link
    assert find_share(secret + "x") is None
    assert timedelta(days=29) < link.expires_at - timezone.now() <= timedelta(days=30)
    assert [one["id"] for one in list_shares(alice.pk, conversation.pk)] == [str(link.pk)]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [({"kind": "film"}, "snapshot or a live"), ({"audience": "anyone"}, "who can open"), ({"days": 29}, "how long"),
     ({"audience": "everybody"}, "who can open"), ({"audience": "password", "password": "short"}, "8 to 200"),
     ({"audience": "password", "password": "x" * 201}, "8 to 200"), ({"message_id": uuid.UUID(int=1)}, "nothing")],
)  # fmt: skip
def test_bounds(conversation: Conversation, alice: User, wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        share(alice, conversation, **wanted)


def test_a_password_is_stored_hashed(conversation: Conversation, alice: User) -> None:
    share(alice, conversation, audience="password", password="open sesame")
    assert "open sesame" not in str(ShareLink.objects.values().get())


def test_links_for_anyone_only_where_the_site_allows(conversation: Conversation, alice: User, settings: Any) -> None:
    settings.SHARE_WITH_ANYONE = True
    _, secret = share(alice, conversation, audience="anyone")
    assert find_share(secret)
    settings.SHARE_WITH_ANYONE = False
    assert find_share(secret) is None, "switched off, it ends those that exist"


def test_who_may_share(conversation: Conversation, alice: User, bob: User, mallory: User, settings: Any) -> None:
    members.add_member(alice.pk, conversation.pk, bob.email, "editor")
    with pytest.raises(Forbidden, match="Ask one of its owners"):
        share(bob, conversation)
    with pytest.raises(NotFound):
        share(mallory, conversation)
    settings.SHARE_LINKS = "editors"
    _, secret = share(bob, conversation)
    assert find_share(secret)
    members.change_role(alice.pk, conversation.pk, bob.pk, "viewer")
    assert find_share(secret) is None, "who may no longer share shares no more"
    settings.SHARE_LINKS = "off"
    with pytest.raises(Forbidden, match="switched off"):
        share(alice, conversation)


def test_refused_with_a_reason(conversation: Conversation, alice: User) -> None:
    Conversation.objects.update(temporary=True, pinned_at=None)
    with pytest.raises(Invalid, match="temporary chat cannot be shared"):
        share(alice, conversation)
    Conversation.objects.update(temporary=False)
    Message.objects.filter(pk=tip_of(conversation)).update(status=MessageStatus.STREAMING)
    with pytest.raises(Busy, match="when it is finished"):
        share(alice, conversation)
    share(alice, conversation, kind="live")
    suspension.suspend(alice, timezone.now() + timedelta(days=1), "")
    with pytest.raises(Suspended):
        share(alice, conversation, kind="live")


def test_at_most_fifty_that_work(conversation: Conversation, alice: User) -> None:
    for _ in range(50):
        link, _secret = share(alice, conversation, kind="live")
    with pytest.raises(Invalid, match="at most 50"):
        share(alice, conversation)
    revoke_share(alice.pk, link.pk)
    share(alice, conversation)


@pytest.mark.parametrize(
    "end",
    [
        lambda link: ShareLink.objects.update(expires_at=timezone.now()),
        lambda link: links.revoke(link),
        lambda link: changing.delete(link.created_by_id, link.conversation_id),
        lambda link: User.objects.update(is_active=False),
        lambda link: suspension.suspend(link.created_by, timezone.now() + timedelta(days=1), ""),
        lambda link: link.conversation.memberships.update(role="editor"),
        lambda link: link.conversation.memberships.all().delete(),
    ],
    ids=["expired", "revoked", "deleted", "disabled", "suspended", "no owner any more", "no member any more"],
)
def test_what_ends_a_link(conversation: Conversation, alice: User, end: Any) -> None:
    link, secret = share(alice, conversation)
    end(link)
    assert find_share(secret) is None


def test_revoking(conversation: Conversation, alice: User, bob: User, settings: Any) -> None:
    settings.SHARE_LINKS = "editors"
    members.add_member(alice.pk, conversation.pk, bob.email, "editor")
    own, _ = share(alice, conversation)
    link, secret = share(bob, conversation)
    assert [one["id"] for one in list_shares(bob.pk, conversation.pk)] == [str(link.pk)], "only one's own"
    with pytest.raises(NotFound):
        revoke_share(bob.pk, own.pk)
    revoke_share(alice.pk, link.pk)
    assert find_share(secret) is None
    with pytest.raises(NotFound):
        revoke_share(alice.pk, link.pk)


# --- people, and the end of it ---------------------------------------------------------------------------------------
def test_names(conversation: Conversation, alice: User) -> None:
    shown, _ = share(alice, conversation, show_names=True)
    hidden, _ = share(alice, conversation, show_names=False)
    assert read_shared(shown).messages[0]["author"] == {"name": "Alice"}
    assert "Alice" not in str(read_shared(hidden))
    assert str(alice.pk) not in str([read_shared(shown), read_shared(hidden)])


def test_erasing_a_person(conversation: Conversation, alice: User, bob: User) -> None:
    members.add_member(alice.pk, conversation.pk, bob.email, "owner")
    own, _ = share(alice, conversation)
    kept, _ = share(bob, conversation)
    assert erasure.survey(alice).share_links_deleted == 1
    erasure.erase(alice)
    assert list(ShareLink.objects.all()) == [kept]
    assert texts(kept)[0] == "(erased)"
    assert "Alice" not in str(read_shared(kept))
    assert not SharedMessage.objects.filter(link=own.pk).exists()


def test_the_export_has_them_without_secrets(conversation: Conversation, alice: User) -> None:
    link, secret = share(alice, conversation, audience="password", password="open sesame")
    text = "".join(export_user_data(alice))
    assert secret not in text
    assert link.token_hash not in text
    assert link.password not in text
    assert [one["kind"] for one in json.loads(text)["share_links"]] == ["snapshot"]


def test_links_that_ended_long_ago_are_deleted(conversation: Conversation, alice: User) -> None:
    for column, days, gone in (("expires_at", 31, 1), ("revoked_at", 31, 1), ("revoked_at", 29, 0)):
        link, _ = share(alice, conversation)
        ShareLink.objects.filter(pk=link.pk).update(**{column: timezone.now() - timedelta(days=days)})
        assert purge.count()["share_links"] == gone
        for _ in purge.purge():
            pass
        assert ShareLink.objects.filter(pk=link.pk).exists() == (not gone)
    assert SharedMessage.objects.count() == 4


@pytest.mark.parametrize("kind", ["sharelink", "joinlink"])
def test_staff_revoke_and_it_is_recorded(conversation: Conversation, alice: User, kind: str) -> None:
    from chat.conversations import join_links

    link: Any = share(alice, conversation)[0]
    if kind == "joinlink":
        link = join_links.create_link(alice.pk, conversation.pk, role="viewer", days=7, most_uses=None)[0]
    path = f"/admin/chat/{kind}/"
    data = {"action": "revoke", "_selected_action": [str(link.pk)]}
    viewer = staff_client(f"view_{kind}")
    assert re.search(r">\s*active\s*<", viewer.get(path).content.decode())
    viewer.post(path, data)
    link.refresh_from_db()
    assert link.revoked_at is None, "who may only look revokes nothing"
    User.objects.filter(name="Sam").delete()
    staff_client(f"view_{kind}", f"change_{kind}").post(path, data)
    assert type(link).objects.get(pk=link.pk).revoked_at is not None
    entry = AuditEntry.objects.get(verb=f"revoke_{kind}")
    assert (entry.object_id, entry.conversation_id) == (str(link.pk), conversation.pk)


def test_views_are_counted(conversation: Conversation, alice: User) -> None:
    link, _ = share(alice, conversation)
    links.count_view(link)
    links.count_view(link)
    assert list_shares(alice.pk, conversation.pk)[0]["views"] == 2


def test_nobody_else_learns_of_a_link(conversation: Conversation, alice: User) -> None:
    share(alice, conversation)
    with pytest.raises(NotFound):
        list_shares(make_user("Eve").pk, conversation.pk)
