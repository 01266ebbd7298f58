"""Held messages: what happens at the same time, and what the rest of the system does with them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import Reservation, User
from chat.conversations.changing import delete
from chat.conversations.snapshot import read_snapshot
from chat.models import Conversation, Member, ModerationCase, RunStatus
from chat.recovery.ledger import check_ledger, free_orphans
from chat.recovery.repair import repair
from chat.retention.erasure import ERASED, erase
from chat.retention.purge import purge
from chat.runs.claims import claim
from chat.runs.closing import mark_ended_in_log
from chat.runs.overdue import any_expired, lost_jobs
from chat.turns.releasing import HeldState, refuse_held, release_held
from chat.turns.stop import mark_stopped
from tests.fixtures.quota_rows import end, give, standing, together
from tests.fixtures.run_rows import row, say
from tests.integration.chat.turns.held import TEXT, hold, prompt_of
from tests.integration.chat.turns.held import jobs as jobs  # a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]


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
