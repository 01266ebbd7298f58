"""What the models' search finds: in one's own conversations, and among others only in what all of them may read."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts.models import User
from chat.models import Conversation, Member, Message, MessageRole, Role, Run, Step, StepKind, ToolCall, ToolFile
from chat.search import any_words, finding
from chat.search.any_words import search_for_readers

pytestmark = pytest.mark.usefixtures("db")


def conversation(*members: User, title: str = "Plans", text: str = "", **fields: object) -> Conversation:
    made = Conversation.objects.create(title=title, **fields)
    for member in members:
        Member.objects.create(conversation=made, user=member, role=Role.OWNER)
    if text:
        Message.objects.create(conversation=made, role=MessageRole.USER, author=members[0], text=text)
    return made


def add_file(where: Conversation, name: str, content: bytes) -> None:
    """A file that a tool made in a conversation."""
    types = {"csv": "text/csv", "txt": "text/plain", "png": "image/png"}
    answer = Message.objects.create(conversation=where, role=MessageRole.ASSISTANT, text="")
    run = Run.objects.create(conversation=where, message=answer, prompt=answer, model="small")
    step = Step.objects.create(run=run, number=1, attempt=1, kind=StepKind.TOOL)
    call = ToolCall.objects.create(run=run, step=step, model_step=step, place=0, name="make_file", title="Make a file")
    ToolFile.objects.create(
        conversation=where, call=call, name=name, media_type=types[name[-3:]], size=len(content), content=content
    )


def found(user: User, here: Conversation, query: str = "Rome") -> list[str]:
    return [one.passage for one in search_for_readers(user.pk, here.pk, query, 20)]


def test_ones_own_conversations_are_searched(alice: User, mallory: User) -> None:
    here = conversation(alice, text="Rome here")
    conversation(alice, text="We go to Rome in May.")
    conversation(alice, text="Romeo and Juliet")
    conversation(alice, title="Rome", text="by its title")
    conversation(mallory, text="Rome of another person")
    conversation(alice, text="Rome, temporary", temporary=True)
    conversation(alice, text="Rome, in the trash", deleted_at=timezone.now())
    gone = conversation(alice, text="Rome, deleted")
    Message.objects.filter(conversation=gone).update(deleted_at=timezone.now())
    assert set(found(alice, here)) == {"We go to Rome in May.", "Romeo and Juliet", "by its title"}
    assert found(alice, here, "Paris") == []
    assert found(alice, here, "!?&|():*'") == []


def test_who_is_no_member_finds_nothing(alice: User, mallory: User) -> None:
    here = conversation(alice)
    conversation(mallory, text="Rome")
    assert found(mallory, here) == []


def test_among_others_only_what_all_of_them_may_read(alice: User, bob: User, mallory: User) -> None:
    here = conversation(alice, bob)
    conversation(alice, text="Rome, Alice's own")
    conversation(bob, text="Rome, Bob's own")
    conversation(alice, bob, text="Rome, of both")
    conversation(alice, bob, mallory, text="Rome, of all")
    assert set(found(alice, here)) == {"Rome, of both", "Rome, of all"}
    Member.objects.create(conversation=here, user=mallory, role=Role.VIEWER)
    assert found(alice, here) == ["Rome, of all"]


def test_messages_with_most_words_come_first_and_passages_are_cut(alice: User) -> None:
    here = conversation(alice)
    conversation(alice, text="Only trains.")
    conversation(alice, text="x " * 2000 + "night trains to Rome" + " y" * 60_000)
    best, other = search_for_readers(alice.pk, here.pk, "night trains Rome", 20)
    assert "night trains to Rome" in best.passage
    assert len(best.passage) <= 502
    assert other.passage == "Only trains."
    assert len(search_for_readers(alice.pk, here.pk, "trains", 1)) == 1


def test_of_a_title_the_first_message_is_found_once(alice: User) -> None:
    here = conversation(alice)
    trip = conversation(alice, title="Trains to Rome", text="Which night train is there?")
    Message.objects.create(conversation=trip, role=MessageRole.ASSISTANT, text="None any more.")
    assert found(alice, here, "Rome") == ["Which night train is there?"]
    assert found(alice, here, "night Rome") == ["Which night train is there?"]


def test_accents_case_and_scripts_without_spaces(alice: User) -> None:
    here = conversation(alice)
    conversation(alice, text="Le déjeuner à Genève")
    conversation(alice, text="东京塔很高")
    conversation(alice, text="京塔东京")  # has the same pairs of characters
    assert found(alice, here, "GENEVE dejeuner") == ["Le déjeuner à Genève"]
    assert found(alice, here, "东京塔") == ["东京塔很高"]


def test_of_very_many_messages_those_with_all_words_come_first(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "FEW", 2)
    monkeypatch.setattr(any_words, "FEW", 2)
    here = conversation(alice)
    conversation(alice, text="night trains to Rome")
    for number in range(5):
        conversation(alice, text=f"train number {number}")
    first, *others = found(alice, here, "train night")
    assert first == "night trains to Rome"
    assert set(others) == {f"train number {number}" for number in range(5)}


def test_a_passage_far_into_a_long_text(alice: User) -> None:
    here = conversation(alice)
    conversation(alice, text="word " * 8_000 + "a walrus here" + " word" * 1_000)
    [passage] = found(alice, here, "walrus")
    assert "a walrus here" in passage
    assert passage.startswith("…")


def test_text_files_of_tools_are_found_too(alice: User, bob: User) -> None:
    here = conversation(alice)
    mine, theirs = conversation(alice, title="Trips"), conversation(bob, title="Theirs")
    for where, name, content in (
        (mine, "trains.csv", b"train,to\nnight,Rome\n"),
        (mine, "map.png", b"Rome"),
        (theirs, "secret.txt", b"Rome"),
    ):
        add_file(where, name, content)
    [one] = search_for_readers(alice.pk, here.pk, "Rome night", 20)
    assert (one.file, one.title, one.role) == ("trains.csv", "Trips", "")
    assert "night,Rome" in one.passage
    assert [one.file for one in search_for_readers(alice.pk, here.pk, "trains", 20)] == ["trains.csv"], "by its name"


def test_files_are_read_up_to_a_limit(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    here, mine = conversation(alice), conversation(alice)
    for name in ("old.txt", "new.txt"):
        add_file(mine, name, b"walrus " * 10)
    monkeypatch.setattr(any_words, "READ_BYTES", 100)
    assert [one.file for one in search_for_readers(alice.pk, here.pk, "walrus", 20)] == ["new.txt"]
