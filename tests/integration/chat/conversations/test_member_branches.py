"""Each member looks at a branch of their own; nobody is taken to another one by what somebody else writes."""

from __future__ import annotations

import uuid

import pytest
from asgiref.sync import async_to_sync

from accounts.models import User
from chat.conversations import snapshot
from chat.conversations.member_branches import tip_of, view_branch
from chat.conversations.snapshot import read_snapshot
from chat.models import Conversation, Member, Message, Role, Run, RunStatus
from chat.portability.export import conversation_data
from chat.portability.markdown_export import to_markdown
from chat.protocol.commands import MessageContinue, MessageEdit, MessageRegenerate
from chat.protocol.errors import Busy, NotFound
from chat.runs.claims import claim
from chat.runs.context import read_branch
from chat.runs.ending import Ending, end_run
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.continuing import accept_continue
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import row, say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def begun(alice: User, bob: User) -> Accepted:
    """Alice's question with its answer, in a conversation in which Bob writes, too."""
    turn = say(alice, "Which crocodile?")
    Member.objects.create(conversation_id=turn.conversation_id, user=bob, role=Role.EDITOR)
    return finish(turn)


def finish(turn: Accepted, text: str = "The Nile crocodile.", status: RunStatus = RunStatus.DONE) -> Accepted:
    assert claim(turn.run_id, "w") is not None
    assert end_run(turn.run_id, 1, status, Ending(text)) is not None
    return turn


def answer_of(turn: Accepted) -> uuid.UUID:
    return row(turn.run_id).message_id


def edit(user: User, message_id: uuid.UUID, text: str = "Which alligator?") -> Accepted:
    return accept(user.pk, MessageEdit(message_id=message_id, client_id=uuid.uuid4(), text=text))


def regenerate(user: User, message_id: uuid.UUID) -> Accepted:
    return accept(user.pk, MessageRegenerate(message_id=message_id, client_id=uuid.uuid4()))


def test_an_edit_moves_its_author_and_nobody_else(begun: Accepted, alice: User, bob: User) -> None:
    edited = edit(alice, begun.message_id)
    assert tip_of(alice.pk, begun.conversation_id) == answer_of(edited)
    assert tip_of(bob.pk, begun.conversation_id) == answer_of(begun)


def test_a_regenerated_answer_moves_who_asked_and_nobody_else(begun: Accepted, alice: User, bob: User) -> None:
    again = regenerate(bob, answer_of(begun))
    assert tip_of(bob.pk, begun.conversation_id) == answer_of(again)
    assert tip_of(alice.pk, begun.conversation_id) == answer_of(begun)


def test_everybody_goes_with_a_message_below_what_they_look_at(begun: Accepted, alice: User, bob: User) -> None:
    finish(edit(alice, begun.message_id))
    below = finish(say(bob, "And where?", begun.conversation_id))
    assert row(below.run_id).prompt.parent_id == answer_of(begun)
    view_branch(alice.pk, begun.message_id)
    below = say(bob, "And when?", begun.conversation_id)
    for member in (alice, bob):
        assert tip_of(member.pk, begun.conversation_id) == answer_of(below)


def test_members_write_on_their_own_branches_at_once(begun: Accepted, alice: User, bob: User) -> None:
    edited = edit(alice, begun.message_id)  # in progress
    below = say(bob, "And where?", begun.conversation_id)
    assert row(below.run_id).prompt.parent_id == answer_of(begun)
    assert [text for _, text in read_branch(below.message_id).path] == [
        "Which crocodile?", "The Nile crocodile.", "And where?",
    ]  # fmt: skip
    with pytest.raises(Busy):  # one at a time on a branch
        say(alice, "Well?", begun.conversation_id)
    assert tip_of(alice.pk, begun.conversation_id) == answer_of(edited)
    assert tip_of(bob.pk, begun.conversation_id) == answer_of(below)


def test_an_answer_is_continued_while_another_branch_is_answered(begun: Accepted, alice: User, bob: User) -> None:
    cut = finish(regenerate(bob, answer_of(begun)), "The Nile", RunStatus.STOPPED)
    edit(alice, begun.message_id)  # in progress
    going_on = accept_continue(bob.pk, MessageContinue(message_id=answer_of(cut), client_id=uuid.uuid4()))
    assert tip_of(bob.pk, begun.conversation_id) == going_on.message_id == answer_of(cut)


def test_one_person_alone_has_no_branch_to_keep(alice: User) -> None:
    turn = finish(say(alice, "Which crocodile?"))
    edited = finish(edit(alice, turn.message_id))
    assert Member.objects.get(user=alice).tip_id is None
    view_branch(alice.pk, turn.message_id)
    assert tip_of(alice.pk, turn.conversation_id) == answer_of(turn)
    below = say(alice, "And where?", turn.conversation_id)
    assert row(below.run_id).prompt.parent_id == answer_of(turn)
    view_branch(alice.pk, answer_of(below))
    assert Member.objects.get(user=alice).tip_id is None
    view_branch(alice.pk, edited.message_id)
    assert Member.objects.get(user=alice).tip_id == answer_of(edited)


def test_a_page_an_export_and_a_snapshot_show_the_readers_own_branch(
    begun: Accepted, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "SNAPSHOT_MESSAGES", 2)
    edited = finish(edit(alice, begun.message_id), "The American alligator.")
    for member, shown, hidden in ((alice, "American", "Nile"), (bob, "Nile", "American")):
        page = logged_in(member).get(f"/c/{begun.conversation_id}/").content.decode()
        assert shown in page
        assert hidden not in page
        own = Member.objects.select_related("conversation").get(user=member)
        assert shown in to_markdown(own)
        assert hidden not in to_markdown(own)
        assert conversation_data(own)["tip"] == str(tip_of(member.pk, begun.conversation_id))
    state = async_to_sync(read_snapshot)(begun.conversation_id, bob.pk)
    assert state.tip_id == answer_of(begun)
    assert [one["text"] for one in state.messages] == [
        "Which crocodile?", "The Nile crocodile.", "Which alligator?", "The American alligator.",
    ]  # fmt: skip
    newest = async_to_sync(read_snapshot)(begun.conversation_id, alice.pk)
    assert newest.tip_id == answer_of(edited)
    assert [one["text"] for one in newest.messages] == ["Which alligator?", "The American alligator."]
    assert newest.has_more


def test_the_answers_event_says_who_asked(begun: Accepted, bob: User) -> None:
    again = regenerate(bob, answer_of(begun))
    created = b"".join(body for body, _ in again.announcements[0].events)
    assert f'"asked_by":{{"id":"{bob.pk}","name":"Bob"}}'.encode() in created


def test_a_stranger_cannot_look_at_a_branch(begun: Accepted, mallory: User) -> None:
    for unknown in (begun.message_id, uuid.uuid4()):
        with pytest.raises(NotFound):
            view_branch(mallory.pk, unknown)


def test_a_deleted_branch_leaves_its_reader_at_the_newest(begun: Accepted, alice: User, bob: User) -> None:
    edited = finish(edit(alice, begun.message_id))
    Conversation.objects.filter(pk=begun.conversation_id).update(tip=answer_of(edited))
    Run.objects.filter(pk=begun.run_id).delete()
    Message.objects.filter(pk=begun.message_id).delete()
    assert tip_of(bob.pk, begun.conversation_id) == answer_of(edited)


def test_a_send_into_the_middle_keeps_others_where_they_are(begun: Accepted, alice: User, bob: User) -> None:
    later = finish(say(alice, "And where?", begun.conversation_id))
    aside = say(bob, "Why?", begun.conversation_id, parent_id=answer_of(begun))
    assert tip_of(alice.pk, begun.conversation_id) == answer_of(later)
    assert tip_of(bob.pk, begun.conversation_id) == answer_of(aside)


def test_a_message_that_asks_nobody_keeps_others_where_they_are(begun: Accepted, alice: User, bob: User) -> None:
    later = finish(say(alice, "And where?", begun.conversation_id))
    note = say(bob, "Hm", begun.conversation_id, parent_id=answer_of(begun), ask=False)
    assert tip_of(alice.pk, begun.conversation_id) == answer_of(later)
    assert tip_of(bob.pk, begun.conversation_id) == note.message_id
    below = say(bob, "Well", begun.conversation_id, ask=False)
    assert Message.objects.get(pk=below.message_id).parent_id == note.message_id
