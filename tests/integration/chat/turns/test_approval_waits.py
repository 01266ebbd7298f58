"""Runs that wait for people to decide about calls of tools: what they hold, how long, and what ends the wait."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F

from accounts.lib.db import in_db
from accounts.models import Price, Reservation, Unit, User
from accounts.quotas.reservations import reserve_step
from chat.conversations.changing import delete, restore
from chat.models import Message, Run, Step, ToolApproval, ToolCall, ToolDecision
from chat.protocol.errors import ChatError, Conflict, NotFound
from chat.recovery.approvals import recover_approvals
from chat.recovery.ledger import check_ledger, free_orphans
from chat.recovery.repair import repair
from chat.retention.erasure import erase
from chat.runs import approval_log
from chat.runs.approval_log import announce_wait
from chat.runs.approvals import Wait, wait_for_approval
from chat.runs.claims import claim
from chat.runs.decisions import EXPIRED, expire_approvals
from chat.runs.overdue import any_expired, lost_jobs
from chat.turns.accept import accept
from chat.turns.stop import mark_stopped, notify_stopped, request_stop
from tests.fixtures.logged_events import logged
from tests.fixtures.quota_rows import give, standing, together
from tests.fixtures.run_rows import message, shift
from tests.fixtures.tool_rows import OWNER, TEXT, WHY, waiting, with_calls
from tests.integration.chat.turns.deciding import decide, join, make_late
from tests.integration.chat.turns.deciding import jobs as jobs  # a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]


class TestWaiting:
    def test_everything_is_given_back_but_the_text(self, alice: User) -> None:
        give(alice, 100)
        found = waiting(alice)
        run, call = found.row(), found.call()
        assert (run.status, run.waiting_for, run.lease_owner, run.lease_expires_at, run.enqueued_at) == (
            "waiting", "approval", "", None, None,
        )  # fmt: skip
        assert not Reservation.objects.exists()
        assert standing(alice)["messages"] == (1, 0), "what was used stays booked"
        assert Message.objects.values_list("text", "status").get(pk=run.message_id) == (TEXT, "pending")
        assert (call.status, call.why, call.decision) == ("waiting", WHY, "")
        assert call.expires_at is not None
        step = Step.objects.get(run=run, kind="approval")
        assert (step.number, step.attempt, step.status) == (3, 1, "running")
        assert timedelta(hours=71) < call.expires_at - step.started_at <= timedelta(hours=72)

    def test_usage_that_is_booked_stays(self, alice: User) -> None:
        Price.objects.create(model="", input_per_million=Decimal(10_000), output_per_million=Decimal(10_000))
        give(alice, 10, Unit.MONEY)
        found = with_calls(alice)
        reserve_step(alice.pk, found.id, "small", input_tokens=1000)
        assert standing(alice)["money"][1] > 0
        assert wait_for_approval(found.run, OWNER, [Wait(found.calls[0], WHY)])
        assert standing(alice)["money"] == (Decimal("0.3"), 0)
        assert check_ledger() == []

    def test_a_worker_that_lost_the_run_changes_nothing(self, alice: User) -> None:
        found = with_calls(alice)
        waits = [Wait(found.calls[0], WHY)]
        assert not wait_for_approval(found.run, "another", waits)
        Run.objects.filter(pk=found.id).update(attempt=2)
        assert not wait_for_approval(found.run, OWNER, waits)
        Run.objects.filter(pk=found.id).update(attempt=1)
        mark_stopped(found.id)
        assert not wait_for_approval(found.run, OWNER, waits)
        assert (found.row().status, found.call().status) == ("running", "asked")

    def test_only_calls_of_the_run_that_have_not_ended_can_wait(self, alice: User) -> None:
        found, other = with_calls(alice), with_calls(alice)
        for wrong in ([], [other.calls[0]], [found.calls[0], other.calls[0]]):
            with pytest.raises(ValueError, match="call"):
                wait_for_approval(found.run, OWNER, [Wait(one, WHY) for one in wrong])
        assert found.row().status == "running"

    def test_nothing_that_repairs_and_sweeps_touches_it(self, alice: User, jobs: list[uuid.UUID]) -> None:
        give(alice, 100)
        found = waiting(alice)
        shift(found.id, created_at=-3 * 86400, started_at=-3 * 86400)
        assert not any_expired()
        assert lost_jobs(0, 0, empty=True) == []
        assert claim(found.id, "w") is None
        assert free_orphans() == 0
        assert [one for one in repair() if "allowance" not in one] == []
        assert expire_approvals() == []
        assert (found.row().status, found.call().status) == ("waiting", "waiting")

    async def test_it_is_in_the_log_once(self, alice: User, layer: None) -> None:
        found = await in_db(waiting, alice, 2)
        await announce_wait(found.id, 1)
        await announce_wait(found.id, 1)
        events = await logged(found.run.conversation_id)
        events = events[-4:]
        assert [event["type"] for event in events] == ["run.step", "tool.approval", "tool.approval", "run.waiting"]
        step, asked = events[:2]
        assert (step["step"], step["kind"], step["status"]) == (3, "approval", "running")
        assert (asked["call_id"], asked["title"], asked["why"]) == (str(found.calls[0]), "Send an email", WHY)
        assert asked["arguments"] == '{"to": "carol@example.org"}'
        assert (events[-1]["for"], events[-1]["attempt"]) == ("approval", 2)
        assert await in_db(lambda: found.row().ended_in_log)
        assert await in_db(approval_log.unannounced_waits, 0.0) == []

    async def test_recovery_announces_what_a_worker_that_died_did_not(self, alice: User, layer: None) -> None:
        found = await in_db(waiting, alice)
        await recover_approvals()
        assert await logged(found.run.conversation_id) == [], "it may be on its way"
        await in_db(Step.objects.filter(kind="approval").update, started_at=F("started_at") - timedelta(seconds=6))
        await recover_approvals()
        assert [event["type"] for event in await logged(found.run.conversation_id)][-1] == "run.waiting"


class TestTime:
    async def test_nobody_decides_in_time(self, alice: User, jobs: list[uuid.UUID], layer: None) -> None:
        found = await in_db(waiting, alice, 2)
        await announce_wait(found.id, 1)
        known = len(await logged(found.run.conversation_id))
        await in_db(make_late, found)
        await recover_approvals()
        call, run = await in_db(found.call), await in_db(found.row)
        assert (call.status, call.output, run.status) == ("denied", EXPIRED, "queued")
        assert jobs == [found.id]
        events = (await logged(found.run.conversation_id))[known:]
        assert [event["type"] for event in events] == [
            "tool.decided", "tool.result", "tool.decided", "tool.result", "run.step", "run.resumed", "run.queued",
        ]  # fmt: skip
        assert (events[0]["by"], events[0]["expired"], events[0]["decision"]) == (None, True, "deny")

    def test_a_decision_in_the_same_second(self, alice: User) -> None:
        found = waiting(alice)
        make_late(found)
        with pytest.raises(Conflict, match=EXPIRED):
            decide(alice, found)
        assert [one.queued for one in expire_approvals()] == [True]
        with pytest.raises(Conflict, match=EXPIRED):
            decide(alice, found)

    def test_processes_that_expire_at_once(self, alice: User) -> None:
        found = waiting(alice, 2)
        make_late(found)
        results = together(4, lambda _: expire_approvals())
        assert not any(isinstance(one, Exception) for one in results), results
        assert ToolDecision.objects.count() == 2
        assert found.row().status == "queued"


class TestEnds:
    async def test_a_stop_ends_the_wait(self, alice: User, layer: None) -> None:
        found = await in_db(waiting, alice, 2)
        await announce_wait(found.id, 1)
        known = len(await logged(found.run.conversation_id))
        await notify_stopped(await in_db(request_stop, alice.pk, found.id))
        run = await in_db(found.row)
        assert (run.status, run.attempt, run.waiting_for, run.ended_in_log) == ("stopped", 2, "", True)
        events = (await logged(found.run.conversation_id))[known:]
        assert [event["type"] for event in events] == [
            "run.step", "tool.call", "tool.call", "tool.result", "tool.result", "run.step", "run.step", "run.stopped",
        ]  # fmt: skip
        assert [event["status"] for event in events[3:7]] == ["cancelled"] * 4
        assert await in_db(lambda: {call.status for call in ToolCall.objects.all()}) == {"cancelled"}
        assert await in_db(lambda: Message.objects.get(pk=run.message_id).text) == TEXT

    def test_a_stop_after_the_decision_cancels_what_was_allowed(self, alice: User) -> None:
        give(alice, 100)
        found = waiting(alice)
        decide(alice, found)
        mark_stopped(found.id)
        assert (found.row().status, found.call().status) == ("stopped", "cancelled")
        assert standing(alice)["messages"] == (1, 0)
        assert check_ledger() == []

    async def test_in_the_trash_its_time_ends_and_the_model_is_not_asked(
        self, alice: User, jobs: list[uuid.UUID], layer: None
    ) -> None:
        found = await in_db(waiting, alice, 2)
        await announce_wait(found.id, 1)
        known = len(await logged(found.run.conversation_id))
        await in_db(delete, alice.pk, found.run.conversation_id)
        with pytest.raises(NotFound):
            await in_db(decide, alice, found)
        await in_db(make_late, found)
        await recover_approvals()
        run, call = await in_db(found.row), await in_db(found.call)
        assert (run.status, run.error_code, run.error_message) == ("stopped", "expired", EXPIRED)
        assert (call.status, call.output, jobs) == ("denied", EXPIRED, [])
        events = (await logged(found.run.conversation_id))[known:]
        assert [event["type"] for event in events] == [
            "tool.decided", "tool.result", "tool.decided", "tool.result", "run.step", "run.step", "run.stopped",
        ]  # fmt: skip
        assert await in_db(lambda: Message.objects.get(pk=run.message_id).text) == TEXT
        assert await in_db(check_ledger) == []

    def test_restored_in_time_it_goes_on(self, alice: User) -> None:
        found = waiting(alice)
        delete(alice.pk, found.run.conversation_id)
        restore(alice.pk, found.run.conversation_id)
        make_late(found)
        assert [one.queued for one in expire_approvals()] == [True]

    def test_erasure_ends_what_the_erased_asked_for(self, alice: User, bob: User) -> None:
        found = waiting(alice)
        join(bob, found, "owner")
        erase(alice)
        assert (found.row().status, found.call().status) == ("stopped", "cancelled")

    def test_erasure_of_who_decided(self, alice: User, bob: User) -> None:
        found = waiting(alice, 2)
        join(bob, found)
        decide(bob, found, "conversation")
        erase(bob)
        assert (ToolDecision.objects.get().by, found.call().decided_by) == (None, None)
        assert not ToolApproval.objects.exists()
        with pytest.raises(Conflict, match="no longer waiting"):
            decide(alice, found)
        decide(alice, found, place=1)


def test_a_question_below_a_waiting_answer_says_what_it_waits_for(alice: User) -> None:
    found = waiting(alice)
    with pytest.raises(ChatError, match="waiting for a decision about a tool"):
        accept(alice.pk, message("And?", conversation_id=found.run.conversation_id, ask=True))
