"""Staff's hand on runs: what stops, what is asked again, what is refused and why, and what is written down."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Plan, Quota, User
from chat.admin.run_timeline import timeline_of
from chat.catalog import offered_models
from chat.models import Conversation, Member, Message, Run, RunStatus
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from tests.fixtures.people import staff_client
from tests.fixtures.run_rows import row, say, shift

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def sam() -> Client:
    return staff_client("view_run", "operate_run")


@pytest.fixture
def run_id(alice: User) -> uuid.UUID:
    return say(alice).run_id


@pytest.fixture
def several_models(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [{"id": name, "label": name} for name in ("small", "large")]
    monkeypatch.setattr(offered_models, "published_models", lambda: offered)


def fail(run_id: uuid.UUID, text: str = "") -> None:
    claimed = claim(run_id, "w")
    assert claimed is not None
    ending = Ending(text, error_code="upstream_timeout", error_message="No answer in 30 s.")
    assert end_run(run_id, claimed.run.attempt, RunStatus.FAILED, ending, owner="w") is not None


def act(client: Client, name: str, run_id: uuid.UUID) -> str:
    """What staff read after pressing the button on a run's page."""
    response = client.post(f"/admin/chat/run/{run_id}/{name}/", follow=True)
    assert response.status_code == 200, response.status_code
    return " ".join(str(message) for message in response.context["messages"])


def verbs() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("verb", "object_id"))


class TestStop:
    def test_one_that_waits_ends_at_once(self, sam: Client, run_id: uuid.UUID) -> None:
        assert act(sam, "stop", run_id) == "Stopped."
        run = row(run_id)
        assert (run.status, run.message.status, run.ended_in_log) == ("stopped", "stopped", True)
        assert verbs() == [("stop_run", str(run_id))]
        assert AuditEntry.objects.get().conversation_id == run.conversation_id

    def test_one_that_is_written_is_told(self, sam: Client, run_id: uuid.UUID) -> None:
        claim(run_id, "w")
        assert act(sam, "stop", run_id) == "Stop requested."
        assert row(run_id).stop_requested_at is not None
        assert act(sam, "stop", run_id) == "A stop has already been requested."
        assert len(verbs()) == 1

    def test_an_ended_one_is_refused(self, sam: Client, run_id: uuid.UUID) -> None:
        fail(run_id)
        assert act(sam, "stop", run_id) == "This run has already ended (Failed)."
        assert verbs() == []

    def test_runs_side_by_side_are_linked_from_each_other(self, sam: Client, alice: User, several_models: None) -> None:
        first, second = say(alice, models=["small", "large"]).several
        for run, other in ((first, second), (second, first)):
            page = sam.get(f"/admin/chat/run/{run.pk}/change/").content.decode()
            assert f"{other.model} <a" in page
            assert f"/admin/chat/run/{other.pk}/change/" in page
        alone = say(alice)
        assert "Compared with" in sam.get(f"/admin/chat/run/{alone.run_id}/change/").content.decode()

    def test_by_ticking_rows(self, sam: Client, alice: User, bob: User) -> None:
        waits, ended = say(alice).run_id, say(bob).run_id
        fail(ended)
        data = {"action": "stop_runs", "_selected_action": [str(waits), str(ended)]}
        response = sam.post("/admin/chat/run/", data, follow=True)
        said = [str(message) for message in response.context["messages"]]
        assert sorted(said) == sorted(["Stopped.", f"{str(ended)[-8:]}: This run has already ended (Failed)."])
        assert row(waits).status == "stopped"

    def test_never_all_there_are(self, sam: Client, run_id: uuid.UUID) -> None:
        data = {"action": "stop_runs", "_selected_action": [str(uuid.uuid4())], "select_across": "1"}
        sam.post("/admin/chat/run/", data)
        assert row(run_id).status == "queued"


class TestRetry:
    def test_gives_another_answer_in_the_same_name(self, sam: Client, run_id: uuid.UUID) -> None:
        fail(run_id)
        assert act(sam, "retry", run_id).startswith("Retried on behalf of alice@example.org.")
        first, second = row(run_id), Run.objects.exclude(pk=run_id).get()
        assert (second.prompt_id, second.requested_by_id) == (first.prompt_id, first.requested_by_id)
        assert (second.status, first.status) == ("queued", "failed")
        assert verbs() == [("retry_run", str(run_id))]
        assert claim(second.pk, "w") is not None

    def refused(self, sam: Client, run_id: uuid.UUID) -> str:
        said = act(sam, "retry", run_id)
        assert Run.objects.filter(prompt=row(run_id).prompt_id).count() == 1
        return said

    def test_one_under_way(self, sam: Client, run_id: uuid.UUID) -> None:
        assert self.refused(sam, run_id) == "This run is still in progress. Stop it first."

    def test_a_complete_one(self, sam: Client, run_id: uuid.UUID) -> None:
        claim(run_id, "w")
        end_run(run_id, 1, RunStatus.DONE, Ending("done"))
        assert "complete" in self.refused(sam, run_id)

    def test_one_that_the_conversation_has_left_behind(self, sam: Client, alice: User, run_id: uuid.UUID) -> None:
        fail(run_id, "half of it")
        say(alice, "never mind", row(run_id).conversation_id)
        assert "has continued since" in self.refused(sam, run_id)

    def test_of_people_who_may_not(self, sam: Client, alice: User, run_id: uuid.UUID) -> None:
        fail(run_id)
        Member.objects.update(role="viewer")
        assert "may no longer write" in self.refused(sam, run_id)
        User.objects.filter(pk=alice.pk).update(is_active=False)
        assert "disabled" in self.refused(sam, run_id)
        Conversation.objects.update(deleted_at=timezone.now())
        User.objects.filter(pk=alice.pk).update(is_active=True)
        assert "has been deleted" in self.refused(sam, run_id)
        Run.objects.update(requested_by=None)
        assert "no longer exists" in self.refused(sam, run_id)

    def test_quotas_hold(self, sam: Client, alice: User, run_id: uuid.UUID) -> None:
        fail(run_id, "half of it")
        plan = Plan.objects.create(name="tight")
        Quota.objects.create(plan=plan, unit="messages", period="day", limit=1, hard=True)
        User.objects.filter(pk=alice.pk).update(plan=plan)
        assert self.refused(sam, run_id).startswith("The user's own request would be refused as well:")


class TestDoor:
    @pytest.mark.parametrize("name", ["stop", "retry"])
    def test_needs_the_permission(self, run_id: uuid.UUID, name: str) -> None:
        sam = staff_client("view_run")
        assert sam.post(f"/admin/chat/run/{run_id}/{name}/").status_code == 403
        page = sam.get(f"/admin/chat/run/{run_id}/change/").content.decode()
        assert f"/{name}/" not in page
        sam.post("/admin/chat/run/", {"action": f"{name}_runs", "_selected_action": [str(run_id)]})
        assert row(run_id).status == "queued"
        assert [verb for verb, _ in verbs()] == ["permission_refused"]

    @pytest.mark.parametrize("name", ["stop", "retry"])
    def test_is_no_link(self, sam: Client, run_id: uuid.UUID, name: str) -> None:
        assert sam.get(f"/admin/chat/run/{run_id}/{name}/").status_code == 405
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(User.objects.get(email="sam@example.org"))
        assert strict.post(f"/admin/chat/run/{run_id}/{name}/").status_code == 403
        assert row(run_id).status == "queued"

    def test_of_no_run(self, sam: Client) -> None:
        assert sam.post(f"/admin/chat/run/{uuid.uuid4()}/stop/").status_code == 404


class TestTimeline:
    def run(self, **facts: Any) -> Run:
        at = timezone.now()
        return Run(created_at=at, **{"status": "done", "attempt": 1, "ended_in_log": True, **facts})

    def test_where_the_time_went(self) -> None:
        run = self.run(queued_ms=100, first_token_ms=400, total_ms=2000)
        found = [(one.kind, one.percent) for one in timeline_of(run).segments]
        assert found == [("waiting", 5.0), ("thinking", 15.0), ("writing", 80.0)]

    def test_one_that_never_said_a_word(self) -> None:
        run = self.run(status="failed", queued_ms=100, total_ms=30_100)
        found = [(one.kind, one.length) for one in timeline_of(run).segments]
        assert found == [("waiting", "100\u202fms"), ("thinking", "30\u202f000\u202fms")]

    def test_one_that_still_waits(self) -> None:
        run = self.run(status="queued", attempt=0)
        shown = timeline_of(run, run.created_at + timedelta(seconds=4))
        assert [(one.kind, one.length) for one in shown.segments] == [("waiting", "4\u202f000\u202fms")]
        assert [step.title for step in shown.steps] == ["Created"]

    def test_hops_in_order(self, run_id: uuid.UUID, sam: Client) -> None:
        claim(run_id, "worker-7")
        shift(run_id, created_at=-10, enqueued_at=-9.9, started_at=-9.5, stop_requested_at=-1)
        end_run(run_id, 1, RunStatus.STOPPED, Ending("Hal", first_token_ms=900, total_ms=9100))
        titles = [step.title for step in timeline_of(row(run_id)).steps]
        assert titles == ["Created", "Job published", "Claimed by a worker", "First token", "Stop requested",
                          "Finished", "Not in the event log yet"]  # fmt: skip
        page = sam.get(f"/admin/chat/run/{run_id}/change/").content.decode()
        for fact in ("worker-7", "attempt 1 of 3", "9\u202f100\u202fms", "Time by phase"):
            assert fact in page

    def test_trace_and_endpoint_are_shown(self, run_id: uuid.UUID, sam: Client) -> None:
        Run.objects.filter(pk=run_id).update(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", endpoint="api.example.org")
        page = sam.get(f"/admin/chat/run/{run_id}/change/").content.decode()
        assert "4bf92f3577b34da6a3ce929d0e0e4736" in page
        assert "api.example.org" in page
        assert Message.objects.count() == 2
