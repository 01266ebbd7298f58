"""What readers get of a comparison while it is made, chosen and tried again, and how it is titled."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import read_snapshot, read_state
from chat.conversations.titles import find_untitled
from chat.models import Run
from chat.recovery.reaper import close_endings
from chat.turns.choosing import accept_choice
from chat.turns.stop import mark_stopped
from tests.fixtures.logged_events import logged
from tests.integration.chat.turns.comparing import THREE, compare, finish, finished, retry


@pytest.fixture(autouse=True)
def _offered(one_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from chat.catalog import offered_models

    offered = [{"id": name, "label": name} for name in (*THREE, "tiny", "huge")]
    monkeypatch.setattr(offered_models, "published_models", lambda: offered)


pytestmark = [pytest.mark.django_db(transaction=True)]


class TestTitles:
    def test_the_first_answer_that_ends_names_the_conversation(self, alice: User) -> None:
        accepted = compare(alice)
        second, first, third = accepted.several
        finish(first.pk, "one")
        finish(second.pk, "two")
        named = [find_untitled(run.message_id, chars=100) for run in (first, second)]
        assert named[0] is not None
        assert named[0].answer == "one"
        assert named[1] is None
        assert find_untitled(third.message_id, chars=100) is None  # still in progress


class TestWhatReadersGet:
    async def test_a_page_gets_the_newest_answer_at_each_place(self, alice: User, layer: None) -> None:
        accepted = await in_db(finished, alice)
        await in_db(retry, alice, accepted.several[0].message_id)
        state = await read_state(accepted.conversation_id)
        assert state.side_by_side == 3
        assert [shown.get("slot") for shown in state.messages] == [None, 1, 2, 3]
        assert [shown["text"] for shown in state.messages] == ["Hello", "", "two", "three"]
        assert state.messages[0]["comparison"] == {"size": 3, "chosen": None}
        assert len(state.messages[1]["versions"]) == 4
        assert [run["status"] for run in state.runs] == ["queued"]

    async def test_a_page_gets_the_chosen_one_and_its_versions(self, alice: User, layer: None) -> None:
        accepted = await in_db(finished, alice)
        await in_db(accept_choice, alice.pk, accepted.several[1].message_id)
        state = await read_state(accepted.conversation_id)
        assert (state.side_by_side, [shown["text"] for shown in state.messages]) == (0, ["Hello", "two"])
        assert state.messages[1]["versions"] == [str(run.message_id) for run in accepted.several]
        snapshot = await read_snapshot(accepted.conversation_id)
        assert snapshot.messages[0]["comparison"]["chosen"] == str(accepted.several[1].message_id)
        assert [shown.get("slot") for shown in snapshot.messages] == [None, 1, 2, 3]

    async def test_an_end_that_was_lost_is_closed_for_each(self, alice: User, layer: None) -> None:
        accepted = await in_db(compare, alice)
        for run in accepted.several:
            await in_db(mark_stopped, run.pk)
        await in_db(lambda: Run.objects.update(finished_at="2026-01-01T00:00:00Z"))
        await close_endings()
        events = await logged(accepted.conversation_id)
        assert sum(event["type"] == "run.stopped" for event in events) == 3
        created = [event["message"] for event in events if event["type"] == "message.created"]
        assert {one["slot"] for one in created if "slot" in one} == {1, 2, 3}
