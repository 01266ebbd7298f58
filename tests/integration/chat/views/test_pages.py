"""The conversation pages and pieces over HTTP: who sees what, how much of it, and under which security policy."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from django.conf import settings
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper
from django.test import Client
from django.utils import timezone

from accounts.models import User
from chat.conversations import listing
from chat.models import Conversation, Member, Message, Role, Run
from chat.views import exports
from tests.fixtures.conversation_rows import make_conversation, make_version
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]

NOWHERE = uuid.UUID(int=1)


class Page(HTMLParser):
    """Reads a page: its messages, and what a strict policy would refuse."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.messages: list[dict[str, str | None]] = []
        self.refused: list[str] = []
        self.nonces: set[str] = set()
        self.text = response.content.decode()
        self._blanks = 0
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._blanks += tag == "template"
        if "message" in (values.get("class") or "").split() and not self._blanks:
            self.messages.append(values)
        self.refused += [f"{tag} {name}" for name in values if name == "style" or name.startswith("on")]
        if tag == "style" or (values.get("href") or "").startswith("javascript:"):
            self.refused.append(tag)
        if tag == "script" and values.get("type") != "application/json":
            if values.get("nonce"):
                self.nonces.add(str(values["nonce"]))
            elif "src" not in values:
                self.refused.append("an inline script")

    def handle_endtag(self, tag: str) -> None:
        self._blanks -= tag == "template"

    @property
    def ids(self) -> list[str]:
        return [str(message["data-id"]) for message in self.messages]


@pytest.fixture
def count_queries(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many queries all threads have made since it was asked last."""
    seen: list[str] = []
    execute = CursorWrapper.execute

    def counted(self: CursorWrapper, sql: Any, params: Any = None) -> Any:
        seen.append(str(sql))
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", counted)

    def count() -> int:
        number = len(seen)
        seen.clear()
        return number

    return count


class TestWhoMaySee:
    def test_people_who_are_not_logged_in_go_to_the_login(self, alice: User) -> None:
        conversation = make_conversation(alice)
        for path in ("/", f"/c/{conversation.pk}/", "/conversations/", f"/c/{conversation.pk}/older/"):
            response = Client().get(path)
            assert response.status_code == 302
            assert response["Location"].startswith("/accounts/login/?next=")

    def test_somebody_elses_conversation_is_not_found(self, alice: User, mallory: User) -> None:
        conversation = make_conversation(alice)
        first = conversation.messages.earliest("created_at")
        client = logged_in(mallory)
        base = f"/c/{conversation.pk}/"
        for path in (base, f"{base}older/?before={first.pk}", f"{base}branch/{first.pk}/"):
            theirs, nobodys = client.get(path), client.get(path.replace(str(conversation.pk), str(NOWHERE)))
            assert theirs.status_code == nobodys.status_code == 404
            assert "Page not found" in theirs.content.decode()
        for command in ("rename", "delete", "restore"):
            assert client.post(f"{base}{command}/", {"title": "mine"}).status_code == 404
        conversation.refresh_from_db()
        assert (conversation.title, conversation.deleted_at) == ("Crocodiles", None)
        assert "Crocodiles" not in client.get("/").content.decode()

    def test_a_message_of_another_conversation_is_not_found(self, alice: User, mallory: User) -> None:
        theirs, mine = make_conversation(alice, 4), make_conversation(mallory, 4)
        foreign = theirs.messages.latest("created_at")
        client = logged_in(mallory)
        assert client.get(f"/c/{mine.pk}/branch/{foreign.pk}/").status_code == 404
        assert client.get(f"/c/{mine.pk}/older/?before={foreign.pk}").status_code == 404

    @pytest.mark.parametrize("before", ["", "x", "1", str(NOWHERE)])
    def test_a_place_that_is_none_is_not_found(self, alice: User, before: str) -> None:
        conversation = make_conversation(alice)
        assert logged_in(alice).get(f"/c/{conversation.pk}/older/", {"before": before}).status_code == 404

    def test_a_viewer_reads_and_may_not_rename_or_delete(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice)
        Member.objects.create(conversation=conversation, user=bob, role=Role.VIEWER)
        client = logged_in(bob)
        assert len(Page(client.get(f"/c/{conversation.pk}/")).messages) == 2
        for command in ("rename", "delete"):
            response = client.post(f"/c/{conversation.pk}/{command}/", {"title": "x"})
            assert (response.status_code, response.json()["code"]) == (403, "forbidden")

    def test_commands_have_a_rate(self, alice: User, clean_redis: str, settings: Any) -> None:
        settings.RATE_HTTP_COMMANDS = "5/m"
        conversation = make_conversation(alice)
        client = logged_in(alice)
        answers = [client.post(f"/c/{conversation.pk}/rename/", {"title": str(number)}) for number in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1]["Retry-After"]) <= 12
        conversation.refresh_from_db()
        assert conversation.title == "4"

    def test_a_viewer_s_export_has_neither_prompt_nor_deletion(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice)
        Conversation.objects.filter(pk=conversation.pk).update(system_prompt="Secret instructions")
        Member.objects.create(conversation=conversation, user=bob, role=Role.VIEWER)
        path = f"/c/{conversation.pk}/export/"
        assert b"Secret instructions" in logged_in(alice).get(path, {"as": "json"}).content
        assert b"Secret instructions" not in logged_in(bob).get(path, {"as": "json"}).content
        assert b"Secret instructions" not in logged_in(bob).get("/conversations/export/").getvalue()
        Conversation.objects.filter(pk=conversation.pk).update(deleted_at=timezone.now())
        assert b"text 0" not in logged_in(bob).get("/conversations/export/").getvalue()
        assert b"text 0" in logged_in(alice).get("/conversations/export/").getvalue()

    def test_everything_of_one_s_own_is_sent_while_it_is_made(
        self, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_conversation(alice)
        response = logged_in(alice).get("/conversations/export/")
        assert response.streaming
        assert len(list(response)) > 3

        def away(*_: object, **__: object) -> Iterator[str]:
            yield from (refuse() for _ in range(1))

        def refuse() -> str:
            raise OperationalError

        monkeypatch.setattr(exports, "export_user_data", away)
        assert logged_in(alice).get("/conversations/export/").status_code == 503

    def test_no_command_works_without_the_csrf_token(self, alice: User) -> None:
        conversation = make_conversation(alice)
        client = Client(enforce_csrf_checks=True)
        client.force_login(alice)
        response = client.post(f"/c/{conversation.pk}/delete/")
        assert response.status_code == 403
        assert "The form has expired." in response.content.decode()


class TestWhatIsShown:
    def test_a_new_conversation_is_empty_and_says_so(self, alice: User) -> None:
        page = Page(logged_in(alice).get("/"))
        assert page.messages == []
        assert "data-empty" in page.text
        assert "What’s on your mind?" in page.text

    def test_a_long_conversation_opens_with_its_last_messages(self, alice: User) -> None:
        conversation = make_conversation(alice, 2000)
        client = logged_in(alice)
        page = Page(client.get(f"/c/{conversation.pk}/"))
        assert len(page.messages) == 40
        assert page.ids[-1] == str(conversation.tip_id)
        assert "text 1999" in page.text
        assert "text 1959" not in page.text

    def test_earlier_messages_follow_piece_by_piece_up_to_the_first(self, alice: User) -> None:
        conversation = make_conversation(alice, 90)
        client = logged_in(alice)
        page = Page(client.get(f"/c/{conversation.pk}/"))
        ids = page.ids
        while before := re.search(r'data-before="([^"]+)"', page.text):
            page = Page(client.get(f"/c/{conversation.pk}/older/", {"before": before[1]}))
            ids = page.ids + ids
        in_order = conversation.messages.order_by("created_at").values_list("pk", flat=True)
        assert ids == [str(pk) for pk in in_order]

    def test_a_version_is_shown_with_what_follows_it(self, alice: User) -> None:
        conversation = make_conversation(alice, 4)
        first, second, _third, _fourth = conversation.messages.order_by("created_at")
        other = make_version(second, "another answer")
        client = logged_in(alice)
        page = Page(client.get(f"/c/{conversation.pk}/"))
        assert page.messages[1]["data-versions"] == f"{second.pk} {other.pk}"
        assert page.messages[0]["data-versions"] == ""

        piece = Page(client.get(f"/c/{conversation.pk}/branch/{other.pk}/"))
        assert piece.ids == [str(other.pk)]
        assert f'data-parent="{first.pk}"' in piece.text
        back = Page(client.get(f"/c/{conversation.pk}/branch/{second.pk}/"))
        assert len(back.ids) == 3

    def test_a_long_branch_ends_with_its_newest_messages(self, alice: User) -> None:
        conversation = make_conversation(alice, 300)
        first = conversation.messages.earliest("created_at")
        page = Page(logged_in(alice).get(f"/c/{conversation.pk}/branch/{first.pk}/"))
        assert page.ids[-1] == str(conversation.tip_id)
        assert len(page.ids) == 120
        assert 'data-action="earlier"' in page.text

    def test_an_answer_in_progress_comes_as_its_source(self, alice: User) -> None:
        conversation = make_conversation(alice, 1)
        question = conversation.messages.get()
        text = "so\r\nfar </script><script>alert(1)</script>"
        answer = Message.objects.create(
            conversation=conversation, parent=question, role="assistant", text=text, status="streaming"
        )
        run = Run.objects.create(
            conversation=conversation, prompt=question, message=answer, requested_by=alice, model="m", status="queued"
        )
        Conversation.objects.filter(pk=conversation.pk).update(tip=answer)
        page = Page(logged_in(alice).get(f"/c/{conversation.pk}/"))
        assert page.messages[1]["data-run"] == str(run.pk)
        assert page.messages[1]["data-status"] == "streaming"
        assert r'"so\r\nfar \u003C/script\u003E\u003Cscript\u003Ealert(1)\u003C/script\u003E"' in page.text
        assert page.refused == []

    def test_texts_are_escaped_and_answers_sanitised(self, alice: User) -> None:
        conversation = make_conversation(alice, 2, title="<script>alert(1)</script>")
        conversation.messages.filter(role="user").update(text="<img src=x onerror=alert(1)>")
        conversation.messages.filter(role="assistant").update(
            text="<img src=x onerror=alert(1)> ![x](https://e.example/x)"
        )
        page = Page(logged_in(alice).get(f"/c/{conversation.pk}/"))
        assert page.refused == []
        assert "<img" not in page.text

    def test_why_an_answer_is_not_whole_is_said(self, alice: User) -> None:
        conversation = make_conversation(alice, 2)
        question, answer = conversation.messages.order_by("created_at")
        Message.objects.filter(pk=answer.pk).update(status="failed")
        Run.objects.create(
            conversation=conversation,
            prompt=question,
            message=answer,
            requested_by=alice,
            model="m-1",
            status="failed",
            finished_at=timezone.now(),
            error_code="upstream_timeout",
            error_message="The model took too long.",
        )
        assert "The model took too long." in logged_in(alice).get(f"/c/{conversation.pk}/").content.decode()

    def test_the_number_of_queries_does_not_grow(self, alice: User, count_queries: Callable[[], int]) -> None:
        short, long = make_conversation(alice, 6), make_conversation(alice, 600)
        question = long.messages.order_by("created_at")[590]
        for number in range(5):
            make_version(question, f"version {number}")
        client = logged_in(alice)
        client.get(f"/c/{short.pk}/")
        count_queries()

        def fewest(conversation: Conversation) -> int:
            """Of some visits: now and then one reads what is cached for seconds once more."""
            counts = []
            for _ in range(4):
                client.get(f"/c/{conversation.pk}/")
                counts.append(count_queries())
            return min(counts)

        for_short = fewest(short)
        assert fewest(long) == for_short
        assert for_short <= 14

    def test_an_outage_has_a_page_of_its_own(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        conversation = make_conversation(alice)
        client = logged_in(alice)

        async def fail(*_args: Any, **_options: Any) -> None:
            raise redis.ConnectionError

        monkeypatch.setattr("chat.eventlog.store.position", fail)
        response = client.get(f"/c/{conversation.pk}/")
        assert response.status_code == 503
        assert response["Retry-After"] == "10"
        assert "Part of this site isn’t responding right now." in response.content.decode()


class TestPolicy:
    @pytest.mark.parametrize("path", ["/", "/c/", "/accounts/login/", "/offline/", "/nowhere/"])
    def test_every_page_keeps_a_strict_policy(self, alice: User, path: str) -> None:
        conversation = make_conversation(alice, 3)
        client = Client() if path.startswith("/accounts") else logged_in(alice)
        response = client.get(f"/c/{conversation.pk}/" if path == "/c/" else path)
        page = Page(response)
        policy = response["Content-Security-Policy"]
        rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
        assert "unsafe" not in policy
        assert rules["object-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
        assert page.refused == []
        assert all(f"'nonce-{nonce}'" in rules["script-src"] for nonce in page.nonces)
        assert len(page.nonces) == (1 if path in ("/", "/c/") else 0)

    def test_no_two_pages_share_a_nonce(self, alice: User) -> None:
        client = logged_in(alice)
        assert Page(client.get("/")).nonces.isdisjoint(Page(client.get("/")).nonces)

    def test_pages_are_not_kept_by_caches(self, alice: User) -> None:
        conversation = make_conversation(alice)
        client = logged_in(alice)
        for path in ("/", f"/c/{conversation.pk}/", "/conversations/"):
            assert "no-store" in client.get(path)["Cache-Control"]
            assert "private" in client.get(path)["Cache-Control"]

    def test_the_offline_page_says_nothing_about_anybody(self, alice: User) -> None:
        assert logged_in(alice).get("/offline/").content == Client().get("/offline/").content

    def test_the_service_worker_serves_the_whole_site(self) -> None:
        response = Client().get("/service-worker.js")
        assert response["Content-Type"].startswith("text/javascript")
        assert '"/offline/"' in response.content.decode()

    @pytest.mark.parametrize("path", ["/", "/conversations/", "/offline/"])
    def test_reading_is_all_that_a_page_takes(self, alice: User, path: str) -> None:
        client = logged_in(alice)
        assert client.head(path).status_code == 200
        assert client.post(path).status_code == 405

    def test_a_crash_has_a_page_without_a_context(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*_args: Any, **_options: Any) -> None:
            raise RuntimeError

        monkeypatch.setattr("chat.views.conversations.members_of", crash)
        client = logged_in(alice)
        client.raise_request_exception = False
        response = client.get(f"/c/{NOWHERE}/")
        assert response.status_code == 500
        assert "Something went wrong on our end." in response.content.decode()


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
        assert len(conversation.title) == listing.MAX_TITLE

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
