"""Files in a bucket: the same as in a folder, against a server that speaks S3, and what happens while it is away."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from django.core.files.storage import default_storage
from moto.server import ThreadedMotoServer

from accounts.models import User
from chat.files import storage, uploads
from chat.models import Blob, Upload
from chat.protocol.errors import Unavailable
from chat.retention import purge
from config.settings import files as file_settings
from tests import made_files as made
from tests.fixtures.attached import begin, put, stored, upload
from tests.fixtures.people import logged_in
from workers.files import reading

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "reading")]
CHUNK = 64 * 1024
KEYS = {"access_key": "k", "secret_key": "s", "region_name": "us-east-1"}


class Bucket:
    """A bucket of a server in this process, which keeps what it has while it does not listen."""

    def __init__(self) -> None:
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        self.port = self.server.get_host_and_port()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()

    def names(self, prefix: str = "") -> set[str]:
        client = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
        )
        return {one["Key"] for one in client.list_objects_v2(Bucket="files", Prefix=prefix).get("Contents", ())}


@pytest.fixture
def bucket(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    made = Bucket()
    client = boto3.client(
        "s3", endpoint_url=made.url, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
    )
    client.create_bucket(Bucket="files")
    options = {**file_settings.S3_OPTIONS, **KEYS, "bucket_name": "files", "endpoint_url": made.url}
    options |= {"location": "site", "client_config": file_settings.s3_client_config()}
    settings.FILES_IN_S3 = True
    settings.STORAGES = {
        **settings.STORAGES, "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options},
    }  # fmt: skip
    storage.storage_errors.cache_clear()
    monkeypatch.setattr(uploads, "CHUNK_BYTES", CHUNK)
    yield made
    made.stop()
    storage.storage_errors.cache_clear()


def test_upload_download_delete_and_purge(alice: User, bob: User, bucket: Bucket) -> None:
    content = os.urandom(2 * CHUNK + 5)
    browser = logged_in(alice)
    file = upload(browser, "a.bin", content)
    assert bucket.names() == {f"site/{Blob.objects.get().path}"}
    answer = browser.get(f"/attachments/{file['id']}/")
    assert b"".join(answer.streaming_content) == content  # type: ignore[attr-defined]
    upload(logged_in(bob), "same.bin", content)
    assert len(bucket.names()) == 1
    begun = begin(browser, "half.bin", 2 * CHUNK).json()
    put(browser, begun["id"], 0, b"a" * CHUNK)
    assert len(bucket.names()) == 2
    browser.delete(f"/uploads/{begun['id']}/")
    for who in (alice, bob):
        for one in logged_in(who).get("/attachments/").json()["files"]:
            logged_in(who).delete(f"/attachments/{one['id']}/")
    assert bucket.names() == set()
    assert not [progress for progress in purge.purge() if progress.kind == "contents"]


def test_while_the_bucket_is_away_what_was_received_is_kept(alice: User, bucket: Bucket) -> None:
    browser = logged_in(alice)
    begun = begin(browser, "a.bin", 2 * CHUNK).json()
    put(browser, begun["id"], 0, b"a" * CHUNK)
    bucket.stop()
    away = put(browser, begun["id"], CHUNK, b"b" * CHUNK)
    assert (away.status_code, away.json()["code"]) == (503, "unavailable")
    assert "kept" in away.json()["message"]
    assert Upload.objects.get().received == CHUNK
    bucket.start()
    assert put(browser, begun["id"], CHUNK, b"b" * CHUNK).json() == {"received": 2 * CHUNK}
    bucket.stop()
    assert browser.post(f"/uploads/{begun['id']}/finish/").status_code == 503
    bucket.start()
    file = browser.post(f"/uploads/{begun['id']}/finish/").json()["file"]
    bucket.stop()
    assert browser.get(f"/attachments/{file['id']}/").status_code == 503
    bucket.start()
    with default_storage.open(Blob.objects.get().path) as opened:
        assert opened.read() == b"a" * CHUNK + b"b" * CHUNK


def test_a_bucket_that_goes_away_in_the_middle_of_a_download(alice: User, bucket: Bucket) -> None:
    """It never ends as if it were whole: the rest comes, or the connection breaks before the announced length."""
    browser = logged_in(alice)
    content = os.urandom(4 * storage.PART)
    file = upload(browser, "a.bin", content)
    answer: Any = browser.get(f"/attachments/{file['id']}/")
    assert answer.headers["Content-Length"] == str(len(content))
    pieces = iter(answer.streaming_content)
    got = next(pieces)
    bucket.stop()
    try:
        got += b"".join(pieces)
        assert got == content
    except Unavailable:
        assert len(got) < len(content)
    finally:
        answer.close()
        bucket.start()
    again: Any = browser.get(f"/attachments/{file['id']}/")
    assert b"".join(again.streaming_content) == content


@pytest.mark.parametrize("when", ["before", "in the middle"])
def test_a_bucket_that_goes_away_while_a_worker_reads(
    alice: User, bucket: Bucket, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is read once the bucket is back, with all that is made of it."""
    content = made.image((400, 300))
    blob = stored(alice, "a.png", content).blob
    if when == "before":
        bucket.stop()
    else:
        store = reading._store

        def away(*arguments: Any) -> Any:
            bucket.stop()
            return store(*arguments)

        monkeypatch.setattr(reading, "_store", away)
    assert not reading.read_blob(blob.pk)
    monkeypatch.undo()
    bucket.start()
    blob.refresh_from_db()
    assert (blob.state, blob.attempts) == ("pending", 1)
    Blob.objects.update(claimed_until=None)
    assert reading.read_blob(blob.pk)
    blob.refresh_from_db()
    assert (blob.state, blob.width) == ("read", 400)
    kept = {blob.path, blob.thumbnail, storage.image_path(blob.path, 1)}
    assert bucket.names(f"site/{blob.path.rpartition('/')[0]}/") == {f"site/{path}" for path in kept}


def test_a_chunk_is_not_in_memory_as_a_whole(alice: User, bucket: Bucket) -> None:
    class Body(io.BytesIO):
        largest = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.largest = max(self.largest, size if size is not None and size >= 0 else 1 << 40)
            return super().read(size)

    begun = uploads.create_upload(alice.pk, "a.bin", CHUNK)
    body = Body(b"a" * CHUNK)
    assert uploads.receive_chunk(alice.pk, begun.id, 0, body) == CHUNK
    assert body.largest <= 64 * 1024
