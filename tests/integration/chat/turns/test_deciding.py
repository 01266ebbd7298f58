"""Decisions about calls of tools: the first one stands, whoever comes first."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from accounts.lib.db import in_db
from accounts.models import Unit, User
from accounts.quotas.settlement import Used, settle_background
from chat.eventlog import store
from chat.models import Conversation, Member, Message, Step, ToolApproval, ToolDecision
from chat.notifications.marks import read_marks
from chat.notifications.notify import Kind, News
from chat.recovery import reaper
from chat.recovery.approvals import recover_approvals
from chat.recovery.ledger import check_ledger
from chat.runs import approval_log
from chat.runs.approval_facts import read_approval_facts
from chat.runs.approval_log import announce_wait
from chat.runs.approvals import Wait, wait_for_approval
from chat.runs.claims import claim
from chat.turns.deciding import decide_and_publish
from tests.fixtures.logged_events import logged
from tests.fixtures.people import logged_in
from tests.fixtures.quota_rows import give, standing
from tests.fixtures.tool_rows import OWNER, TEXT, WHY, waiting, with_calls
from tests.integration.chat.turns.deciding import command, decide, join
from tests.integration.chat.turns.deciding import jobs as jobs  # a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_model", "no_rules", "clean_redis"),
]


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
