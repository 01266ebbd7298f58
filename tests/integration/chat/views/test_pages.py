"""The conversation pages and pieces over HTTP: who sees what, how much of it, and under which security policy."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper
from django.test import Client
from django.utils import timezone

from accounts.models import User
from chat.models import Conversation, Member, Message, Role, Run
from chat.views import exports
from tests.fixtures.conversation_rows import make_conversation, make_version
from tests.fixtures.people import logged_in
from tests.integration.chat.views.reading import Page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


NOWHERE = uuid.UUID(int=1)


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
        assert for_short <= 18

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
