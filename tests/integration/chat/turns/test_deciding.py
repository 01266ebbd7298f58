"""Runs that wait for people to decide about calls of tools: the first decision stands, whoever comes first."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F

from accounts.lib.db import in_db
from accounts.models import Price, Reservation, Unit, User
from accounts.quotas.reservations import reserve_step
from accounts.quotas.settlement import Used, settle_background
from chat.conversations.listing import delete
from chat.conversations.members import remove_member
from chat.eventlog import store
from chat.models import Conversation, Member, Message, Run, Step, ToolApproval, ToolCall, ToolDecision
from chat.notifications.marks import read_marks
from chat.notifications.notify import Kind, News
from chat.protocol.deciding import ToolDecide
from chat.protocol.errors import ChatError, Conflict, Forbidden, Invalid, NotFound, Suspended, TooLarge
from chat.recovery import reaper
from chat.recovery.approvals import recover_approvals
from chat.recovery.ledger import check_ledger, free_orphans
from chat.recovery.repair import repair
from chat.retention.erasure import erase
from chat.runs import approval_log
from chat.runs.approval_facts import read_approval_facts
from chat.runs.approval_log import announce_wait
from chat.runs.approvals import Wait, wait_for_approval
from chat.runs.decisions import EXPIRED, expire_approvals
from chat.runs.lifecycle import claim
from chat.runs.overdue import any_expired, lost_jobs
from chat.turns import deciding
from chat.turns.accept import accept
from chat.turns.deciding import decide_and_publish, decide_call
from chat.turns.stop import mark_stopped, notify_stopped, request_stop
from tests.fixtures.people import logged_in
from tests.fixtures.quota_rows import give, standing, together
from tests.fixtures.run_rows import message, shift
from tests.fixtures.tool_rows import OWNER, QUESTION, TEXT, WHY, Waiting, waiting, with_calls

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """The runs whose jobs were published; nothing is."""
    found: list[uuid.UUID] = []

    async def enqueue(run_id: uuid.UUID) -> None:
        found.append(run_id)

    monkeypatch.setattr(deciding, "enqueue", enqueue)
    monkeypatch.setattr(reaper, "enqueue", enqueue)
    return found


def command(found: Waiting, decision: str = "once", place: int = 0, **fields: Any) -> ToolDecide:
    return ToolDecide(run_id=found.id, call_id=found.calls[place], decision=decision, **fields)  # type: ignore[arg-type]  # any


def decide(user: User, found: Waiting, decision: str = "once", place: int = 0, **fields: Any) -> None:
    decide_call(user.pk, command(found, decision, place, **fields))


def join(user: User, found: Waiting, role: str = "editor") -> None:
    Member.objects.create(conversation_id=found.run.conversation_id, user=user, role=role)


def make_late(found: Waiting) -> None:
    ToolCall.objects.filter(pk__in=found.calls).update(expires_at=F("expires_at") - timedelta(hours=72, seconds=1))


async def logged(conversation_id: uuid.UUID) -> list[dict[str, Any]]:
    here, _ = await store.position(conversation_id)
    return [json.loads(entry.body) for entry in await store.entries(conversation_id, after=0, until=here.seq)]


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


class TestDeciding:
    def test_allowed(self, alice: User) -> None:
        give(alice, 5000, Unit.OUTPUT_TOKENS)
        found = waiting(alice)
        assert standing(alice)["output_tokens"] == (20, 0)
        decide(alice, found)
        run, call = found.row(), found.call()
        assert (run.status, run.waiting_for, run.enqueued_at, run.attempt) == ("queued", "", None, 1)
        assert (call.status, call.decision, call.decided_by, call.ended_at) == ("allowed", "once", alice, None)
        assert Step.objects.get(kind="approval").status == "done"
        assert standing(alice)["output_tokens"] == (20, 1000)
        again = claim(found.id, "w")
        assert again is not None
        assert again.run.attempt == 2
        assert Message.objects.get(pk=run.message_id).text == TEXT

    def test_denied(self, alice: User) -> None:
        found = waiting(alice)
        decide(alice, found, "deny")
        call = found.call()
        assert (call.status, call.decision, call.output) == ("denied", "deny", "A person did not allow this call.")
        assert call.ended_at is not None
        assert found.row().status == "queued", "the model goes on, without the result"

    def test_a_call_that_may_have_happened_stays_unknown(self, alice: User) -> None:
        found = with_calls(alice, status="running", started_at="2026-01-01T00:00Z", tries=1, effect="writes")
        assert wait_for_approval(found.run, OWNER, [Wait(found.calls[0], "It may have happened.")])
        decide(alice, found, "deny")
        assert found.call().status == "unknown"

    def test_the_run_goes_on_when_no_call_waits_any_more(self, alice: User) -> None:
        found = waiting(alice, 3)
        decide(alice, found, place=1)
        decide(alice, found, "deny", place=0)
        assert (found.row().status, found.call(2).status) == ("waiting", "waiting")
        decide(alice, found, place=2)
        assert found.row().status == "queued"

    async def test_everybody_sees_it_live(self, alice: User, jobs: list[uuid.UUID], layer: None) -> None:
        found = await in_db(waiting, alice, 2)
        await announce_wait(found.id, 1)
        known = len(await logged(found.run.conversation_id))
        await decide_and_publish(alice.pk, command(found, "deny", 1))
        assert jobs == []
        await decide_and_publish(alice.pk, command(found, arguments='{"to": "dave@example.org"}'))
        events = (await logged(found.run.conversation_id))[known:]
        assert [event["type"] for event in events] == [
            "tool.decided", "tool.result", "tool.decided", "run.step", "run.resumed", "run.queued",
        ]  # fmt: skip
        denied, result, allowed, step, resumed, queued = events
        assert (denied["call_id"], denied["decision"], denied["by"]["name"]) == (str(found.calls[1]), "deny", "Alice")
        assert (result["status"], result["step"]) == ("denied", 2)
        assert (allowed["decision"], allowed["edited"], allowed["arguments"]) == (
            "once", True, '{"to": "dave@example.org"}',
        )  # fmt: skip
        assert (step["kind"], step["status"], resumed["for"], resumed["attempt"], queued["attempt"]) == (
            "approval", "done", "approval", 2, 2,
        )  # fmt: skip
        assert jobs == [found.id]
        assert await in_db(lambda: found.row().enqueued_at) is not None

    async def test_what_a_process_that_died_did_not_publish_is_published(
        self, alice: User, jobs: list[uuid.UUID], layer: None
    ) -> None:
        found = await in_db(waiting, alice, 2)
        await announce_wait(found.id, 1)
        known = len(await logged(found.run.conversation_id))
        await in_db(decide, alice, found)  # no more than the commit
        await in_db(ToolDecision.objects.update, at=F("at") - timedelta(seconds=6))
        await in_db(Step.objects.filter(kind="approval").update, started_at=F("started_at") - timedelta(seconds=9))
        await recover_approvals()
        assert [event["type"] for event in (await logged(found.run.conversation_id))[known:]] == ["tool.decided"]
        await in_db(decide, alice, found, "once", 1)
        await reaper.sweep()
        assert jobs == [found.id]
        kinds = [event["type"] for event in (await logged(found.run.conversation_id))[known:]]
        assert kinds == ["tool.decided", "tool.decided", "run.step", "run.resumed", "run.queued"]

    async def test_after_days_the_log_begins_anew(self, alice: User, jobs: list[uuid.UUID], layer: None) -> None:
        found = await in_db(waiting, alice)
        await announce_wait(found.id, 1)
        before, _ = await store.position(found.run.conversation_id)
        conversation = found.run.conversation_id
        server = store.channel_layer().group_connection(store.group_name(conversation))
        await server.delete(store.meta_key(conversation), store.stream_key(conversation))
        await decide_and_publish(alice.pk, command(found))
        after, _ = await store.position(found.run.conversation_id)
        assert before.epoch != after.epoch, "who was there before takes a snapshot"
        assert "run.resumed" in [event["type"] for event in await logged(found.run.conversation_id)]

    def test_no_room_in_the_quota_any_more(self, alice: User) -> None:
        give(alice, 1500, Unit.OUTPUT_TOKENS)
        found = waiting(alice, 2)
        settle_background(alice.pk, found.row().created_at, Used("small", output_tokens=1500), purpose="other")
        decide(alice, found)
        decide(alice, found, place=1)
        run = found.row()
        assert (run.status, run.error_code, run.attempt) == ("failed", "quota_exceeded", 2)
        assert "used up" in run.error_message
        assert Message.objects.values_list("text", "status").get(pk=run.message_id) == (TEXT, "failed")
        assert {found.call(0).status, found.call(1).status} == {"cancelled"}
        assert standing(alice)["output_tokens"] == (1520, 0)
        assert check_ledger() == []

    async def test_the_end_for_want_of_quota_is_shown(self, alice: User, jobs: list[uuid.UUID], layer: None) -> None:
        await in_db(give, alice, 20, Unit.OUTPUT_TOKENS)
        found = await in_db(waiting, alice)
        await announce_wait(found.id, 1)
        known = len(await logged(found.run.conversation_id))
        await decide_and_publish(alice.pk, command(found))
        events = (await logged(found.run.conversation_id))[known:]
        kinds = [event["type"] for event in events]
        ends = ["run.step", "tool.call", "tool.result", "run.step", "run.step", "run.failed"]
        assert kinds == ["tool.decided", *ends]
        assert (events[3]["status"], events[-1]["code"], events[-1]["attempt"]) == ("cancelled", "quota_exceeded", 2)
        assert jobs == []


class TestRemembering:
    def test_in_this_conversation(self, alice: User, bob: User) -> None:
        found = waiting(alice)
        join(bob, found)
        decide(bob, found, "conversation")
        row = ToolApproval.objects.get()
        assert (row.user, row.conversation_id, row.server, row.tool) == (
            bob, found.run.conversation_id, "mail", "send",
        )  # fmt: skip
        here = read_approval_facts(alice.pk, found.run.conversation_id)
        assert here.remembered == {("mail", "send")}, "for everybody who asks here"
        assert read_approval_facts(bob.pk, waiting(bob).run.conversation_id).remembered == frozenset()
        Member.objects.filter(user=bob).update(role="viewer")
        assert read_approval_facts(alice.pk, found.run.conversation_id).remembered == frozenset(), "no right, no word"

    def test_always(self, alice: User, bob: User) -> None:
        found = waiting(alice)
        join(bob, found)
        decide(bob, found, "always")
        elsewhere = waiting(bob).run.conversation_id
        assert read_approval_facts(bob.pk, elsewhere).remembered == {("mail", "send")}
        assert read_approval_facts(alice.pk, found.run.conversation_id).remembered == frozenset(), "Bob's, not Alice's"
        decide(bob, waiting(bob), "always")
        assert ToolApproval.objects.count() == 1

    def test_policies_are_those_of_everybody_and_of_ones_groups(self, alice: User) -> None:
        from django.contrib.auth.models import Group

        from chat.models import ToolPolicy

        mine, other = Group.objects.create(name="mine"), Group.objects.create(name="other")
        alice.groups.add(mine)
        for group, tool in ((None, "a"), (mine, "b"), (other, "c")):
            ToolPolicy.objects.create(group=group, server="mail", tool=tool, rule="always")
        conversation = waiting(alice).run.conversation_id
        Conversation.objects.filter(pk=conversation).update(tool_approval="ask", outside_content_at="2026-01-01T00:00Z")
        facts = read_approval_facts(alice.pk, conversation)
        assert [(one.tool, one.group) for one in facts.policies] == [("a", False), ("b", True)]
        assert (facts.conversation, facts.tainted) == ("ask", True)


class TestRefusals:
    def test_who_may_decide(self, alice: User, bob: User, mallory: User) -> None:
        found = waiting(alice)
        join(bob, found, "viewer")
        for user, error in ((bob, Forbidden), (mallory, NotFound)):
            with pytest.raises(error):
                decide(user, found)
        User.objects.filter(pk=alice.pk).update(suspended_until="2100-01-01T00:00Z")
        with pytest.raises(Suspended):
            decide(alice, found)
        assert found.call().status == "waiting"
        Member.objects.filter(user=bob).update(role="editor")
        decide(bob, found)
        assert found.call().decided_by == bob

    def test_the_first_decision_stands(self, alice: User, bob: User) -> None:
        found = waiting(alice, 2)
        join(bob, found)
        decide(alice, found, "deny")
        with pytest.raises(Conflict, match=r"Alice has already denied this\."):
            decide(bob, found)
        decide(alice, found, "deny")  # a command that is repeated
        with pytest.raises(Conflict, match=r"You have already denied this\."):
            decide(alice, found)
        assert ToolDecision.objects.count() == 1

    def test_two_who_decide_at_once(self, alice: User, bob: User) -> None:
        found = waiting(alice)
        join(bob, found)
        results = together(6, lambda number: decide([alice, bob][number % 2], found, ["once", "deny"][number % 2]))
        errors = [one for one in results if one is not None]
        assert all(isinstance(one, Conflict) for one in errors), errors
        assert len(errors) == 3, "the others have decided the same"
        [decision] = ToolDecision.objects.all()
        call = found.call()
        assert (call.decision, call.decided_by_id) == (decision.decision, decision.by_id)
        assert call.status == ("allowed" if decision.by_id == alice.pk else "denied")
        assert found.row().status == "queued"

    def test_a_decision_of_somebody_who_is_removed_meanwhile(self, alice: User, bob: User) -> None:
        for _ in range(3):
            found = waiting(alice)
            join(bob, found)
            conversation = found.run.conversation_id

            def act(number: int, found: Waiting = found, conversation: uuid.UUID = conversation) -> None:
                if number:
                    decide(bob, found)
                else:
                    remove_member(alice.pk, conversation, bob.pk)

            refused = [one for one in together(2, act) if one is not None]
            decided = ToolDecision.objects.filter(call=found.calls[0]).exists()
            assert decided == (not refused)
            assert all(isinstance(one, NotFound) for one in refused), refused
            assert not Member.objects.filter(user=bob, conversation=conversation).exists()
            with pytest.raises(NotFound):
                decide(bob, found)

    def test_a_call_of_another_run(self, alice: User, mallory: User) -> None:
        found, other = waiting(alice), waiting(mallory)
        for run_id, call_id in ((found.id, other.calls[0]), (other.id, found.calls[0]), (found.id, uuid.uuid4()),
                                (uuid.uuid4(), found.calls[0])):  # fmt: skip
            with pytest.raises(NotFound):
                decide_call(alice.pk, ToolDecide(run_id=run_id, call_id=call_id, decision="once"))
        assert (found.call().status, other.call().status) == ("waiting", "waiting")

    @pytest.mark.parametrize("arguments", ["", "{", "[]", "null", '{"a": NaN}', '"{}"', "{} {}", "[" * 9_000])
    def test_arguments_that_are_no_object(self, alice: User, arguments: str) -> None:
        found = waiting(alice)
        with pytest.raises(Invalid, match="not a JSON object"):
            decide(alice, found, arguments=arguments)
        assert found.call().status == "waiting"

    def test_arguments_that_are_too_long(self, alice: User) -> None:
        found = waiting(alice)
        with pytest.raises(TooLarge):
            decide(alice, found, arguments=json.dumps({"text": "ü" * 33_000}, ensure_ascii=False))
        decide(alice, found, arguments=json.dumps({"text": "ü" * 32_000}, ensure_ascii=False))
        assert found.call().edited_arguments.startswith('{"text": "üü')

    def test_arguments_that_are_the_same_are_not_edited(self, alice: User) -> None:
        found = waiting(alice)
        decide(alice, found, arguments={"to": "carol@example.org"})
        assert found.call().edited_arguments == ""

    def test_the_run_was_stopped_meanwhile(self, alice: User) -> None:
        found = waiting(alice)
        results = together(2, lambda number: decide(alice, found) if number else mark_stopped(found.id))
        assert found.row().status == "stopped"
        assert found.call().status == "cancelled", results
        with pytest.raises(Conflict):
            decide(alice, found, "deny")


class TestQuestions:
    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ({}, "Flight: an answer is needed"), ({"flight": "LH3"}, "Flight: this is none of the choices"),
            ({"flight": 1}, "Flight: this is not a text"), ({"flight": "LH1", "seats": 0}, "Seats: at least 1"),
            ({"flight": "LH1", "seats": 1.5}, "Seats: this is not a whole number"),
            ({"flight": "LH1", "seats": True}, "Seats: this is not a whole number"),
            ({"flight": "LH1", "window": "yes"}, "At a window: this is not yes or no"), (None, "asks a question"),
        ],
    )  # fmt: skip
    def test_answers_that_do_not_fit(self, alice: User, answer: Any, said: str) -> None:
        found = waiting(alice, question=QUESTION)
        with pytest.raises(Invalid, match=said):
            decide(alice, found, answer=answer)
        assert found.call().status == "waiting"

    def test_an_answer(self, alice: User) -> None:
        found = waiting(alice, question=QUESTION)
        with pytest.raises(Invalid, match="asks a question"):
            decide(alice, found, "always", answer={"flight": "LH1"})
        with pytest.raises(Invalid, match="asks a question"):
            decide(alice, found, answer={"flight": "LH1"}, arguments="{}")
        decide(alice, found, answer={"flight": "LH1", "seats": 2, "other": 1})
        call = found.call()
        assert (call.status, call.answers) == ("allowed", [{"flight": "LH1", "seats": 2}])
        assert ToolDecision.objects.get().answered

    def test_an_answer_to_no_question(self, alice: User) -> None:
        with pytest.raises(Invalid, match="asks no question"):
            decide(alice, waiting(alice), answer={})

    def test_declined(self, alice: User) -> None:
        found = waiting(alice, question=QUESTION)
        decide(alice, found, "deny")
        assert (found.call().status, found.call().output) == ("denied", "A person did not answer the question.")

    def test_a_call_may_wait_again(self, alice: User, bob: User) -> None:
        found = waiting(alice)
        join(bob, found)
        decide(alice, found)
        again = claim(found.id, OWNER)
        assert again is not None
        ToolCall.objects.update(status="running")
        assert wait_for_approval(again.run, OWNER, [Wait(found.calls[0], "It asks.", QUESTION)])
        assert (found.call().decision, found.call().decided_by) == ("", None)
        decide(bob, found, answer={"flight": "LH2"})
        assert list(ToolDecision.objects.order_by("at").values_list("by__name", "answered", "step__number")) == [
            ("Alice", False, 3), ("Bob", True, 4),
        ]  # fmt: skip


class TestNotices:
    async def test_who_may_decide_is_told_once(
        self, alice: User, bob: User, mallory: User, layer: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[Any] = []
        marked: list[Any] = []

        async def note_news(news: list[News]) -> None:
            told.extend(news)

        async def note_marks(conversations: list[uuid.UUID]) -> None:
            marked.extend(await in_db(read_marks, conversations, bob.pk))

        monkeypatch.setattr(approval_log, "notify_all", note_news)
        monkeypatch.setattr(approval_log, "publish_marks", note_marks)
        found = await in_db(with_calls, alice, 2)
        await in_db(join, bob, found)
        await in_db(join, mallory, found, "viewer")
        assert await in_db(wait_for_approval, found.run, OWNER, [Wait(one, WHY) for one in found.calls])
        await announce_wait(found.id, 1)
        await announce_wait(found.id, 1)
        [news] = told
        assert (news.kind, set(news.user_ids)) == (Kind.DECIDE, {alice.pk, bob.pk})
        marks = await in_db(read_marks, [found.run.conversation_id])
        assert {user: mark.waiting for (_, user), mark in marks.items()} == dict.fromkeys(
            (alice.pk, bob.pk, mallory.pk), "approval"
        )
        for place in range(2):
            await in_db(decide, alice, found, "once", place)
        marked.clear()
        await announce_wait(found.id, 1)
        assert marked, "the lists show that it waits no more"
        assert len(told) == 1
        assert {mark.waiting for mark in (await in_db(read_marks, [found.run.conversation_id])).values()} == {""}


class TestTakingBack:
    def test_ones_own(self, alice: User, bob: User) -> None:
        found = waiting(alice)
        decide(alice, found, "always")
        decide(bob, waiting(bob), "always")
        own, other = ToolApproval.objects.get(user=alice), ToolApproval.objects.get(user=bob)
        client = logged_in(alice)
        page = client.get("/accounts/tools/").content.decode()
        assert page.count("in all your conversations") == 1
        assert client.post(f"/accounts/tools/{other.pk}/undo/").status_code == 404
        assert client.post(f"/accounts/tools/{own.pk}/undo/").status_code == 302
        assert list(ToolApproval.objects.all()) == [other]

    def test_of_a_conversation(self, alice: User, bob: User, mallory: User) -> None:
        found = waiting(alice, 2)
        join(bob, found)
        decide(alice, found, "conversation")
        decide(bob, found, "conversation", 1)
        base = f"/c/{found.run.conversation_id}/approvals/"
        shown = logged_in(bob).get(base).json()["approvals"]
        assert [(one["title"], one["by"]["name"], one["may_undo"]) for one in shown] == [
            ("send", "Alice", False), ("send", "Bob", True),
        ]  # fmt: skip
        answers = {
            (user, place): logged_in(user).post(f"{base}{shown[place]['id']}/undo/").status_code
            for user, place in ((mallory, 0), (bob, 0), (bob, 1), (alice, 0))
        }
        assert answers == {(mallory, 0): 404, (bob, 0): 403, (bob, 1): 200, (alice, 0): 200}
        assert logged_in(mallory).get(base).status_code == 404
        assert not ToolApproval.objects.exists()

    def test_whole_arguments_are_for_members(self, alice: User, mallory: User) -> None:
        found = waiting(alice, arguments=json.dumps({"text": "x" * 50_000}))
        path = f"/calls/{found.calls[0]}/arguments/"
        assert len(logged_in(alice).get(path).json()["arguments"]) > 50_000
        assert logged_in(mallory).get(path).status_code == 404
        assert logged_in(alice).get(f"/calls/{uuid.uuid4()}/arguments/").status_code == 404


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

    def test_a_deleted_conversation(self, alice: User) -> None:
        found = waiting(alice)
        delete(alice.pk, found.run.conversation_id)
        with pytest.raises(NotFound):
            decide(alice, found)
        make_late(found)
        expire_approvals()
        assert found.row().status == "queued", "as any run of a deleted conversation"

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
        with pytest.raises(Conflict, match="doesn't wait"):
            decide(alice, found)
        decide(alice, found, place=1)


def test_a_question_below_a_waiting_answer_says_what_it_waits_for(alice: User) -> None:
    found = waiting(alice)
    with pytest.raises(ChatError, match="waits for a decision about a tool"):
        accept(alice.pk, message("And?", conversation_id=found.run.conversation_id, ask=True))
