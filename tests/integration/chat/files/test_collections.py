"""Collections: who may use and change them, what they count, and how they and their files are deleted."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from chat.conversations import own_collections
from chat.conversations.collections import describe_collections
from chat.files.collections import readiness_of, usable_collections
from chat.files.quota import used_by
from chat.models import Blob, Collection, Conversation, File, FileText, Preset
from chat.portability.export import export_user_data
from chat.protocol.errors import Invalid, NotFound
from chat.retention.erasure import erase
from chat.retention.stored_files import unattached
from chat.turns.attaching import ELSEWHERE
from tests.conftest import make_user
from tests.fixtures.attached import PNG, stored, upload
from tests.fixtures.people import logged_in, staff_client
from tests.fixtures.run_rows import say

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading"),
]  # fmt: skip
PAGES = "/accounts/settings/collections/"
WAYS = ("", "text/", "state/")


@pytest.fixture
def shared(alice: User) -> Collection:
    """Alice's collection with one file that was read, shared with the group readers."""
    readers = Group.objects.create(name="readers")
    readers.user_set.add(alice)
    made = Collection.objects.create(owner=alice, name="Handbook")
    made.groups.add(readers)
    file, new = own_collections.add_file(alice.pk, made.pk, stored(alice, "notes.txt").pk)
    assert new
    Blob.objects.update(state="read", characters=16)
    FileText.objects.create(blob=file.blob, position=1, label="", text="Crocodiles wait.")
    return made


def reader(name: str = "Bob") -> User:
    user = make_user(name)
    Group.objects.get(name="readers").user_set.add(user)
    return user


def statuses(browser: Client, collection: Collection) -> dict[str, Any]:
    """What a browser may do with the collection and its file."""
    file = collection.files.get()
    page, base = f"{PAGES}{collection.pk}/", f"/attachments/{file.pk}/"
    seen = []
    for way in WAYS:
        answer = browser.get(base + way)
        answer.close()
        seen.append(answer.status_code)
    return {
        "page": browser.get(page).status_code,
        "state": browser.get(f"{page}state/").status_code,
        "file": seen,
        "edit": browser.get(f"{page}edit/").status_code,
        "add": browser.post(f"{page}add/", {"file": str(file.pk)}).status_code,
        "delete": browser.get(f"{page}delete/").status_code,
        "delete file": browser.delete(base).status_code,
    }


class TestGrid:
    def test_the_owner(self, alice: User, shared: Collection) -> None:
        found = statuses(logged_in(alice), shared)
        assert found == {
            "page": 200, "state": 200, "file": [200] * 3, "edit": 200, "add": 200, "delete": 200, "delete file": 200,
        }  # fmt: skip
        assert not File.objects.exists()

    def test_who_is_in_the_group(self, shared: Collection) -> None:
        assert statuses(logged_in(reader()), shared) == {
            "page": 200, "state": 200, "file": [200] * 3, "edit": 404, "add": 404, "delete": 404, "delete file": 404,
        }  # fmt: skip

    @pytest.mark.parametrize("who", ["stranger", "former", "unshared", "owner left", "owner disabled", "staff"])
    def test_everybody_else(self, alice: User, shared: Collection, who: str) -> None:
        readers = Group.objects.get(name="readers")
        browser = staff_client("view_collection") if who == "staff" else logged_in(make_user("Eve"))
        if who in ("former", "unshared", "owner left", "owner disabled"):
            user = reader()
            browser = logged_in(user)
            match who:
                case "former":
                    readers.user_set.remove(user)
                case "unshared":
                    shared.groups.clear()
                case "owner left":
                    readers.user_set.remove(alice)
                case "owner disabled":
                    User.objects.filter(pk=alice.pk).update(is_active=False)
        found = statuses(browser, shared)
        assert {name: status if isinstance(status, int) else set(status) for name, status in found.items()} == {
            "page": 404, "state": 404, "file": {404}, "edit": 404, "add": 404, "delete": 404, "delete file": 404,
        }  # fmt: skip

    def test_a_picture_is_shown_to_others_once_its_place_is_removed(self, alice: User, shared: Collection) -> None:
        file, _ = own_collections.add_file(alice.pk, shared.pk, stored(alice, "a.png", PNG).pk)
        browser = logged_in(reader())
        assert browser.get(f"/attachments/{file.pk}/state/").status_code == 404
        Blob.objects.filter(pk=file.blob_id).update(state="read")
        assert browser.get(f"/attachments/{file.pk}/state/").status_code == 200


class TestFiles:
    def test_the_same_content_is_not_added_twice(self, alice: User, shared: Collection) -> None:
        again = stored(alice, "copy.txt")
        file, new = own_collections.add_file(alice.pk, shared.pk, again.pk)
        assert (new, file.name) == (False, "notes.txt")
        assert File.objects.count() == 1  # what was uploaded for nothing is gone

    def test_a_file_of_a_conversation_is_copied_and_takes_no_room(self, alice: User, shared: Collection) -> None:
        attached = stored(alice, "b.txt", b"Another one.")
        say(alice, "See", attachments=[attached.pk], ask=False)
        before = used_by(alice.pk).files
        file, new = own_collections.add_file(alice.pk, shared.pk, attached.pk)
        assert new
        assert file.pk != attached.pk
        assert used_by(alice.pk).files == before

    def test_a_file_of_a_collection_is_not_attached_to_a_message(self, alice: User, shared: Collection) -> None:
        file = File.objects.get()
        with pytest.raises(Invalid, match=ELSEWHERE[:40]):
            say(alice, "See", attachments=[file.pk], ask=False)

    def test_at_most_a_thousand(self, alice: User, shared: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(own_collections, "MAX_COLLECTION_FILES", 1)
        with pytest.raises(Invalid, match="at most 1 file"):
            own_collections.add_file(alice.pk, shared.pk, stored(alice, "b.txt", b"Another one.").pk)

    def test_another_persons_file_is_not_found(self, alice: User, shared: Collection) -> None:
        with pytest.raises(NotFound):
            own_collections.add_file(alice.pk, shared.pk, stored(make_user("Bob"), "b.txt", b"Bob's.").pk)

    def test_how_many_are_ready(self, alice: User, shared: Collection) -> None:
        own_collections.add_file(alice.pk, shared.pk, stored(alice, "b.txt", b"Another one.").pk)
        failed, _ = own_collections.add_file(alice.pk, shared.pk, stored(alice, "c.txt", b"A third one.").pk)
        Blob.objects.filter(pk=failed.blob_id).update(state="failed", reason="broken")
        found = readiness_of([shared.pk])[shared.pk]
        assert (found.files, found.ready, found.failed, found.pending) == (3, 1, 1, 1)
        page = logged_in(alice).get(f"{PAGES}{shared.pk}/").content.decode()
        assert "1 of 3 files ready" in page
        assert "1 without readable text" in page
        assert "damaged or incomplete" in page
        assert "in which no text was recognised are found by their names" in page

    def test_the_purge_keeps_files_of_collections(self, shared: Collection) -> None:
        File.objects.update(created_at=timezone.now() - timedelta(days=400))
        assert not unattached(timezone.now()).exists()

    def test_uploaded_and_added_as_the_page_does(self, alice: User, shared: Collection) -> None:
        browser = logged_in(alice)
        file = upload(browser, "b.txt", b"Another one.")
        answer = browser.post(f"{PAGES}{shared.pk}/add/", {"file": file["id"]})
        assert answer.json() == {"id": file["id"], "name": "b.txt", "new": True}
        assert browser.post(f"{PAGES}{shared.pk}/add/", {"file": "x"}).status_code == 400
        answer = browser.post(f"{PAGES}{shared.pk}/remove/{file['id']}/")
        assert answer.status_code == 302
        assert File.objects.count() == 1
        assert browser.post(f"{PAGES}{shared.pk}/remove/{file['id']}/").status_code == 302  # again: it is gone


class TestPages:
    def test_made_renamed_shared_and_deleted(self, alice: User) -> None:
        browser = logged_in(alice)
        assert browser.post(f"{PAGES}new/", {"name": "Handbook"}).status_code == 302
        made = Collection.objects.get()
        assert browser.post(f"{PAGES}new/", {"name": "Handbook"}).status_code == 200  # the name is taken
        browser.post(f"{PAGES}{made.pk}/edit/", {"name": "Rules", "description": "Of the house"})
        made.refresh_from_db()
        assert (made.name, made.description) == ("Rules", "Of the house")
        assert "Rules" in browser.get(PAGES).content.decode()
        browser.post(f"{PAGES}{made.pk}/delete/")
        assert not Collection.objects.exists()

    def test_what_is_shared_is_listed_with_its_owner(self, shared: Collection) -> None:
        page = logged_in(reader()).get(PAGES).content.decode()
        assert "Shared with you" in page
        assert "Alice" in page

    def test_a_preset_names_collections_that_its_owner_may_use(self, alice: User, shared: Collection) -> None:
        bob = reader()
        other = Collection.objects.create(owner=make_user("Eve"), name="Secret")
        form = {"name": "Helper", "enabled": "on", "collections": [str(shared.pk)]}
        assert logged_in(bob).post("/presets/new/", form).status_code == 302
        made = Preset.objects.get()
        assert list(made.collections.all()) == [shared]
        # Without its box in the form, the next save would take the collection away.
        page = logged_in(bob).get(f"/presets/{made.pk}/").content.decode()
        assert re.search(f'<input type="checkbox" name="collections" value="{shared.pk}"[^>]* checked', page)
        form = {"name": "Other", "enabled": "on", "collections": [str(other.pk)]}
        assert logged_in(bob).post("/presets/new/", form).status_code == 200


class TestChoosing:
    def test_chosen_for_a_conversation(self, alice: User, shared: Collection) -> None:
        conversation = say(alice, "Hello").conversation_id
        browser, url = logged_in(alice), f"/c/{conversation}/collections/"
        assert [one["on"] for one in browser.get(url).json()["collections"]] == [False]
        answer = browser.post(url, {"collections": f'["{shared.pk}"]'}).json()
        assert [(one["name"], one["on"], one["ready"]) for one in answer["collections"]] == [("Handbook", True, 1)]
        assert list(Conversation.objects.get().collections.all()) == [shared]
        assert browser.post(url, {"collections": "no"}).status_code == 400
        assert logged_in(make_user("Eve")).get(url).status_code == 404

    def test_one_that_a_member_cannot_use_is_counted_and_stays(self, alice: User, shared: Collection) -> None:
        eve = make_user("Eve")
        found = describe_collections(eve.pk, {shared.pk})
        assert (found["collections"], found["missing"]) == ([], 1)

    def test_the_page_of_who_has_none_says_nothing_of_it(self, alice: User) -> None:
        assert b"knowledge-button" not in logged_in(alice).get("/").content


class TestLeaving:
    def test_an_export_names_them(self, alice: User, shared: Collection) -> None:
        found = json.loads("".join(export_user_data(alice)))
        assert [(one["name"], one["groups"]) for one in found["collections"]] == [("Handbook", ["readers"])]
        assert [one["collection"] for one in found["files"]] == [str(shared.pk)]

    def test_an_erasure_deletes_them_with_their_contents(self, alice: User, shared: Collection, media: Any) -> None:
        bob = reader()
        assert usable_collections(bob.pk).count() == 1
        assert erase(alice).collections_deleted == 1
        assert not Collection.objects.exists()
        assert not Blob.objects.exists()

    def test_deleting_one_deletes_its_contents(self, alice: User, shared: Collection) -> None:
        own_collections.delete_collection(alice.pk, shared.pk)
        assert not File.objects.exists()
        assert not Blob.objects.exists()


class TestStaff:
    def test_names_need_the_permission_and_deleting_is_recorded(self, shared: Collection) -> None:
        page = f"/admin/chat/collection/{shared.pk}/change/"
        browser = staff_client("view_collection", "delete_collection", "delete_file")
        assert "Handbook" not in browser.get(page).content.decode()
        assert "Handbook" not in browser.get("/admin/chat/collection/").content.decode()
        sam = User.objects.get(name="Sam")
        sam.user_permissions.add(Permission.objects.get(codename="read_message_body"))
        assert "Handbook" in browser.get(page).content.decode()
        assert AuditEntry.objects.filter(verb="read_body").exists()
        browser.post(f"/admin/chat/collection/{shared.pk}/delete/", {"post": "yes"})
        assert not Collection.objects.exists()
        assert AuditEntry.objects.filter(verb="delete_collection").exists()

    def test_they_change_whom_it_is_shared_with(self, shared: Collection) -> None:
        browser = staff_client("view_collection", "change_collection")
        browser.post(f"/admin/chat/collection/{shared.pk}/change/", {"groups": []})
        assert not shared.groups.exists()
