"""Held messages: their runs wait for a reviewer, and one decision stands, whoever comes first."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import transaction

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.models import Comparison, Conversation, ModerationCase, Run
from chat.protocol.commands import MessageRegenerate
from chat.protocol.errors import Moderated, NotFound
from chat.recovery import reaper
from chat.runs.claims import claim
from chat.runs.context import read_branch
from chat.turns import releasing
from chat.turns.accept import accept
from chat.turns.releasing import HeldState, refuse_held, release_held
from chat.turns.stop import mark_stopped, notify_stopped, request_stop
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.quota_rows import give, standing
from tests.fixtures.run_rows import row, say
from tests.integration.chat.turns.held import TEXT, hold, prompt_of
from tests.integration.chat.turns.held import jobs as jobs  # a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]


class TestRelease:
    def test_the_message_has_its_text_and_the_run_a_job(self, alice: User, jobs: list[uuid.UUID]) -> None:
        accepted, case = hold(alice)
        found = release_held(case)
        assert (found.state, found.changed, found.message_id) == (HeldState.RELEASED, True, accepted.message_id)
        prompt, run = prompt_of(accepted), row(accepted.run_id)
        assert (prompt.text, prompt.moderation["action"]) == (TEXT, "release")
        assert (run.status, run.waiting_for) == ("queued", "")
        assert run.enqueued_at is not None
        assert jobs == [accepted.run_id]
        assert Conversation.objects.get().title == TEXT
        claimed = claim(accepted.run_id, "w")
        assert claimed is not None
        assert (claimed.path, claimed.run.queued_ms) == ([("user", TEXT)], 0)

    async def test_open_pages_see_it_live(self, alice: User, jobs: list[uuid.UUID], layer: None) -> None:
        accepted, case = await in_db(hold, alice)
        await announce(accepted)
        await in_db(release_held, case)
        kinds = [event["type"] for event in await logged(accepted.conversation_id)]
        assert kinds[4:] == ["message.updated", "moderation.notice", "run.resumed", "run.queued"]
        updated, notice, resumed, queued = (await logged(accepted.conversation_id))[4:]
        assert (updated["message"]["text"], "moderation" in updated["message"]) == (TEXT, False)
        assert notice["action"] == "release"
        assert (resumed["for"], resumed["attempt"], queued["attempt"]) == ("moderation", 1, 1)

    async def test_what_a_process_that_died_did_not_publish_is_published(
        self, alice: User, jobs: list[uuid.UUID], layer: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        accepted, case = await in_db(hold, alice)
        await announce(accepted)

        async def die(*_: Any) -> None:
            raise OSError("killed")

        with monkeypatch.context() as patched:
            patched.setattr(releasing, "_announce_released", die)
            await in_db(release_held, case)
        assert jobs == []
        await reaper.sweep()
        assert jobs == [accepted.run_id]
        kinds = [event["type"] for event in await logged(accepted.conversation_id)]
        assert kinds[4:] == ["message.updated", "moderation.notice", "run.resumed", "run.queued"]

    async def test_a_message_that_was_never_announced_is(self, alice: User, jobs: list[uuid.UUID], layer: None) -> None:
        accepted, case = await in_db(hold, alice)
        await in_db(release_held, case)
        kinds = [event["type"] for event in await logged(accepted.conversation_id)]
        assert kinds[0] == "message.created"
        assert kinds[-1] == "run.queued"

    def test_it_may_be_part_of_a_transaction(self, alice: User, jobs: list[uuid.UUID]) -> None:
        accepted, case = hold(alice)
        with transaction.atomic():
            release_held(case)
            transaction.set_rollback(True)
        assert (prompt_of(accepted).text, row(accepted.run_id).status, jobs) == ("", "waiting", [])

    def test_only_once(self, alice: User, jobs: list[uuid.UUID]) -> None:
        accepted, case = hold(alice)
        release_held(case)
        again = release_held(case)
        assert (again.state, again.changed) == (HeldState.RELEASED, False)
        assert refuse_held(case).state is HeldState.RELEASED
        assert jobs == [accepted.run_id]

    def test_several_answers(self, alice: User, jobs: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch) -> None:
        names = [{"id": one, "label": one} for one in ("a", "b")]
        monkeypatch.setattr("chat.catalog.offered_models.published_models", lambda: names)
        accepted, case = hold(alice, models=["a", "b"])
        assert Comparison.objects.count() == 1
        mark_stopped(accepted.run_id)
        assert prompt_of(accepted).moderation["action"] == "hold"
        release_held(case)
        assert sorted(Run.objects.values_list("status", flat=True)) == ["queued", "stopped"]
        assert len(jobs) == 1

    def test_an_unknown_case(self, alice: User) -> None:
        with pytest.raises(NotFound):
            release_held(uuid.uuid4())
        case = ModerationCase.objects.create(
            target="refused", target_id=uuid.uuid4(), direction="asked", origin="rule", action="block"
        )
        with pytest.raises(NotFound):
            release_held(case.pk)


class TestRefuse:
    async def test_the_run_ends_as_moderated_and_costs_nothing(self, alice: User, layer: None) -> None:
        await in_db(give, alice, 5)
        accepted, case = await in_db(hold, alice)
        await announce(accepted)
        assert (await in_db(refuse_held, case, "No badgers.")).state is HeldState.REFUSED
        run = await in_db(row, accepted.run_id)
        assert (run.status, run.error_code, run.error_message, run.ended_in_log) == (
            "stopped", "moderated", "No badgers.", True,
        )  # fmt: skip
        prompt = await in_db(prompt_of, accepted)
        assert (prompt.text, prompt.moderation["action"], prompt.moderation["reason"]) == ("", "block", "No badgers.")
        assert await in_db(standing, alice) == {"messages": (0, 0)}
        events = (await logged(accepted.conversation_id))[4:]
        assert events[0]["type"] == "run.stopped"
        assert (events[0]["code"], events[1]["message"]["moderation"]["action"]) == ("moderated", "block")
        snapshot = await read_snapshot(accepted.conversation_id)
        assert snapshot.messages[0]["moderation"]["reason"] == "No badgers."

    def test_it_cannot_be_regenerated_and_is_in_no_context(self, alice: User) -> None:
        accepted, case = hold(alice)
        refuse_held(case)
        answer = row(accepted.run_id).message_id
        with pytest.raises(Moderated) as refused:
            accept(alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))
        assert refused.value.case_id == case
        next_one = say(alice, "Hello", accepted.conversation_id)
        assert read_branch(next_one.message_id).path == [("user", "Hello")]

    def test_an_appeal_that_is_granted_gives_the_text_back(self, alice: User, jobs: list[uuid.UUID]) -> None:
        accepted, case = hold(alice)
        refuse_held(case)
        assert release_held(case).changed
        assert (prompt_of(accepted).text, row(accepted.run_id).status, jobs) == (TEXT, "stopped", [])
        command = MessageRegenerate(message_id=row(accepted.run_id).message_id, client_id=uuid.uuid4())
        assert row(accept(alice.pk, command).run_id).status == "queued"


class TestWithdraw:
    async def test_its_author_stops_it(self, alice: User, layer: None) -> None:
        await in_db(give, alice, 5)
        accepted, case = await in_db(hold, alice)
        await announce(accepted)
        await notify_stopped(await in_db(request_stop, alice.pk, accepted.run_id))
        assert (await in_db(row, accepted.run_id)).status == "stopped"
        assert await in_db(standing, alice) == {"messages": (0, 0)}
        ended, updated = (await logged(accepted.conversation_id))[4:]
        assert (ended["type"], updated["message"]["moderation"]["action"]) == ("run.stopped", "withdrawn")
        found = await in_db(release_held, case)
        assert (found.state, found.changed) == (HeldState.WITHDRAWN, False)
        assert (await in_db(prompt_of, accepted)).text == ""

    async def test_the_end_that_a_process_did_not_publish_has_the_question_too(self, alice: User, layer: None) -> None:
        accepted, _ = await in_db(hold, alice)
        await in_db(mark_stopped, accepted.run_id)
        await in_db(Run.objects.filter(pk=accepted.run_id).update, finished_at="2020-01-01T00:00Z")
        await reaper.close_endings()
        assert [event["type"] for event in await logged(accepted.conversation_id)][-2:] == [
            "run.stopped", "message.updated",
        ]  # fmt: skip

    def test_a_reviewer_may_still_refuse_it(self, alice: User) -> None:
        accepted, case = hold(alice)
        mark_stopped(accepted.run_id)
        assert refuse_held(case).changed
        assert prompt_of(accepted).moderation["action"] == "block"
