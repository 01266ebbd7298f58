"""The section of the settings with one's own files."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from chat.files import uploads
from chat.models import File
from tests.fixtures.attached import stored
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading")]


@pytest.fixture
def browser(alice: User) -> Client:
    return logged_in(alice)


def own(browser: Client) -> Any:
    return browser.get("/accounts/settings/files/")


def test_files_and_unfinished_uploads_are_listed(alice: User, browser: Client) -> None:
    stored(alice, "minutes.txt")
    uploads.create_upload(alice.pk, "half.pdf", 2_000)
    page = own(browser).content.decode()
    assert "minutes.txt" in page
    assert "17" in page
    assert "half.pdf" in page
    assert "Not used in a message yet" in page


def test_nobody_elses_are(bob: User, browser: Client) -> None:
    stored(bob, "secret.txt")
    assert "secret.txt" not in own(browser).content.decode()


def test_one_is_deleted(alice: User, browser: Client) -> None:
    file = stored(alice)
    answer = browser.post(f"/accounts/settings/files/{file.pk}/delete/")
    assert answer.status_code == 302
    assert not File.objects.filter(pk=file.pk).exists()
    assert "The file was deleted." in own(browser).content.decode()


def test_anothers_is_not(bob: User, browser: Client) -> None:
    file = stored(bob)
    assert browser.post(f"/accounts/settings/files/{file.pk}/delete/").status_code == 404
    assert browser.post(f"/accounts/settings/files/{file.pk}/use/").status_code == 404
    assert File.objects.filter(pk=file.pk).exists()


def test_one_is_used_again(alice: User, browser: Client) -> None:
    file = stored(alice)
    answer: Any = browser.post(f"/accounts/settings/files/{file.pk}/use/")
    again = File.objects.exclude(pk=file.pk).get()
    assert answer.url == f"/?attach={again.pk}"
    assert again.blob_id == file.blob_id


def test_an_upload_is_discarded(alice: User, browser: Client) -> None:
    upload = uploads.create_upload(alice.pk, "half.pdf", 2_000)
    assert browser.post(f"/accounts/settings/files/uploads/{upload.id}/discard/").status_code == 302
    assert list(uploads.own_uploads(alice.pk)) == []


def test_a_wrong_position_in_the_list(browser: Client) -> None:
    assert browser.get("/accounts/settings/files/?after=nonsense").status_code == 404
