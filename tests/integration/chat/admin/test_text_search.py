"""Staff's search in what everybody wrote: what it finds, for whom, and what the audit log says about it."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from chat.models import Conversation, Message
from chat.search import everywhere
from chat.search.everywhere import search_everywhere
from tests.integration.chat.admin.staff_pages import page, viewer
from tests.integration.config.ops.operating import conversation

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.fixture
def reader(db: None) -> Client:
    return viewer("read_message_body")


@pytest.fixture
def said(alice: User, bob: User) -> tuple[Conversation, Conversation]:
    conversation(alice, "Where do crocodiles sleep?", "In <rivers>.")
    conversation(bob, "How old do Crocodiles get?", "Seventy.")
    first, second = Conversation.objects.order_by("pk")
    return first, second


def test_it_finds_what_everybody_wrote_and_is_recorded(reader: Client, said: object, alice: User, bob: User) -> None:
    shown = page(reader, "search-texts", q="crocodil")
    assert shown.count("<mark>") == 2
    assert "alice@example.org" in shown
    assert "bob@example.org" in shown
    [entry] = AuditEntry.objects.all()
    assert (entry.verb, entry.object_type, entry.details) == ("search_text", "chat.message", "crocodil (2 found)")
    assert set(entry.subjects) == {alice.pk, bob.pk}
    assert "&lt;<mark>rivers</mark>&gt;" in page(reader, "search-texts", q="rivers")


def test_of_one_person(reader: Client, said: tuple[Conversation, Conversation], bob: User) -> None:
    shown = page(reader, "search-texts", q="crocodile", person="bob@example.org")
    assert "bob@example.org" in shown
    assert "Where do" not in shown
    assert f"/admin/chat/conversation/{said[1].pk}/read/?message=" in shown
    assert AuditEntry.objects.get().subjects == [bob.pk]
    assert "no account" in page(reader, "search-texts", q="crocodile", person="nobody@example.org")
    assert AuditEntry.objects.count() == 1, "nothing was searched"


def test_not_without_the_permission(sam: Client, said: object) -> None:
    assert sam.get("/admin/search-texts/", {"q": "crocodile"}).status_code == 403
    assert not AuditEntry.objects.filter(verb="search_text").exists()


def test_deleted_and_withheld_messages_are_not_found(said: object) -> None:
    Message.objects.filter(text__contains="old").update(moderation={"action": "hold"})
    assert [one.pieces[0][0][:5] for one in search_everywhere("crocodile").messages] == ["Where"]


def test_passages_of_answers_have_no_markup(said: object) -> None:
    Message.objects.filter(text__contains="old").update(
        role="assistant",
        author=None,
        text="How **old** is a crocodile?",
        html="<p>How <strong>old</strong> is a crocodile?</p>",
    )
    passages = ["".join(piece for piece, _ in one.pieces) for one in search_everywhere("crocodile").messages]
    assert "How old is a crocodile?" in passages


def test_every_word_has_to_occur(said: object) -> None:
    assert len(search_everywhere("crocodiles sleep").messages) == 1
    assert not search_everywhere("crocodiles river").messages
    assert not search_everywhere("c").messages, "a single letter"


def test_a_page_of_too_many_people_asks_for_one(reader: Client, said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everywhere, "MAX_TERMS", 1)
    assert "Enter an email address." in page(reader, "search-texts", q="crocodile")
    assert "Seventy" not in page(reader, "search-texts", q="crocodile")


def test_of_a_common_word_the_newest_messages_are_shown(said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: they are looked for in the order of time."""
    monkeypatch.setattr(everywhere, "COMMON", 1)
    monkeypatch.setattr(everywhere, "MOST", 1)
    found = search_everywhere("crocodile")
    assert [one.pieces[0][0] for one in found.messages] == ["How old do "]
    assert found.complete


def test_it_says_when_the_newest_may_be_missing(said: object, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    assert search_everywhere("crocodile").complete
    monkeypatch.setattr(everywhere, "HITS", 1)
    assert search_everywhere("crocodile").complete, "of everybody's"
    assert not search_everywhere("crocodile", alice.pk).complete
    monkeypatch.setattr(everywhere, "COMMON", 1)
    monkeypatch.setattr(everywhere, "LOOKED_AT", 1)  # "Seventy.", which has not the word
    found = search_everywhere("crocodile")
    assert (len(found.messages), found.complete) == (1, False), "what the index had"
