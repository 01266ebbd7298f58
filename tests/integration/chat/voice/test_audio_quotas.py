"""Seconds of speech: held back when a recording begins, put down when it ends, free again when everybody is gone."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from accounts.models import Quota, Reservation, Unit, UsageEntry, User
from accounts.quotas import reservations, top_ups
from accounts.quotas.balance import user_balances
from accounts.quotas.settlement import Used, settle_recording
from chat.models import Recording, RecordingStatus
from chat.protocol.commands import AudioStart
from chat.protocol.errors import QuotaExceeded
from chat.recovery.ledger import check_ledger, free_orphans
from chat.recovery.recordings import RecordingRecovery
from chat.voice import recordings
from tests.conftest import make_user
from tests.fixtures.quota_rows import give, price, standing, together

DONE = RecordingStatus.DONE


@pytest.fixture(autouse=True)
def _ten_minutes(settings: Any) -> None:
    settings.RECORDING_SECONDS = 600


def speak(user: User) -> uuid.UUID:
    """The row of a recording that begins."""
    start = AudioStart(
        conversation_id=None, client_id=uuid.uuid4(), encoding="pcm_s16le", sample_rate=16000, mode="auto",
        auto_send=False,
    )  # fmt: skip
    return recordings._insert(user.pk, start)


def seconds(user: User) -> tuple[float | Decimal, float | Decimal]:
    return standing(user)["audio_seconds"]


@pytest.mark.django_db
def test_spoken_seconds_count_once(alice: User) -> None:
    price(datetime.now(UTC) - timedelta(days=1), "0", "0", model="whisper", audio_per_minute=Decimal("0.006"))
    give(alice, 60, Unit.AUDIO_SECONDS)
    top_ups.top_up(alice.pk, Quota.objects.get().pk, Decimal(1))
    recording = uuid.uuid4()
    for _ in range(2):
        settle_recording(alice.pk, recording, datetime.now(UTC), Used("whisper", audio_seconds=Decimal("61.5")))
    assert seconds(alice) == (Decimal("61.5"), 0)
    assert UsageEntry.objects.get().cost == Decimal("0.00615")
    with pytest.raises(QuotaExceeded, match="61 seconds of speech"):
        speak(alice)
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_recording_holds_what_it_may_last_and_gives_back_what_it_did_not(alice: User) -> None:
    give(alice, 700, Unit.AUDIO_SECONDS)
    give(alice, 5, Unit.AUDIO_SECONDS, "hour", hard=False)
    first, second = speak(alice), speak(alice)
    claimed = [recordings.claim(one) for one in (first, second)]
    assert [one and one.seconds for one in claimed] == [600, 100], "as long as one may last, then what is left"
    with pytest.raises(QuotaExceeded):
        speak(alice)
    for _ in range(2):
        recordings.finish(first, DONE, reason="stopped", audio_ms=5500, backend="pocketsphinx")
    recordings.finish(second, RecordingStatus.FAILED, reason="busy")
    held = {(balance.period, float(balance.used), float(balance.reserved)) for balance in user_balances(alice.pk)}
    assert held == {
        ("day", 5.5, 0),
        ("hour", 5.5, 0),
    }
    assert check_ledger() == []
    assert Reservation.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_recordings_begun_at_once_never_get_more_than_there_is() -> None:
    alice = make_user("Alice")
    give(alice, 1500, Unit.AUDIO_SECONDS)
    results = together(12, lambda _: speak(alice))
    begun = [one for one in results if isinstance(one, uuid.UUID)]
    assert (len(begun), {type(one) for one in results if one not in begun}) == (3, {QuotaExceeded}), results
    assert sorted(reservations.audio_granted(one) or 0 for one in begun) == [300, 600, 600]
    together(3, lambda number: recordings.finish(begun[number], DONE, reason="stopped", audio_ms=1000))
    assert seconds(alice) == (3, 0)
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_recording_goes_on_where_more_has_become_free(alice: User) -> None:
    quota = give(alice, 10, Unit.AUDIO_SECONDS)
    recording = speak(alice)
    with pytest.raises(reservations.QuotaFull, match="10 seconds of speech"):
        reservations.reserve_more_audio(recording, 590)
    top_ups.top_up(alice.pk, quota.pk, Decimal(7))
    assert reservations.reserve_more_audio(recording, 590) == 7
    assert seconds(alice) == (0, 17)
    assert check_ledger() == []
    recordings.finish(recording, DONE, reason="quota_exceeded", audio_ms=17_000)
    assert seconds(alice) == (17, 0)


@pytest.mark.django_db
def test_who_is_not_held_holds_nothing(alice: User) -> None:
    give(alice, 0, Unit.AUDIO_SECONDS)
    alice.is_staff = True
    alice.save()
    assert reservations.audio_granted(speak(alice)) is None
    assert Reservation.objects.count() == 0


@pytest.mark.django_db
def test_a_refused_recording_leaves_no_row(alice: User) -> None:
    give(alice, 0, Unit.AUDIO_SECONDS)
    with pytest.raises(QuotaExceeded):
        speak(alice)
    assert not Recording.objects.exists()


# --- everybody is gone ------------------------------------------------------------------------------------------------


def look(recovery: RecordingRecovery) -> None:
    recovery._ran_at = float("-inf")
    async_to_sync(recovery.run)()


@pytest.mark.django_db(transaction=True)
def test_a_recording_that_nobody_listens_to_is_ended_and_what_was_understood_is_put_down(clean_redis: str) -> None:
    alice = make_user("Alice")
    give(alice, 600, Unit.AUDIO_SECONDS)
    lost = speak(alice)
    assert recordings.claim(lost) is not None
    recordings.keep_utterance(lost, 1, "Good morning", 200, 1900, None)
    recovery = RecordingRecovery()
    look(recovery)
    assert seconds(alice) == (0, 600), "a recording that has just begun waits for its worker"
    Recording.objects.update(created_at=datetime.now(UTC) - timedelta(seconds=30))
    top_ups.top_up(alice.pk, Quota.objects.get().pk, Decimal(5))
    heard = speak(alice)
    claimed = recordings.claim(heard)
    assert claimed is not None
    Recording.objects.filter(pk=heard).update(created_at=datetime.now(UTC) - timedelta(seconds=30))
    async_to_sync(recordings.renew)(claimed, "worker")
    look(recovery)
    assert Recording.objects.filter(finished_at=None).count() == 2, "a lease may be one that Redis has just forgotten"
    look(recovery)
    assert list(Recording.objects.filter(finished_at=None).values_list("pk", flat=True)) == [heard]
    row = Recording.objects.get(pk=lost)
    assert (row.status, row.reason, row.audio_ms) == (RecordingStatus.FAILED, "worker_lost", 1900)
    [entry] = UsageEntry.objects.all()
    assert (entry.audio_seconds, entry.estimated) == (Decimal("1.9"), True)
    assert seconds(alice) == (Decimal("1.9"), 5)
    assert check_ledger() == []


@pytest.mark.django_db
def test_what_is_held_for_what_no_longer_exists_is_freed(alice: User) -> None:
    give(alice, 1000, Unit.AUDIO_SECONDS)
    gone, ended = speak(alice), speak(alice)
    Recording.objects.filter(pk=gone).delete()
    assert free_orphans() == 1
    assert seconds(alice) == (0, 400)
    assert free_orphans() == 0
    recordings.finish(ended, DONE, reason="stopped")
    assert seconds(alice) == (0, 0)
    assert check_ledger() == []
