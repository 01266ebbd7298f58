"""Held messages: their runs wait for a reviewer, and one decision stands, whoever comes first."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.db import transaction

from accounts.lib.db import in_db
from accounts.models import Reservation, User
from chat.conversations.listing import delete
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import store
from chat.models import Comparison, Conversation, Member, Message, ModerationCase, Run, RunStatus
from chat.protocol.commands import MessageRegenerate
from chat.protocol.errors import Moderated, NotFound
from chat.recovery import reaper
from chat.recovery.ledger import check_ledger, free_orphans
from chat.recovery.repair import repair
from chat.retention.erasure import ERASED, erase
from chat.retention.purge import purge
from chat.runs.closing import mark_ended_in_log
from chat.runs.context import read_branch
from chat.runs.lifecycle import claim
from chat.runs.overdue import any_expired, lost_jobs
from chat.turns import releasing
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.releasing import HeldState, refuse_held, release_held
from chat.turns.stop import mark_stopped, notify_stopped, request_stop
from chat.turns.submit import announce
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.quota_rows import end, give, standing, together
from tests.fixtures.run_rows import row, say

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]

TEXT = "Where does the badger live?"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The runs whose jobs were published; nothing is."""
    found: list[uuid.UUID] = []

    async def enqueue(run_id: uuid.UUID) -> None:
        found.append(run_id)

    monkeypatch.setattr(releasing, "enqueue", enqueue)
    monkeypatch.setattr(reaper, "enqueue", enqueue)
    return found


def hold(user: User, text: str = TEXT, **fields: Any) -> tuple[Accepted, uuid.UUID]:
    """A held message, and its case."""
    if not ModerationCase.objects.exists():
        add_rule("hold", "badger")
    accepted = say(user, text, **fields)
    return accepted, ModerationCase.objects.get(target_id=accepted.message_id).pk


def prompt_of(accepted: Accepted) -> Message:
    return Message.objects.get(pk=accepted.message_id)


async def logged(conversation_id: uuid.UUID) -> list[dict[str, Any]]:
    here, _ = await store.position(conversation_id)
    return [json.loads(entry.body) for entry in await store.entries(conversation_id, after=0, until=here.seq)]


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


class TestRaces:
    @pytest.mark.parametrize("_round", range(4))
    def test_stop_against_release(self, alice: User, jobs: list[uuid.UUID], _round: int) -> None:
        give(alice, 5)
        accepted, case = hold(alice)
        together(2, lambda number: release_held(case) if number else mark_stopped(accepted.run_id))
        run, prompt = row(accepted.run_id), prompt_of(accepted)
        # Whoever came first: a released message has its text, also if its run was stopped right after.
        assert (run.status, prompt.text) in {("queued", TEXT), ("stopped", TEXT), ("stopped", "")}
        assert bool(prompt.text) == (prompt.moderation["action"] == "release")
        assert standing(alice) == {"messages": (0, 1 if run.status == "queued" else 0)}

    @pytest.mark.parametrize("_round", range(4))
    def test_two_reviewers(self, alice: User, jobs: list[uuid.UUID], _round: int) -> None:
        accepted, case = hold(alice)
        found = together(2, lambda _: refuse_held(case))
        assert sorted(one.changed for one in found) == [False, True]
        assert row(accepted.run_id).status == "stopped"
        assert not Reservation.objects.exists()

    def test_release_of_a_conversation_in_the_trash(self, alice: User, jobs: list[uuid.UUID]) -> None:
        accepted, case = hold(alice)
        delete(alice.pk, accepted.conversation_id)
        assert release_held(case).state is HeldState.RELEASED
        assert prompt_of(accepted).text == TEXT

    def test_release_of_a_conversation_that_is_gone(self, alice: User) -> None:
        accepted, case = hold(alice)
        Conversation.objects.filter(pk=accepted.conversation_id).delete()
        assert release_held(case).state is HeldState.GONE
        assert refuse_held(case).state is HeldState.GONE

    def test_release_after_the_account_was_erased(self, alice: User, bob: User) -> None:
        give(alice, 5)
        accepted, case = hold(alice)
        Member.objects.create(conversation_id=accepted.conversation_id, user=bob, role="editor")
        erase(alice)
        prompt, run = prompt_of(accepted), row(accepted.run_id)
        assert (prompt.text, prompt.moderation, run.status) == (ERASED, {}, "stopped")
        assert release_held(case).state is HeldState.GONE
        assert not Reservation.objects.exists()
        assert not check_ledger()


class TestEngine:
    def test_nothing_takes_a_waiting_run_up(self, alice: User) -> None:
        give(alice, 5)
        accepted, _ = hold(alice)
        assert claim(accepted.run_id, "w") is None
        assert not any_expired()
        assert lost_jobs(-1, -1, empty=True) == []
        assert repair(dry_run=True) == []
        assert free_orphans() == 0
        assert row(accepted.run_id).status == "waiting"

    def test_a_purge_deletes_it_with_its_conversation(self, alice: User, settings: Any) -> None:
        give(alice, 5)
        accepted, case = hold(alice)
        delete(alice.pk, accepted.conversation_id)
        Conversation.objects.update(deleted_at="2020-01-01T00:00Z")
        assert list(purge())
        assert not Conversation.objects.exists()
        free_orphans()
        assert not Reservation.objects.exists()
        assert ModerationCase.objects.get(pk=case).conversation_id is None

    async def test_a_snapshot_says_what_it_waits_for(self, alice: User, layer: None) -> None:
        accepted, _ = await in_db(hold, alice)
        snapshot = await read_snapshot(accepted.conversation_id)
        prompt, answer = snapshot.messages
        assert (prompt["text"], prompt["moderation"]["action"]) == ("", "hold")
        assert (answer["run"]["status"], answer["run"]["waiting_for"]) == ("waiting", "moderation")
        assert [run["run_id"] for run in snapshot.runs] == [str(accepted.run_id)]

    def test_another_answer_goes_on_meanwhile(self, alice: User) -> None:
        first = say(alice)
        end(first.run_id)
        mark_ended_in_log([first.run_id])
        hold(alice)
        assert row(say(alice, "Next", first.conversation_id).run_id).status == RunStatus.QUEUED
