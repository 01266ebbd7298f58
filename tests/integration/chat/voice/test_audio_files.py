"""What people said, as audio: kept by the plan; who may have it; its end."""

from __future__ import annotations

import base64
import io
import json
import uuid
import wave
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Plan, User
from chat.models import Recording, RecordingStatus
from chat.portability.export import export_user_data
from chat.retention import purge
from chat.retention.erasure import erase
from chat.voice import audio_files
from tests.fakes.asr_speech import tone
from tests.fixtures.people import staff_client
from workers.speech.wav_file import WavFile

pytestmark = pytest.mark.django_db(transaction=True)


def recorded(user: User, pcm: bytes = b"", **fields: object) -> Recording:
    wav = WavFile()
    wav.write(0, pcm or tone(100))
    row = Recording.objects.create(
        user=user, client_id=uuid.uuid4(), language="en", mode="auto", status=RecordingStatus.DONE, **fields
    )
    audio_files.store_audio(row.pk, wav.finish())
    wav.discard()
    row.refresh_from_db()
    return row


@pytest.fixture
def plan(alice: User) -> Plan:
    made = Plan.objects.create(name="keeps", audio_days=7)
    User.objects.filter(pk=alice.pk).update(plan=made)
    return made


def file_of(row: Recording) -> Path:
    return Path(default_storage.path(str(row.audio)))


def test_what_was_lost_on_the_way_is_silence() -> None:
    wav = WavFile()
    wav.write(0, tone(100))
    wav.write(9_600, tone(100))  # 200 ms are missing
    with wave.open(wav.finish(), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(file.getnframes()) == tone(100) + bytes(6_400) + tone(100)
    wav.discard()


def test_the_plan_says_how_long(alice: User, bob: User, plan: Plan) -> None:
    assert (audio_files.days_kept(alice.pk), audio_files.days_kept(bob.pk)) == (7, 0)
    fresh = recorded(alice)
    stale = recorded(alice, created_at=timezone.now() - timedelta(days=8))
    gone = file_of(stale)
    assert purge.count()["audio"] == 1
    assert {p.kind: p.done for p in purge.purge()} == {"audio": 1}
    assert not gone.exists()
    assert file_of(fresh).exists()
    stale.refresh_from_db()
    assert not stale.audio, "the row stays, with its words"
    Plan.objects.filter(pk=plan.pk).update(audio_days=0)
    assert set(audio_files.expired(timezone.now())) == {fresh}, "the plan that is in force"


def test_words_stay_as_long_as_their_audio(alice: User, plan: Plan) -> None:
    Plan.objects.filter(pk=plan.pk).update(audio_days=90)
    old = timezone.now() - timedelta(days=60)
    row = recorded(alice, created_at=old)
    assert list(purge.purge()) == []
    audio_files.delete_audio([row])
    assert {p.kind: p.done for p in purge.purge()} == {"recordings": 1}


def test_its_speaker_gets_it_and_nobody_else(alice: User, mallory: User, plan: Plan, client: Client) -> None:
    row = recorded(alice)
    address = f"/recordings/{row.pk}/audio/"
    assert client.get(address).status_code == 302, "to the log-in"
    client.force_login(mallory)
    assert client.get(address).status_code == 404
    assert client.post(f"/recordings/{row.pk}/delete/").status_code == 302
    assert file_of(row).exists()
    assert b"Download" not in client.get("/recordings/").content
    client.force_login(alice)
    assert b"7 days" in (page := client.get("/recordings/").content)
    assert b"Download" in page
    answer = client.get(address)
    assert answer["Content-Type"] == "audio/wav"
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Disposition"].startswith("attachment")
    with wave.open(io.BytesIO(answer.content)) as file:
        assert file.readframes(file.getnframes()) == tone(100)
    path = file_of(row)
    assert client.post(f"/recordings/{row.pk}/delete/").status_code == 302
    assert not path.exists()
    assert client.get(address).status_code == 404
    assert path.is_relative_to(settings.VAR_DIR / "media"), "which nothing serves"


@pytest.mark.parametrize("may", [True, False])
def test_staff_listen_with_the_permission_and_an_entry(alice: User, plan: Plan, client: Client, may: bool) -> None:
    from django.contrib.auth.models import Permission

    row = recorded(alice)
    staff = User.objects.create_user("staff@example.org", "x", is_staff=True)
    names = ["view_recording", *(["read_message_body"] if may else [])]
    staff.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(staff)
    answer = client.get(f"/admin/chat/recording/{row.pk}/audio/")
    assert answer.status_code == (200 if may else 403)
    assert "no-store" in answer["Cache-Control"]
    entries = AuditEntry.objects.filter(verb="download_recording", object_id=str(row.pk), actor=staff)
    assert entries.count() == (1 if may else 0)


@pytest.mark.parametrize("names", [["read_message_body"], ["view_recording"], []])
def test_staff_without_both_rights_get_no_audio_by_its_address(alice: User, plan: Plan, names: list[str]) -> None:
    row = recorded(alice)
    answer = staff_client(*names).get(f"/admin/chat/recording/{row.pk}/audio/")
    assert answer.status_code == 403
    assert not AuditEntry.objects.filter(verb="download_recording").exists()


def test_it_is_exported_and_goes_with_its_speaker(alice: User, plan: Plan) -> None:
    row = recorded(alice)
    path = file_of(row)
    [exported] = json.loads("".join(export_user_data(alice)))["recordings"]
    assert base64.b64decode(exported["audio_wav"]) == path.read_bytes()
    erase(alice)
    assert not path.exists()


def test_what_is_erased_meanwhile_is_not_stored(alice: User) -> None:
    wav = WavFile()
    wav.write(0, tone(100))
    before = {*Path(settings.VAR_DIR).rglob("*.wav")}
    audio_files.store_audio(alice.pk, wav.finish())  # no recording of that id
    wav.discard()
    assert {*Path(settings.VAR_DIR).rglob("*.wav")} == before
