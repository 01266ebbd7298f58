"""Exports in the background: the file, how long it can be downloaded, and by whom."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.files.storage import default_storage
from django.utils import timezone

from accounts.models import User
from chat.models import ExportJob, TransferState
from chat.portability import export_jobs, transfers
from chat.portability.export_jobs import create_export, is_large, run_export
from chat.protocol.errors import Conflict, RateLimited
from chat.retention.purge import purge
from tests.fixtures.people import logged_in
from tests.integration.chat.portability.imports import TRIP, load

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda task, args, **_: sent.append(args[0]))
    return sent


def exported(user: User) -> ExportJob:
    job = create_export(user, reasoning=False)
    run_export(job.pk)
    job.refresh_from_db()
    return job


def test_the_file_is_the_whole_export_and_comes_back(alice: User, bob: User) -> None:
    load(alice, [TRIP])
    job = exported(alice)
    assert (job.state, job.total) == ("done", 1)
    response = logged_in(alice).get(f"/exports/{job.pk}/")
    packed = response.getvalue()
    assert (response["Content-Type"], response["Content-Length"]) == ("application/zip", str(len(packed)))
    assert response["Content-Disposition"].startswith("attachment")
    [name] = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    assert name.endswith(".json")
    data = json.loads(zipfile.ZipFile(io.BytesIO(packed)).read(name))
    assert [one["title"] for one in data["conversations"]] == ["Trip"]
    assert load(bob, data) == ["new"]
    assert logged_in(bob).get(f"/exports/{job.pk}/").status_code == 404


def test_it_expires_and_its_file_goes(alice: User) -> None:
    job = exported(alice)
    stored = str(job.file)
    ExportJob.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert logged_in(alice).get(f"/exports/{job.pk}/").status_code == 404
    assert stored.rpartition("/")[2] not in logged_in(alice).get("/accounts/settings/data/").content.decode()
    assert [one.kind for one in purge()] == ["exports"]
    assert not default_storage.exists(stored)
    assert not ExportJob.objects.exists()


def test_one_at_a_time_and_not_too_often(alice: User, settings: Any) -> None:
    create_export(alice, reasoning=True)
    with pytest.raises(Conflict):
        create_export(alice, reasoning=False)
    ExportJob.objects.update(state=TransferState.FAILED, ended_at=timezone.now())
    settings.RATE_EXPORTS = "1/d"
    with pytest.raises(RateLimited):
        create_export(alice, reasoning=False)


def test_one_that_is_deleted_while_it_is_made_leaves_nothing(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    load(alice, [TRIP])
    job = create_export(alice, reasoning=False)
    write = export_jobs._write

    def delete_it(*arguments: Any) -> dict[str, int]:
        done = write(*arguments)
        logged_in(alice).post(f"/exports/{job.pk}/delete/")
        return done

    monkeypatch.setattr(export_jobs, "_write", delete_it)
    run_export(job.pk)
    assert not ExportJob.objects.exists()
    folder = f"exports/{job.pk.hex[-2:]}"
    assert not [one for one in default_storage.listdir(folder)[1] if str(job.pk) in one]


def test_an_unexpected_error_ends_it_at_once(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise KeyError("id")

    monkeypatch.setattr(export_jobs, "export_user_data", fail)
    job = create_export(alice, reasoning=True)
    run_export(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", transfers.UNEXPECTED)


def test_what_is_large(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    load(alice, [TRIP])
    assert not is_large(alice)
    page = logged_in(alice).get("/accounts/settings/data/").content.decode()
    assert "/conversations/export/" in page
    monkeypatch.setattr(export_jobs, "AT_ONCE", 0)
    assert is_large(alice)
    page = logged_in(alice).get("/accounts/settings/data/").content.decode()
    assert "/exports/new/" in page
