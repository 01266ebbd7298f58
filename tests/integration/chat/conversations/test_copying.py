"""A path of messages is copied into a conversation of one's own, without what the copy may not have."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from chat.conversations import copying
from chat.conversations.copying import Rules, copy_path, fork
from chat.conversations.snapshot import read_state
from chat.models import Conversation, Member, Message, Reasoning, Role, Run, RunStatus
from chat.portability.markdown_export import to_markdown
from chat.protocol.errors import Busy, NotFound, TooLarge
from chat.retention.erasure import erase
from chat.runs.context import read_branch
from tests.fixtures.conversation_rows import make_conversation, make_version
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    """Alice's, of four messages; the second question is by Bob, an editor. The first answer was thought of."""
    found = make_conversation(alice, 4, title="Crocodiles")
    Member.objects.create(conversation=found, user=bob, role=Role.EDITOR)
    first, answer, second, _ = path_of(found)
    Message.objects.filter(pk=second.pk).update(author=bob)
    run = Run.objects.create(
        conversation=found, prompt=first, message=answer, model="m", status=RunStatus.DONE, attempt=1, cost=3,
        output_tokens=5, reasoning_chars=3, requested_by=alice, finished_at=answer.created_at, ended_in_log=True,
    )  # fmt: skip
    Reasoning.objects.create(run=run, text="hmm")
    return found


def path_of(conversation: Conversation) -> list[Message]:
    return list(Message.objects.filter(conversation=conversation).select_related("author").order_by("created_at"))


def shown(conversation: Conversation) -> list[dict[str, Any]]:
    from asgiref.sync import async_to_sync

    return async_to_sync(read_state)(conversation.pk).messages


def test_the_path_up_to_a_message_is_copied_with_its_thinking(shared: Conversation, bob: User) -> None:
    source = path_of(shared)
    make_version(source[2], "another branch")
    copy = fork(bob.pk, source[2].pk)
    assert copy.title == "Crocodiles (copy)"
    assert copy.tip_id == path_of(copy)[-1].pk
    assert [row.text for row in path_of(copy)] == ["text 0", "text 1", "text 2"]
    assert [row.created_at for row in path_of(copy)] == [row.created_at for row in source[:3]]
    assert list(copy.memberships.values_list("user", "role")) == [(bob.pk, "owner")]
    answer = shown(copy)[1]
    assert answer["run"]["reasoning"]["text"] == "hmm"
    run = Run.objects.get(conversation=copy)
    assert (run.cost, run.output_tokens, run.requested_by, run.attempt) == (None, None, None, 0)


def test_names_of_others_stay_as_text(shared: Conversation, bob: User, alice: User) -> None:
    copy = fork(bob.pk, path_of(shared)[-1].pk)
    alice.name = "Somebody else"
    alice.save()
    authors = [message["author"] for message in shown(copy)]
    assert authors == [{"id": None, "name": "Alice"}, None, {"id": str(bob.pk), "name": "Bob"}, None]
    branch = read_branch(path_of(copy)[2].pk)
    assert branch.authors == ["Alice", "", "Bob"]
    again = fork(bob.pk, path_of(copy)[-1].pk)
    assert shown(again)[0]["author"] == {"id": None, "name": "Alice"}


def test_a_copy_of_a_share_may_hide_names_and_thinking(shared: Conversation, mallory: User) -> None:
    copy = copy_path(shared, path_of(shared)[-1].pk, mallory, Rules(names=False, thinking=False, prompt=False))
    assert {message["author"]["name"] for message in shown(copy) if message["role"] == "user"} == {"Somebody"}
    assert read_branch(path_of(copy)[2].pk).authors == ["Somebody", "", "Somebody (2)"]
    exported = to_markdown(Member.objects.select_related("conversation").get(conversation=copy))
    assert "Alice" not in exported
    assert "## Somebody" in exported
    assert not Reasoning.objects.filter(run__conversation=copy).exists()
    assert "reasoning" not in shown(copy)[1]["run"]


def test_what_an_erased_author_wrote_is_erased_in_copies(shared: Conversation, bob: User, alice: User) -> None:
    copy = fork(bob.pk, path_of(shared)[-1].pk)
    erase(alice)
    assert [row.text for row in path_of(copy)] == ["(erased)", "text 1", "text 2", "text 3"]
    assert shown(copy)[0]["author"] is None


@pytest.mark.parametrize("action", ["hold", "block", "withdrawn"])
def test_withheld_texts_are_never_copied(shared: Conversation, bob: User, action: str) -> None:
    case = {"action": action, "reason": "Why.", "case_id": str(uuid.uuid4())}
    Message.objects.filter(pk=path_of(shared)[0].pk).update(moderation=case, text="must not be seen")
    copy = fork(bob.pk, path_of(shared)[-1].pk)
    assert path_of(copy)[0].text == ""
    assert path_of(copy)[0].moderation == {**case, "action": "block"}


def test_a_masked_text_is_copied_masked(shared: Conversation, bob: User) -> None:
    case = {"action": "mask", "reason": "Why.", "case_id": str(uuid.uuid4())}
    Message.objects.filter(pk=path_of(shared)[0].pk).update(moderation=case, text="a ***")
    copy = fork(bob.pk, path_of(shared)[-1].pk)
    assert (path_of(copy)[0].text, path_of(copy)[0].moderation) == ("a ***", case)


def test_a_viewer_gets_no_system_prompt(shared: Conversation, bob: User, alice: User) -> None:
    Conversation.objects.filter(pk=shared.pk).update(system_prompt="secret", temperature=0.5)
    Member.objects.filter(user=bob).update(role=Role.VIEWER)
    leaf = path_of(shared)[-1].pk
    assert (fork(bob.pk, leaf).system_prompt, fork(alice.pk, leaf).system_prompt) == ("", "secret")
    assert fork(bob.pk, leaf).temperature == 0.5


def test_a_temporary_conversation_stays_temporary(shared: Conversation, alice: User) -> None:
    Conversation.objects.filter(pk=shared.pk).update(temporary=True)
    assert fork(alice.pk, path_of(shared)[-1].pk).temporary


def test_a_message_being_written_and_a_strangers_are_refused(alice: User, mallory: User) -> None:
    turn = say(alice)
    answer = Run.objects.get(pk=turn.run_id).message_id
    with pytest.raises(Busy):
        fork(alice.pk, answer)
    assert [one.text for one in path_of(fork(alice.pk, turn.message_id))] == ["Hello"]  # the question is there
    for stranger, message in ((mallory, turn.message_id), (alice, uuid.uuid4())):
        with pytest.raises(NotFound):
            fork(stranger.pk, message)


def test_ten_thousand_messages_are_copied_and_more_than_the_most_refused(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = last_of_many(alice, 10_000)
    copy = fork(alice.pk, last)
    assert Message.objects.filter(conversation=copy).count() == 10_000
    monkeypatch.setattr(copying, "MOST_COPIED", 9_999)
    with pytest.raises(TooLarge):
        fork(alice.pk, last)


def test_a_longer_path_is_copied_with_as_many_queries(alice: User) -> None:
    counts = []
    for messages in (4, 4, 40):
        tip = make_conversation(alice, messages).tip_id
        assert tip is not None
        with CaptureQueriesContext(connection) as queries:
            fork(alice.pk, tip)
        counts.append(len(queries))
    assert counts[1] == counts[2], "the first copy also reads what this process keeps"


def last_of_many(owner: User, messages: int) -> uuid.UUID:
    """The last message of a path that PostgreSQL makes: writing each row here takes as long as copying it."""
    conversation = make_conversation(owner, 1)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH path AS MATERIALIZED (SELECT n, gen_random_uuid() AS id FROM generate_series(2, %s) n)
            INSERT INTO chat_message (id, conversation_id, parent_id, role, author_id, text, html, status, created_at)
            SELECT path.id, %s, coalesce(before.id, %s), CASE path.n %% 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
                CASE path.n %% 2 WHEN 1 THEN %s::uuid END, 'text', '', 'complete', now() + path.n * interval '1 s'
            FROM path LEFT JOIN path before ON before.n = path.n - 1
            """,
            [messages, conversation.pk, conversation.tip_id, owner.pk],
        )
    return Message.objects.filter(conversation=conversation).latest("created_at").pk


def test_a_fork_over_http(shared: Conversation, bob: User, mallory: User) -> None:
    url = f"/messages/{path_of(shared)[1].pk}/fork/"
    answer = logged_in(bob).post(url)
    copy = Conversation.objects.get(pk=answer.json()["conversation_id"])
    assert answer.json() == {"conversation_id": str(copy.pk), "title": "Crocodiles (copy)", "url": f"/c/{copy.pk}/"}
    assert logged_in(bob).get(answer.json()["url"]).status_code == 200
    assert logged_in(mallory).post(url).status_code == 404
    assert logged_in(bob).get(url).status_code == 405
