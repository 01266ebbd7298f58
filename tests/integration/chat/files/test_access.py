"""Who may see, download and delete a file: its original, its thumbnail and its text."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from accounts.lib.link_secrets import new_secret
from accounts.lib.streaming import AccessLostError
from accounts.models import AuditEntry, User
from chat.conversations.copying import fork
from chat.conversations.snapshot import read_state
from chat.files import serving, storage
from chat.models import Attachment, Blob, Conversation, File, FileText, Member, Message, Role, ShareLink
from chat.shares.frozen import freeze
from tests.conftest import make_user
from tests.fixtures.attached import PNG, in_storage, stored
from tests.fixtures.people import logged_in, staff_client
from tests.fixtures.run_rows import say

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading"),
]  # fmt: skip
TEXT = b"Crocodiles wait.\n"
WAYS = ("", "thumbnail/", "text/", "state/")


@pytest.fixture
def file(alice: User) -> File:
    """Alice's file in a conversation of her own, read, with a thumbnail and a text."""
    made = stored(alice, "notes.txt", TEXT)
    say(alice, "See", attachments=[made.pk], ask=False)
    thumbnail = default_storage.save("thumb.webp", ContentFile(b"RIFF"))
    Blob.objects.update(state="read", thumbnail=thumbnail)
    FileText.objects.create(blob=made.blob, position=0, label="", text="Crocodiles wait.")
    made.refresh_from_db()
    return made


def add(file: File, name: str, role: Role) -> User:
    user = make_user(name)
    assert file.conversation is not None
    Member.objects.create(conversation=file.conversation, user=user, role=role)
    return user


def seen(browser: Client, file: File) -> list[int]:
    """The statuses of the original, the thumbnail, the text and the state."""
    return [status(browser, f"/attachments/{file.pk}/{way}") for way in WAYS]


def status(browser: Client, url: str) -> int:
    """What a request is answered with; its body is not read."""
    answer = browser.get(url)
    answer.close()
    return answer.status_code


def body(answer: Any) -> bytes:
    """The body of an answer that is sent in pieces."""
    return b"".join(answer.streaming_content)


def shared(file: File, *, files: bool, kind: str = "live") -> str:
    """The address of a share link of the file's conversation."""
    secret, token_hash = new_secret()
    assert file.conversation is not None
    assert file.owner is not None
    link = ShareLink.objects.create(
        conversation=file.conversation, created_by=file.owner, token_hash=token_hash, kind=kind, audience="anyone",
        expires_at=timezone.now() + timedelta(days=1), show_files=files,
    )  # fmt: skip
    if kind == "snapshot":
        freeze(link, file.conversation.tip_id)
    return f"/s/{secret}"


class TestGrid:
    @pytest.mark.parametrize(
        "who", ["owner", "owning member", "editor", "viewer", "former member", "stranger", "staff"]
    )
    def test_see_download_delete(self, file: File, alice: User, mallory: User, who: str) -> None:
        match who:
            case "owner":
                user = alice
            case "owning member" | "editor" | "viewer":
                role = {"owning member": Role.OWNER, "editor": Role.EDITOR, "viewer": Role.VIEWER}[who]
                user = add(file, "Bea", role)
            case "former member":
                user = add(file, "Bea", Role.EDITOR)
                assert seen(logged_in(user), file) == [200] * 4
                Member.objects.filter(user=user).delete()
            case "staff":
                user = make_user("Sam")
                User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
            case _:
                user = mallory
        browser = logged_in(user)
        may_see = who in ("owner", "owning member", "editor", "viewer")
        assert seen(browser, file) == [200 if may_see else 404] * 4
        deleted = browser.delete(f"/attachments/{file.pk}/")
        assert deleted.status_code == (200 if who == "owner" else 404)
        assert File.objects.filter(pk=file.pk).exists() is (who != "owner")

    def test_nobody_is_led_to_the_log_in(self, file: File) -> None:
        assert seen(Client(), file) == [302] * 4
        assert Client().delete(f"/attachments/{file.pk}/").status_code == 302
        assert File.objects.exists()

    @pytest.mark.parametrize("kind", ["live", "snapshot"])
    def test_readers_of_a_share_link_only_where_it_shows_files(self, file: File, kind: str, settings: Any) -> None:
        settings.SHARE_WITH_ANYONE = True
        for files in (False, True):
            base = f"{shared(file, files=files, kind=kind)}/files/{file.pk}/"
            wanted = 200 if files else 404
            assert [status(Client(), base + way) for way in WAYS[:3]] == [wanted] * 3, files
            assert Client().delete(base).status_code == 405
        page = Client().get(shared(file, files=True, kind=kind))
        assert [one["name"] for one in page.context["shared"].messages[0]["files"]] == ["notes.txt"]
        assert "files" not in Client().get(shared(file, files=False, kind=kind)).context["shared"].messages[0]

    def test_a_share_link_shows_no_file_of_other_messages(self, file: File, alice: User, settings: Any) -> None:
        settings.SHARE_WITH_ANYONE = True
        base = shared(file, files=True, kind="snapshot")
        later = stored(alice, "later.txt", b"later")
        say(alice, "More", conversation_id=file.conversation_id, attachments=[later.pk], ask=False)
        assert status(Client(), f"{base}/files/{later.pk}/") == 404
        ShareLink.objects.update(revoked_at=timezone.now())
        assert status(Client(), f"{base}/files/{file.pk}/") == 404

    def test_staff_read_and_delete_in_the_admin_with_an_entry_in_the_audit_log(self, file: File) -> None:
        page, content = f"/admin/chat/file/{file.pk}/change/", f"/admin/chat/file/{file.pk}/content/"
        some = staff_client("view_file")
        assert "notes.txt" not in some.get(page).content.decode()
        assert some.get(content).status_code == 403
        assert not AuditEntry.objects.filter(object_id=str(file.pk)).exists()
        User.objects.filter(is_staff=True).delete()
        more = staff_client("view_file", "delete_file", "read_message_body")
        assert "notes.txt" in more.get(page).content.decode()
        assert body(more.get(content)) == TEXT
        more.post(f"/admin/chat/file/{file.pk}/delete/", {"post": "yes"})
        assert not File.objects.exists()
        verbs = AuditEntry.objects.filter(object_id=str(file.pk)).order_by("pk").values_list("verb", flat=True)
        assert list(verbs) == ["read_body", "download_file", "delete_file"]


class TestWithheld:
    @pytest.mark.parametrize("how", [{"moderation": {"action": "hold"}}, {"deleted_at": timezone.now()}])
    def test_members_see_no_file_of_a_message_that_is_withheld_or_deleted(
        self, file: File, alice: User, how: dict[str, Any]
    ) -> None:
        viewer = logged_in(add(file, "Vic", Role.VIEWER))
        assert seen(viewer, file) == [200] * 4
        Message.objects.update(**how)
        assert seen(viewer, file) == [404] * 4
        assert seen(logged_in(alice), file) == [200] * 4

    @pytest.mark.parametrize("how", [{"moderation": {"action": "hold"}}, {"deleted_at": timezone.now()}])
    @pytest.mark.parametrize("kind", ["live", "snapshot"])
    def test_readers_of_a_link_see_no_file_of_such_a_message_though_another_branch_has_it(
        self, file: File, settings: Any, kind: str, how: dict[str, Any]
    ) -> None:
        settings.SHARE_WITH_ANYONE = True
        base = f"{shared(file, files=True, kind=kind)}/files/{file.pk}/"
        shown = Message.objects.get()
        edited = Message.objects.create(
            conversation=shown.conversation, role="user", text="Look", status="complete", file_count=1
        )
        Attachment.objects.create(message=edited, file=file, position=0)
        assert status(Client(), base) == 200
        Message.objects.filter(pk=shown.pk).update(**how)
        assert [status(Client(), base + way) for way in WAYS[:3]] == [404] * 3

    def test_the_trash_hides_files_from_members(self, file: File, alice: User) -> None:
        viewer = logged_in(add(file, "Vic", Role.VIEWER))
        Conversation.objects.update(deleted_at=timezone.now())
        assert seen(viewer, file) == [404] * 4

    def test_an_image_is_shown_to_others_once_its_place_was_removed(self, alice: User) -> None:
        image = stored(alice, "a.png", PNG)
        say(alice, "", attachments=[image.pk], ask=False)
        image.refresh_from_db()
        viewer = logged_in(add(image, "Vic", Role.VIEWER))
        original = f"/attachments/{image.pk}/"
        assert [status(viewer, original), status(logged_in(alice), original)] == [404, 200]
        Blob.objects.update(state="read")
        assert status(viewer, original) == 200

    def test_nor_do_others_copy_it_before(self, alice: User) -> None:
        """Who owns a copy sees it as it was uploaded."""
        image = stored(alice, "a.png", PNG)
        said = say(alice, "", attachments=[image.pk], ask=False)
        image.refresh_from_db()
        for user, copied in ((add(image, "Vic", Role.VIEWER), 0), (alice, 1)):
            assert File.objects.filter(conversation=fork(user.pk, said.message_id)).count() == copied
        Blob.objects.update(state="read")
        assert File.objects.filter(conversation=fork(add(image, "Wim", Role.VIEWER).pk, said.message_id)).count() == 1


class TestServed:
    def test_a_download_runs_nothing(self, alice: User) -> None:
        page = stored(alice, "../x\u202egnp.html", b"<!doctype html><script>alert(1)</script>")
        answer = logged_in(alice).get(f"/attachments/{page.pk}/?view=1")
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"] == 'attachment; filename="xgnp.html"'
        assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert body(answer) == b"<!doctype html><script>alert(1)</script>"

    @pytest.mark.parametrize(
        ("content", "shown"),
        [
            (PNG, "image/png"),
            (b"GIF89a=1;/*\0\0*/alert(1)//<script>", "image/gif"),  # and a script and a page, which it is not served as
            (b"%PDF-1.7\n", "application/pdf"),
            (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', ""),
        ],
    )
    def test_only_some_types_are_shown_in_the_page(self, alice: User, content: bytes, shown: str) -> None:
        file = stored(alice, "a", content)
        Blob.objects.update(state="read")
        answer = logged_in(alice).get(f"/attachments/{file.pk}/?view=1")
        assert answer["Content-Type"] == (shown or "application/octet-stream")
        assert answer["Content-Disposition"].startswith("inline" if shown else "attachment")
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert body(answer) == content

    def test_a_download_ends_when_access_ends(self, file: File, monkeypatch: pytest.MonkeyPatch) -> None:
        user = add(file, "Vic", Role.VIEWER)
        monkeypatch.setattr(serving, "CHECK_SECONDS", 0.0)
        monkeypatch.setattr(storage, "PART", 4)
        answer = logged_in(user).get(f"/attachments/{file.pk}/")
        pieces = iter(answer.streaming_content)  # type: ignore[attr-defined]
        assert next(pieces) == TEXT[:4]
        Member.objects.filter(user=user).delete()
        with pytest.raises(AccessLostError):
            next(pieces)
        answer.close()

    def test_what_the_storage_has_lost_is_not_found(self, file: File, alice: User, media: Path) -> None:
        (media / file.blob.path).unlink()
        assert status(logged_in(alice), f"/attachments/{file.pk}/") == 404


class TestDeleted:
    def test_messages_say_that_a_file_was_deleted(self, file: File, alice: User, media: Path) -> None:
        logged_in(alice).delete(f"/attachments/{file.pk}/")
        assert not Attachment.objects.exists()
        assert not Blob.objects.exists()
        assert in_storage(media) == set()
        assert file.conversation_id is not None
        [message] = async_to_sync(read_state)(file.conversation_id).messages
        assert (message["files"], message["deleted_files"]) == ([], 1)

    def test_another_file_of_the_same_content_keeps_it(self, file: File, alice: User, bob: User) -> None:
        other = stored(bob, "same.txt", TEXT)
        logged_in(alice).delete(f"/attachments/{file.pk}/")
        assert status(logged_in(bob), f"/attachments/{other.pk}/") == 200


class TestOwnList:
    def test_sizes_conversations_and_reuse(self, file: File, alice: User, mallory: User) -> None:
        browser = logged_in(alice)
        listed = browser.get("/attachments/").json()
        [shown] = listed["files"]
        assert (shown["name"], shown["conversation"]["title"]) == ("notes.txt", "See")
        assert listed["used"] == len(TEXT)
        again = browser.post(f"/attachments/{file.pk}/reuse/")
        assert again.status_code == 201
        listed = browser.get("/attachments/").json()
        assert [("conversation" in one) for one in listed["files"]] == [False, True]
        assert listed["used"] == len(TEXT)  # one content
        assert logged_in(mallory).get("/attachments/").json()["files"] == []
        assert logged_in(mallory).post(f"/attachments/{file.pk}/reuse/").status_code == 404

    def test_pages(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        from chat.files import library

        monkeypatch.setattr(library.list_files, "__defaults__", ("", 2))
        for number in range(3):
            stored(alice, f"{number}.txt", str(number).encode())
        first = logged_in(alice).get("/attachments/").json()
        assert [one["name"] for one in first["files"]] == ["2.txt", "1.txt"]
        rest = logged_in(alice).get(f"/attachments/?after={first['next']}").json()
        assert [one["name"] for one in rest["files"]] == ["0.txt"]
        assert "next" not in rest
        assert logged_in(alice).get("/attachments/?after=x").status_code == 400
