"""Uploads over HTTP: chunks, resuming, two tabs, what is refused."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.http import UnreadablePostError
from django.utils.http import content_disposition_header

from accounts.models import User
from chat.files import contents, storage, uploads
from chat.models import Blob, File, Upload
from tests.fixtures.attached import PNG, begin, in_storage, put, stored, upload
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading")]

CHUNK = 64 * 1024


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "CHUNK_BYTES", CHUNK)


class TestWhole:
    def test_a_file_in_chunks_becomes_one_content(self, alice: User, media: Path, reading: list[Any]) -> None:
        content = os.urandom(3 * CHUNK + 17)
        file = upload(logged_in(alice), "bytes.bin", content)
        assert file["size"] == len(content)
        assert (file["name"], file["kind"], file["state"], file["thumbnail"]) == (
            "bytes.bin",
            "other",
            "pending",
            False,
        )
        blob = Blob.objects.get()
        assert blob.sha256 == hashlib.sha256(content).hexdigest()
        assert in_storage(media) == {blob.path}  # no chunk is left
        assert (media / blob.path).read_bytes() == content
        assert not Upload.objects.exists()
        assert reading == [blob.pk]

    def test_the_same_content_twice_is_stored_once(
        self, alice: User, bob: User, media: Path, reading: list[Any]
    ) -> None:
        first, second = stored(alice, "a.txt"), stored(bob, "b.txt")
        assert first.blob_id == second.blob_id
        assert first.pk != second.pk
        assert in_storage(media) == {first.blob.path}
        assert len(reading) == 1

    def test_finishing_twice_gives_the_same_file(self, alice: User) -> None:
        browser = logged_in(alice)
        begun = begin(browser, "a.png", len(PNG)).json()
        put(browser, begun["id"], 0, PNG)
        first = browser.post(f"/uploads/{begun['id']}/finish/")
        assert first.json() == browser.post(f"/uploads/{begun['id']}/finish/").json()
        assert first.json()["file"]["media_type"] == "image/png"
        assert File.objects.count() == 1

    def test_the_type_is_that_of_the_content(self, alice: User) -> None:
        page = b"<!DOCTYPE html><html><script>alert(1)</script></html>"
        file = upload(logged_in(alice), "photo.png", page)
        assert (file["media_type"], file["kind"]) == ("text/html", "document")

    @pytest.mark.parametrize(
        ("name", "kept"),
        [
            ("x" * 4_000 + ".txt", "x" * 196 + ".txt"),
            ("../../etc/passwd", "passwd"),
            ("invoice\u202efdp.exe", "invoicefdp.exe"),
            ("\u2067\u05d3\u05d5\u05d7 2026.pdf", "\u05d3\u05d5\u05d7 2026.pdf"),
        ],
    )
    def test_the_name_is_what_can_be_shown(self, alice: User, name: str, kept: str) -> None:
        browser = logged_in(alice)
        file = upload(browser, name, b"Crocodiles wait.")
        assert file["name"] == kept
        answer = browser.get(f"/attachments/{file['id']}/")
        answer.close()
        assert answer["Content-Disposition"] == content_disposition_header(True, kept)


class TestResuming:
    def test_it_goes_on_where_it_was(self, alice: User) -> None:
        browser = logged_in(alice)
        begun = begin(browser, "a.bin", 2 * CHUNK).json()
        assert put(browser, begun["id"], 0, b"a" * CHUNK).json() == {"received": CHUNK}
        found = browser.get(f"/uploads/{begun['id']}/").json()
        assert (found["received"], found["size"], found["name"]) == (CHUNK, 2 * CHUNK, "a.bin")
        assert [one["id"] for one in browser.get("/uploads/").json()["uploads"]] == [begun["id"]]
        early = browser.post(f"/uploads/{begun['id']}/finish/")
        assert (early.status_code, early.json()["code"]) == (409, "conflict")
        put(browser, begun["id"], CHUNK, b"b" * CHUNK)
        assert browser.post(f"/uploads/{begun['id']}/finish/").status_code == 200

    @pytest.mark.parametrize("at", [0, 1, 2])
    @pytest.mark.parametrize("arrived", [0, 1, CHUNK // 2, CHUNK - 1, CHUNK])
    def test_cut_in_each_chunk_it_goes_on_with_that_chunk(
        self, alice: User, media: Path, at: int, arrived: int
    ) -> None:
        class Cut(io.BytesIO):
            """A connection that ends after so many bytes."""

            def read(self, size: int | None = -1, /) -> bytes:
                if part := super().read(size):
                    return part
                raise UnreadablePostError("Connection reset by peer")

        begun = uploads.create_upload(alice.pk, "a.bin", 3 * CHUNK)
        for number in range(3):
            if number == at:
                with pytest.raises(UnreadablePostError):
                    uploads.receive_chunk(alice.pk, begun.id, number * CHUNK, Cut(b"x" * arrived))
                assert Upload.objects.get().received == number * CHUNK
                assert len(in_storage(media)) == number
            body = io.BytesIO(bytes([97 + number]) * CHUNK)
            assert uploads.receive_chunk(alice.pk, begun.id, number * CHUNK, body) == (number + 1) * CHUNK
        file = uploads.finish_upload(alice.pk, begun.id)
        assert (media / file.blob.path).read_bytes() == b"a" * CHUNK + b"b" * CHUNK + b"c" * CHUNK

    def test_a_chunk_twice_is_harmless_and_a_gap_is_refused(self, alice: User, media: Path) -> None:
        browser = logged_in(alice)
        begun = begin(browser, "a.bin", 3 * CHUNK).json()
        put(browser, begun["id"], 0, b"a" * CHUNK)
        assert put(browser, begun["id"], 0, b"a" * CHUNK).json() == {"received": CHUNK}
        gap = put(browser, begun["id"], 2 * CHUNK, b"c" * CHUNK)
        assert (gap.status_code, gap.json()["code"], gap.json()["received"]) == (409, "offset", CHUNK)
        across = put(browser, begun["id"], CHUNK - 1, b"cc")
        assert across.status_code == 409
        assert len(in_storage(media)) == 1

    def test_two_tabs_that_send_the_same_chunk_at_the_same_time(
        self, alice: User, media: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = uploads.create_upload(alice.pk, "a.bin", 2 * CHUNK)
        save = storage.save

        def other_tab_is_faster(path: str, content: Any) -> str:
            monkeypatch.setattr(storage, "save", save)
            assert uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"a" * CHUNK)) == CHUNK
            return save(path, content)

        monkeypatch.setattr(storage, "save", other_tab_is_faster)
        assert uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"a" * CHUNK)) == CHUNK
        row = Upload.objects.get()
        assert row.received == CHUNK
        assert in_storage(media) == set(row.chunks)
        assert len(row.chunks) == 1

    def test_two_tabs_that_finish_at_the_same_time(
        self, alice: User, media: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = uploads.create_upload(alice.pk, "a.bin", 10)
        uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"0123456789"))
        take_in = contents.take_in

        def other_tab_is_faster(*args: Any) -> Any:
            taken = take_in(*args)
            monkeypatch.setattr(uploads, "take_in", take_in)
            uploads.finish_upload(alice.pk, begun.id)
            return taken

        monkeypatch.setattr(uploads, "take_in", other_tab_is_faster)
        assert uploads.finish_upload(alice.pk, begun.id).pk == begun.id
        assert in_storage(media) == {Blob.objects.get().path}

    def test_what_a_killed_process_left_does_not_spoil_the_file(self, alice: User, media: Path) -> None:
        begun = uploads.create_upload(alice.pk, "a.bin", 10)
        uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"01234"))
        # Killed after it wrote a chunk and before it counted it; and once more while it joined them.
        (media / f"uploads/{begun.id}/5.dead").write_bytes(b"xx")
        half = media / storage.content_path(begun.id)
        half.parent.mkdir(parents=True)
        half.write_bytes(b"012")
        uploads.receive_chunk(alice.pk, begun.id, 5, io.BytesIO(b"56789"))
        file = uploads.finish_upload(alice.pk, begun.id)
        assert (media / file.blob.path).read_bytes() == b"0123456789"
        assert in_storage(media) == {file.blob.path}

    def test_cancelling_deletes_what_was_received(self, alice: User, media: Path) -> None:
        browser = logged_in(alice)
        begun = begin(browser, "a.bin", 2 * CHUNK).json()
        put(browser, begun["id"], 0, b"a" * CHUNK)
        assert browser.delete(f"/uploads/{begun['id']}/").status_code == 200
        assert in_storage(media) == set()
        late = put(browser, begun["id"], CHUNK, b"a" * CHUNK)
        assert (late.status_code, late.json()["code"]) == (404, "not_found")
        assert in_storage(media) == set()


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"name": "a", "size": 0}, 400, "invalid"),
            ({"name": "a", "size": -1}, 400, "invalid"),
            ({"name": "a", "size": 10**12}, 413, "too_large"),
            ({"name": "a", "size": 10**30}, 413, "too_large"),
            ({"name": "a", "size": True}, 400, "invalid"),
            ({"name": 7, "size": 1}, 400, "invalid"),
            ({"size": 1}, 400, "invalid"),
        ],
    )
    def test_at_the_beginning(self, alice: User, body: dict[str, Any], status: int, code: str) -> None:
        answer = logged_in(alice).post("/uploads/new/", body, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["message"].endswith(".")
        assert not Upload.objects.exists()

    def test_more_than_was_announced(self, alice: User) -> None:
        browser = logged_in(alice)
        begun = begin(browser, "a.bin", 10).json()
        assert put(browser, begun["id"], 0, b"01234567890").status_code == 400
        assert put(browser, begun["id"], 0, b"").status_code == 400
        assert put(browser, begun["id"], 0, b"x" * (CHUNK + 1)).status_code == 400

    def test_other_peoples_uploads_are_not_found(self, alice: User, mallory: User) -> None:
        begun = begin(logged_in(alice), "a.bin", 10).json()
        other = logged_in(mallory)
        url = f"/uploads/{begun['id']}/"
        assert [other.get(url).status_code, put(other, begun["id"], 0, b"x").status_code] == [404, 404]
        assert other.post(f"{url}finish/").status_code == 404
        other.delete(url)
        assert Upload.objects.filter(pk=begun["id"]).exists()

    def test_a_disk_that_is_full_keeps_what_was_received(
        self, alice: User, media: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        browser = logged_in(alice)
        begun = begin(browser, "a.bin", 2 * CHUNK).json()
        put(browser, begun["id"], 0, b"a" * CHUNK)
        save = FileSystemStorage._save  # type: ignore[attr-defined]

        def full(self: FileSystemStorage, name: str, content: Any) -> str:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(FileSystemStorage, "_save", full)
        answer = put(browser, begun["id"], CHUNK, b"b" * CHUNK)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "no room" in answer.json()["message"]
        monkeypatch.setattr(FileSystemStorage, "_save", save)
        assert put(browser, begun["id"], CHUNK, b"b" * CHUNK).json() == {"received": 2 * CHUNK}
        monkeypatch.setattr(FileSystemStorage, "_save", full)
        assert browser.post(f"/uploads/{begun['id']}/finish/").status_code == 503
        monkeypatch.setattr(FileSystemStorage, "_save", save)
        assert browser.post(f"/uploads/{begun['id']}/finish/").status_code == 200

    def test_a_chunk_that_was_lost_ends_the_upload(self, alice: User, media: Path) -> None:
        begun = uploads.create_upload(alice.pk, "a.bin", 5)
        uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"01234"))
        (media / Upload.objects.get().chunks[0]).unlink()
        answer = logged_in(alice).post(f"/uploads/{begun.id}/finish/")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert not Upload.objects.exists()

    def test_nothing_is_known_of_an_upload_that_never_was(self, alice: User) -> None:
        assert logged_in(alice).post(f"/uploads/{uuid.uuid4()}/finish/").status_code == 404
