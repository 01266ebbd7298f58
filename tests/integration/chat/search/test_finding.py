"""What a search finds, and that the index follows every change in the same transaction."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from chat.conversations import changing, members
from chat.models import Conversation, Member, Message, MessageWords, Role
from chat.search import finding
from chat.search.filling import fill
from chat.search.finding import Filters, search, search_in
from chat.search.folding import words_of
from chat.turns.changing import delete_message, edit_message
from tests.fixtures.conversation_rows import make_conversation, make_version
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def say(owner: User, text: str, *, title: str = "Crocodiles", age_days: float = 0) -> Message:
    """A question with this text, in a conversation of its own."""
    conversation = make_conversation(owner, 1, title=title, age_days=age_days)
    message = Message.objects.get(conversation=conversation)
    Message.objects.filter(pk=message.pk).update(text=text)
    message.refresh_from_db()
    return message


def found(user: User, text: str, filters: Filters | None = None) -> list[uuid.UUID]:
    return [one.message_id for one in search(user.pk, text, filters).messages]


def test_both_sides_divide_texts_alike() -> None:
    texts = [
        "Müller’s naïve ÇA Straße Œuvre Łódź ﬁne ＡＢＣ ① x² don't snake_case a.b@c.de 3.14",
        "ПРИВЕТ Ёлка ΣΊΣΥΦΟΣ ςα Ђ Հայ أهلاً وسهلاً שָׁלוֹם हिन्दी ภาษาไทย Tiếng Việt",
        "Python编程は楽しい、東京タワー「ガギグ」ｶﾞｷﾞ 한국어 가나 𠀋 猫 🙂 e\u0301 か\u3099",
        "Temp 20 °C — “quotes” ‘x’ €5 § ¶ ¿qué? ¡no! İstanbul ISPARTA ǅ",
    ]
    for text in texts:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tsvector_to_array(chat_search_words(%s, 'key'))", [text])
            indexed = set(cursor.fetchone()[0])
        expected = set()
        for word in words_of(text):
            pairs = [word.text[at : at + 2] for at in range(len(word.text))] if word.unspaced else [word.text]
            expected |= {"key" + pair for pair in pairs}
        assert indexed == expected


class TestWhatIsFound:
    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("The Kraków déjà vu", "krakow deja"),
            ("refactoring the parser", "pars refac"),
            ("we receive letters", "recieve"),
            ("这是一条重要消息。", "重要"),
            ("猫がいる", "いる"),
            ("한국어를 배워요", "국어"),
            ("call foo.bar_baz(1)", "bar_baz"),
        ],
    )
    def test_words(self, alice: User, text: str, query: str) -> None:
        message = say(alice, text)
        say(alice, "something else entirely")
        assert found(alice, query) == [message.pk]

    def test_titles_come_apart_and_the_newest_is_first(self, alice: User) -> None:
        old, new = say(alice, "walrus", age_days=9), say(alice, "walrus", title="The walrus")
        result = search(alice.pk, "walrus")
        assert [one.conversation_id for one in result.titles] == [new.conversation_id]
        assert [one.message_id for one in result.messages] == [new.pk, old.pk]
        assert result.titles[0].pieces == [("The ", False), ("walrus", True)]

    @pytest.mark.parametrize(
        "query",
        ["", "%", "'", "\\", "''''", "a\x00b", "\ud800", "(((|&!<->:*", ".*+?[", "nothing " * 1000, "x" * 100_000, "a"],
    )
    def test_a_hostile_query_finds_nothing_and_breaks_nothing(self, alice: User, query: str) -> None:
        say(alice, "plain words")
        assert search(alice.pk, query).messages == []

    def test_many_hits_are_a_few_of_each_conversation(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        conversation = make_conversation(alice, 12)
        other = make_conversation(alice, 4, age_days=3)
        few = found(alice, "text")
        monkeypatch.setattr("chat.search.finding.FEW", 5)
        assert found(alice, "text") == few
        places = Message.objects.in_bulk(few)
        assert [places[pk].conversation_id for pk in few] == [conversation.pk] * 3 + [other.pk] * 3


class TestWhatIsNotFound:
    def test_what_others_have(self, alice: User, bob: User) -> None:
        message = say(alice, "secret walrus")
        assert not found(bob, "walrus")
        assert search(bob.pk, "Crocodiles").titles == []
        Member.objects.create(conversation=message.conversation, user=bob, role=Role.EDITOR)
        assert found(bob, "walrus") == [message.pk]
        page = logged_in(bob)
        members.remove_member(alice.pk, message.conversation_id, bob.pk)
        assert not found(bob, "walrus")
        assert search(bob.pk, "Crocodiles").titles == []
        for scope in ("", "mine", "shared"):
            asked = {"q": "walrus", "scope": scope, "model": message.conversation.model, "files": ""}
            answer = page.get("/search/", asked).json()
            assert (answer["titles"], answer["messages"]) == ([], [])
        assert page.get("/search/", {"q": "walrsu"}).json()["messages"] == [], "with a typing error"
        for path in ("find/?q=walrus", f"part/?message={message.pk}", "part/?at=start"):
            assert page.get(f"/c/{message.conversation_id}/{path}").status_code == 404

    def test_nothing_for_who_is_removed_while_the_search_runs(
        self, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        message = say(alice, "walrus")
        Member.objects.create(conversation=message.conversation, user=bob, role=Role.EDITOR)
        search_ids = finding.find_ids

        def slow(*asked: Any) -> list[uuid.UUID]:
            ids = search_ids(*asked)
            Member.objects.filter(user=bob).delete()
            return ids

        monkeypatch.setattr(finding, "find_ids", slow)
        assert not found(bob, "walrus")

    def test_trash_and_temporary_conversations(self, alice: User) -> None:
        message = say(alice, "walrus")
        changing.delete(alice.pk, message.conversation_id)
        assert not found(alice, "walrus")
        changing.restore(alice.pk, message.conversation_id)
        assert found(alice, "walrus")
        Conversation.objects.filter(pk=message.conversation_id).update(temporary=True)
        assert not found(alice, "walrus")
        assert search(alice.pk, "Crocodiles").titles == []

    @pytest.mark.parametrize("action", ["hold", "block", "withdrawn"])
    def test_withheld_texts(self, alice: User, action: str) -> None:
        message = say(alice, "walrus")
        Message.objects.filter(pk=message.pk).update(moderation={"action": action})
        assert not found(alice, "walrus")

    def test_an_edit_and_a_deletion_count_with_their_transaction(self, alice: User) -> None:
        message = say(alice, "walrus")
        edit_message(alice.pk, message.pk, "penguin")
        assert not found(alice, "walrus")
        assert found(alice, "penguin") == [message.pk]
        with transaction.atomic():
            delete_message(alice.pk, message.pk)
            assert not MessageWords.objects.filter(pk=message.pk).exists()
            transaction.set_rollback(True)
        assert found(alice, "penguin")
        delete_message(alice.pk, message.pk)
        assert not MessageWords.objects.filter(pk=message.pk).exists()

    def test_erased_rows_leave_no_words(self, alice: User) -> None:
        message = say(alice, "walrus")
        message.conversation.delete()
        with connection.cursor() as cursor:
            for table in ("chat_messagewords", "chat_conversationwords"):
                cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  # names of tables
                assert cursor.fetchone() == (0,)

    def test_an_answer_in_progress_until_it_ends(self, alice: User) -> None:
        conversation = make_conversation(alice, 1)
        answer = Message.objects.create(conversation=conversation, role="assistant", status="pending")
        rows = Message.objects.filter(pk=answer.pk)
        rows.update(text="half a wal", status="streaming")
        assert not MessageWords.objects.filter(pk=answer.pk).exists()
        rows.update(text="a whole walrus", status="complete")
        assert found(alice, "walrus") == [answer.pk]


class TestFilters:
    def test_each(self, alice: User, bob: User) -> None:
        own, old = say(alice, "walrus"), say(alice, "walrus", age_days=40)
        shared = say(bob, "walrus")
        Member.objects.create(conversation=shared.conversation, user=alice, role=Role.VIEWER)
        Conversation.objects.filter(pk=old.conversation_id).update(model="big-one")
        week = timezone.now() - datetime.timedelta(days=7)
        assert set(found(alice, "walrus", Filters(scope="mine"))) == {own.pk, old.pk}
        assert found(alice, "walrus", Filters(scope="shared")) == [shared.pk]
        assert found(alice, "walrus", Filters(model="big-one")) == [old.pk]
        assert found(alice, "walrus", Filters(until=week)) == [old.pk]
        assert set(found(alice, "walrus", Filters(since=week))) == {own.pk, shared.pk}
        assert found(alice, "walrus", Filters(has_files=True)) == []
        Member.objects.filter(user=alice, conversation=old.conversation).update(archived_at=timezone.now())
        assert found(alice, "walrus", Filters(archived=True)) == [old.pk]
        assert old.pk in found(alice, "walrus"), "archived ones are found without the filter, too"
        Member.objects.filter(user=bob).update(archived_at=timezone.now())
        assert found(alice, "walrus", Filters(archived=True)) == [old.pk], "the archive of another person"


class TestTheIndex:
    def test_it_is_made_for_what_was_there_before(self, alice: User) -> None:
        make_conversation(alice, 5)
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE chat_messagewords, chat_conversationwords")
        assert not found(alice, "text")
        assert fill(connection, batch=2) == 5
        assert len(found(alice, "text")) == 3
        assert search(alice.pk, "croco").titles
        assert fill(connection, batch=2) == 0
        assert fill(connection, batch=2, again=True) == 5

    def test_statements_of_a_search_do_not_grow(self, alice: User, django_assert_max_num_queries: object) -> None:
        for _ in range(6):
            make_conversation(alice, 3)
        with django_assert_max_num_queries(14):  # type: ignore[operator]
            search(alice.pk, "text")


class TestOverHttp:
    def test_results_and_no_store(self, alice: User) -> None:
        message = say(alice, "a <b>walrus</b>")
        response = logged_in(alice).get("/search/", {"q": "walrus", "from": "nonsense"})
        assert "no-store" in response["Cache-Control"]
        [one] = response.json()["messages"]
        assert one["id"] == str(message.pk)
        assert one["pieces"] == [["a <b>", False], ["walrus", True], ["</b>", False]]

    def test_passages_of_answers_have_no_markup(self, alice: User) -> None:
        text, html = "A **walrus**, `here`", "<p>A <strong>walrus</strong>, <code>here</code></p>"
        Message.objects.filter(pk=say(alice, text).pk).update(role="assistant", author=None, html=html)
        say(alice, "an **unanswered** walrus")  # which the page shows as it was written
        found = logged_in(alice).get("/search/", {"q": "walrus"}).json()["messages"]
        assert [one["pieces"] for one in found] == [
            [["an **unanswered** ", False], ["walrus", True]],
            [["A ", False], ["walrus", True], [", here", False]],
        ]

    def test_too_many_are_refused(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("chat.views.search.SEARCH_RATE", "1/h")
        client = logged_in(alice)
        assert client.get("/search/", {"q": "walrus"}).status_code == 200
        refused = client.get("/search/", {"q": "walrus"})
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")

    def test_places_in_a_conversation_on_all_branches(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice, 4)
        first = Message.objects.filter(conversation=conversation).order_by("created_at")[0]
        version = make_version(first, "text of another version")
        assert version.pk in search_in(alice.pk, conversation.pk, "text")
        answer = logged_in(alice).get(f"/c/{conversation.pk}/find/", {"q": "text"}).json()
        assert len(answer["messages"]) == 5
        assert logged_in(bob).get(f"/c/{conversation.pk}/find/", {"q": "text"}).status_code == 404


class TestParts:
    def test_a_long_conversation_opens_anywhere(self, alice: User, bob: User) -> None:
        conversation = make_conversation(alice, 120)
        every = list(Message.objects.filter(conversation=conversation).order_by("created_at"))
        client = logged_in(alice)

        def part(**asked: str) -> str:
            return client.get(f"/c/{conversation.pk}/part/", asked).content.decode()

        around = part(message=str(every[60].pk))
        shown = [number for number, one in enumerate(every) if f'id="m-{one.pk}"' in around]
        assert shown == list(range(45, 85))
        assert f'data-target="{every[60].pk}"' in around
        assert f'data-before="{every[45].pk}"' in around
        assert f'data-after="{every[84].pk}" data-leaf="{every[-1].pk}"' in around
        below = part(after=str(every[84].pk), leaf=str(every[-1].pk))
        assert [number for number, one in enumerate(every) if f'id="m-{one.pk}"' in below] == list(range(85, 120))
        assert 'data-action="later"' not in below
        assert 'data-action="earlier"' not in below
        assert f'data-target="{every[0].pk}"' in part(at="start")
        assert f'data-target="{every[-1].pk}"' in part(at="end")
        Message.objects.filter(pk__in=[one.pk for one in every[:50]]).update(created_at="2020-01-01T12:00Z")
        assert f'data-target="{every[50].pk}"' in part(date="2021-06-01")
        assert f'data-target="{every[0].pk}"' in part(date="2019-06-01")
        assert logged_in(bob).get(f"/c/{conversation.pk}/part/", {"at": "start"}).status_code == 404
        for odd in ({"message": "x"}, {"message": str(uuid.uuid4())}, {"after": str(every[-1].pk)}, {"leaf": "\x00"}):
            assert client.get(f"/c/{conversation.pk}/part/", odd).status_code == 404

    def test_the_branch_that_has_the_message(self, alice: User) -> None:
        conversation = make_conversation(alice, 4)
        second = Message.objects.filter(conversation=conversation).order_by("created_at")[1]
        version = make_version(second, "another answer")
        page = logged_in(alice).get(f"/c/{conversation.pk}/part/", {"message": str(version.pk)}).content.decode()
        assert f'id="m-{version.pk}"' in page
        assert f'id="m-{second.pk}"' not in page
