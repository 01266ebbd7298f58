"""The list of conversations over HTTP: its groups and pages, renaming, deleting and restoring."""

from __future__ import annotations

import datetime
import re
import uuid
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from chat.conversations import changing, listing
from chat.models import Conversation
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


NOWHERE = uuid.UUID(int=1)


class TestTheList:
    def test_it_is_grouped_by_the_readers_days(self, alice: User) -> None:
        make_conversation(alice, 1, title="new")
        make_conversation(alice, 1, title="older", age_days=3)
        make_conversation(alice, 1, title="ancient", age_days=800)
        page = logged_in(alice).get("/conversations/").content.decode()
        positions = [page.index(word) for word in ("Today", ">new<", "Last 7 days", ">older<", ">ancient<")]
        assert positions == sorted(positions)

    def test_a_day_ends_where_the_reader_is(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        midnight = datetime.datetime(2026, 3, 3, tzinfo=datetime.UTC)
        conversation = make_conversation(alice)
        Conversation.objects.filter(pk=conversation.pk).update(updated_at=midnight - datetime.timedelta(minutes=30))
        monkeypatch.setattr(timezone, "now", lambda: midnight + datetime.timedelta(minutes=30))
        for zone, heading in (("UTC", "Yesterday"), ("Pacific/Honolulu", "Today")):
            found = listing.read_listing(alice.pk, zone=ZoneInfo(zone))
            assert [group.label for group in found.groups] == [heading]

    @pytest.mark.parametrize("zone", ["../../etc/passwd", "\x00", "Nowhere/Land", "", "A" * 5000])
    def test_an_odd_time_zone_is_utc(self, alice: User, zone: str) -> None:
        client = logged_in(alice)
        cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())
        # As a header: newer releases of Python refuse to make such a cookie.
        assert client.get("/", headers={"cookie": f"{cookies}; timezone={zone}"}).status_code == 200

    def test_it_goes_on_where_it_stopped(self, alice: User) -> None:
        for number in range(45):
            make_conversation(alice, 1, title=f"title-{number:02}", age_days=number)
        client = logged_in(alice)
        first = client.get("/conversations/").content.decode()
        after = re.search(r'data-next="([^"]+)"', first)
        assert after
        rest = client.get("/conversations/", {"after": after[1]}).content.decode()
        titles = re.findall(r">(title-\d\d)<", first) + re.findall(r">(title-\d\d)<", rest)
        assert titles == [f"title-{number:02}" for number in range(45)]
        assert "data-next" not in rest
        everything = client.get("/conversations/", {"count": "45"}).content.decode()
        assert len(re.findall(r">(title-\d\d)<", everything)) == 45

    @pytest.mark.parametrize("after", ["x", "2026-01-01~x", "2026-01-01T00:00:00~" + str(NOWHERE), "~"])
    def test_a_place_that_is_none_is_not_found(self, alice: User, after: str) -> None:
        assert logged_in(alice).get("/conversations/", {"after": after}).status_code == 404

    def test_a_title_is_cleaned_and_kept(self, alice: User) -> None:
        conversation = make_conversation(alice)
        response = logged_in(alice).post(
            f"/c/{conversation.pk}/rename/", {"title": "  A \n new\x00 title " + "x" * 300}
        )
        assert response.status_code == 200
        conversation.refresh_from_db()
        assert conversation.title == response.json()["title"]
        assert conversation.title.startswith("A new title xxx")
        assert len(conversation.title) == changing.MAX_TITLE

    def test_an_empty_title_is_refused(self, alice: User) -> None:
        conversation = make_conversation(alice)
        response = logged_in(alice).post(f"/c/{conversation.pk}/rename/", {"title": " \x00 "})
        assert (response.status_code, response.json()["code"]) == (400, "invalid")

    def test_a_rename_stands_in_the_log(self, alice: User, clean_redis: str) -> None:
        conversation = make_conversation(alice)
        logged_in(alice).post(f"/c/{conversation.pk}/rename/", {"title": "Alligators"})
        kept: Any = redis.Redis.from_url(settings.REDIS_URL).xrange(f"log:{conversation.pk.hex}")
        assert b"conversation.updated" in kept[-1][1][b"m"]
        assert b"Alligators" in kept[-1][1][b"m"]

    def test_a_deleted_conversation_is_gone_and_can_come_back(self, alice: User) -> None:
        conversation = make_conversation(alice)
        client = logged_in(alice)
        assert client.post(f"/c/{conversation.pk}/delete/").status_code == 200
        assert client.get(f"/c/{conversation.pk}/").status_code == 404
        assert "Crocodiles" not in client.get("/conversations/").content.decode()
        assert client.post(f"/c/{conversation.pk}/delete/").status_code == 404
        assert client.post(f"/c/{conversation.pk}/restore/").status_code == 200
        assert client.post(f"/c/{conversation.pk}/restore/").status_code == 404
        assert client.get(f"/c/{conversation.pk}/").status_code == 200
        assert "Crocodiles" in client.get("/conversations/").content.decode()

    def test_without_redis_a_rename_still_counts(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fail(*_args: Any) -> None:
            raise redis.ConnectionError

        monkeypatch.setattr("chat.eventlog.store.append", fail)
        conversation = make_conversation(alice)
        assert logged_in(alice).post(f"/c/{conversation.pk}/rename/", {"title": "Kept"}).status_code == 200
        conversation.refresh_from_db()
        assert conversation.title == "Kept"
