"""The life of a run in PostgreSQL: claims, leases, fencing, endings."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connection, connections, transaction

from accounts.models import UsageEntry, User
from chat.models import Message, Run, RunStatus
from chat.runs.claims import Checkpoint, checkpoint, claim, renew, requeue
from chat.runs.ending import Ending, end_run
from chat.runs.overdue import any_expired, lost_jobs, take_expired, unclosed_runs
from tests.fixtures.run_rows import row, say, shift

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def run_id(alice: User) -> uuid.UUID:
    return say(alice).run_id


def test_a_run_is_claimed_once(run_id: uuid.UUID) -> None:
    """By twenty threads at the same moment."""
    claimed: list[bool] = []
    start = threading.Barrier(20)

    def take(number: int) -> None:
        start.wait()
        claimed.append(claim(run_id, f"worker {number}") is not None)
        connection.close()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert claimed.count(True) == 1
    assert row(run_id).attempt == 1


def test_a_claim_brings_what_the_model_needs(alice: User) -> None:
    first = say(alice, "one")
    assert claim(first.run_id, "w") is not None
    end_run(first.run_id, 1, RunStatus.DONE, Ending("answer"))
    second = say(alice, "two", first.conversation_id)
    claimed = claim(second.run_id, "w")
    assert claimed is not None
    assert claimed.path == [("user", "one"), ("assistant", "answer"), ("user", "two")]
    assert claimed.system_prompt == settings.SYSTEM_PROMPT


def test_a_lease_is_renewed_by_its_owner_only(run_id: uuid.UUID) -> None:
    claim(run_id, "mine")
    before = row(run_id).lease_expires_at
    assert renew([run_id], "other") == []
    assert row(run_id).lease_expires_at == before
    [lease] = renew([run_id], "mine")
    assert (lease.attempt, lease.stop_requested) == (1, False)
    assert row(run_id).lease_expires_at > before  # type: ignore[operator]


def test_only_what_is_over_expires(run_id: uuid.UUID) -> None:
    claim(run_id, "w")
    assert not any_expired()
    assert take_expired("reaper", 5) == []
    assert end_run(run_id, 1, RunStatus.INTERRUPTED, expired=True) is None
    assert requeue(run_id, 1) is None
    shift(run_id, lease_expires_at=-0.01)
    assert any_expired()
    [expired] = take_expired("reaper", 5)
    assert (expired.run_id, expired.attempt, expired.text) == (run_id, 1, "")


def test_who_lost_its_lease_writes_nothing(run_id: uuid.UUID) -> None:
    claim(run_id, "slow")
    shift(run_id, lease_expires_at=-1)
    assert requeue(run_id, 1) is not None
    claim(run_id, "next")
    checkpoint([Checkpoint(run_id, 1, "e", 5, "from the past")], "slow")
    assert end_run(run_id, 1, RunStatus.DONE, Ending("from the past"), owner="slow") is None
    assert end_run(run_id, 2, RunStatus.DONE, Ending("from the past"), owner="slow") is None
    assert row(run_id).message.text == ""
    checkpoint([Checkpoint(run_id, 2, "e", 5, "now")], "next")
    assert (row(run_id).message.text, row(run_id).message.status) == ("now", "streaming")
    assert end_run(run_id, 2, RunStatus.DONE, Ending("now and done"), owner="next") is not None
    assert (row(run_id).message.text, row(run_id).status) == ("now and done", "done")


def test_a_run_ends_once(run_id: uuid.UUID) -> None:
    claim(run_id, "w")
    assert end_run(run_id, 1, RunStatus.STOPPED, Ending("half")) is not None
    assert end_run(run_id, 1, RunStatus.DONE, Ending("whole")) is None
    assert (row(run_id).status, row(run_id).message.text) == ("stopped", "half")


def test_a_queued_run_that_is_stopped_ends_as_the_attempt_it_waited_for(run_id: uuid.UUID) -> None:
    ended = end_run(run_id, 0, RunStatus.STOPPED)
    assert ended is not None
    assert (ended.attempt, ended.silent) == (1, True)
    assert claim(run_id, "w") is None


def test_an_end_is_closed_in_the_log_later_where_it_was_not(run_id: uuid.UUID) -> None:
    claim(run_id, "w")
    end_run(run_id, 1, RunStatus.DONE, Ending("text"))
    assert unclosed_runs(older_than=5) == []
    shift(run_id, finished_at=-6)
    [ended] = unclosed_runs(older_than=5)
    assert (ended.run_id, ended.attempt, ended.silent) == (run_id, 1, False)


def test_nul_bytes_do_not_stop_a_checkpoint(run_id: uuid.UUID) -> None:
    claim(run_id, "w")
    checkpoint([Checkpoint(run_id, 1, "e", 1, "a\x00b")], "w")
    assert Message.objects.get(pk=row(run_id).message_id).text == "ab"


def test_the_endpoint_of_a_lost_workers_run_is_that_of_its_last_checkpoint(run_id: uuid.UUID) -> None:
    claim(run_id, "w")
    checkpoint([Checkpoint(run_id, 1, "e", 1, "half", endpoint="models.example.org")], "w")
    end_run(run_id, 1, RunStatus.INTERRUPTED, Ending("half"))
    assert row(run_id).endpoint == "models.example.org"
    assert UsageEntry.objects.get(run_id=run_id).endpoint == "models.example.org"


def test_a_job_is_lost_when_the_queue_is_past_it(alice: User) -> None:
    """First in, first out: what was published before the oldest job that waits is in the queue no more."""
    lost, oldest, young = (say(alice).run_id for _ in range(3))
    for run_id, seconds in ((lost, -30), (oldest, -20), (young, -10)):
        shift(run_id, enqueued_at=seconds)
    assert lost_jobs(3, 300, empty=False, oldest=oldest) == [lost]
    assert lost_jobs(3, 300, empty=False, oldest=oldest) == [], "it was published a moment ago"


def test_with_an_empty_queue_whatever_waits_is_lost(alice: User) -> None:
    old, fresh = say(alice).run_id, say(alice).run_id
    shift(old, enqueued_at=-4)
    assert lost_jobs(3, 300, empty=True) == [old]
    assert fresh not in lost_jobs(3, 300, empty=True)


def test_what_waited_very_long_is_published_in_any_case(alice: User) -> None:
    oldest, stale = say(alice).run_id, say(alice).run_id
    shift(oldest, enqueued_at=-400)
    shift(stale, enqueued_at=-350)
    assert set(lost_jobs(3, 300, empty=False, oldest=oldest)) == {oldest, stale}


def test_a_locked_row_costs_no_other_run_its_lease(alice: User) -> None:
    """Somebody's transaction holds the row of one run, and of another's message."""
    locked, half, free = (say(alice).run_id for _ in range(3))
    for run_id in (locked, half, free):
        claim(run_id, "w")
        shift(run_id, lease_expires_at=1)
    before = {run_id: row(run_id).lease_expires_at for run_id in (locked, free)}
    points = [Checkpoint(run_id, 1, "e", 1, "text") for run_id in (locked, half, free)]

    def work() -> tuple[set[uuid.UUID], set[uuid.UUID]]:
        try:
            return {lease.run_id for lease in renew([locked, half, free], "w")}, checkpoint(points, "w")
        finally:
            connections.close_all()

    with transaction.atomic(), ThreadPoolExecutor(1) as other:
        Run.objects.select_for_update().get(pk=locked)
        Message.objects.select_for_update().get(pk=row(half).message_id)
        held, saved = other.submit(work).result(timeout=3)
    assert held == {locked, half, free}, "none of them is lost"
    assert saved == {free}
    assert row(locked).lease_expires_at == before[locked]
    assert row(free).lease_expires_at > before[free]  # type: ignore[operator]
    assert (row(free).message.text, row(half).message.text) == ("text", "")
