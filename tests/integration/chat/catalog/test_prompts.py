"""The prompt library: who may use, see and change which prompt, its files, and staff's in the admin."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.models import AuditEntry, User
from chat.catalog import offered_models, own_items
from chat.catalog.prompt_files import export_prompts, import_prompts
from chat.catalog.prompts import prompt_entries, save_prompt
from chat.models import Prompt
from chat.portability.export import export_user_data
from chat.protocol.errors import Invalid
from chat.retention import erasure
from tests.fixtures.offered_models import forget_models
from tests.fixtures.people import logged_in, staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "a_model")]

FORM = {"name": "Review", "title": "Review code", "text": "Review this {{language|Python}} code:\r\n{{code}}"}


@pytest.fixture
def a_model(clean_redis: str) -> Iterator[None]:
    offered_models.publish_models([{"id": "one", "label": "One"}])
    forget_models()
    yield
    forget_models()


def make(owner: User | None, name: str, text: str = "Hello {{who}}", **values: Any) -> Prompt:
    if owner is None:
        return Prompt.objects.create(name=name, text=text, **values)
    return save_prompt(Prompt(owner=owner, name=name, text=text, **values))


@pytest.fixture
def crew(alice: User, bob: User) -> Group:
    """A group of Alice and Bob, whose members may share."""
    group = Group.objects.create(name="crew")
    group.permissions.set(Permission.objects.filter(codename="share_preset"))
    alice.groups.add(group)
    bob.groups.add(group)
    return group


def names(user: User) -> list[str]:
    return [one["name"] for one in prompt_entries(user)]


def upload(client: Client, body: bytes) -> str:
    answer = client.post("/prompts/import/", {"file": BytesIO(body)}, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_made_edited_duplicated_and_deleted_on_its_page(alice: User) -> None:
    client = logged_in(alice)
    assert "None yet." in client.get("/prompts/").content.decode()
    assert client.post("/prompts/new/", FORM).status_code == 302
    prompt = Prompt.objects.get()
    assert (prompt.owner, prompt.name) == (alice, "review")
    assert prompt.text == "Review this {{language|Python}} code:\n{{code}}"
    answer = client.get(f"/prompts/{prompt.pk}/pieces/").json()
    assert answer == {
        "pieces": ["Review this ", {"name": "language"}, " code:\n", {"name": "code"}],
        "variables": [
            {"name": "language", "default": "Python", "long": False}, {"name": "code", "default": "", "long": False},
        ],
    }  # fmt: skip
    client.post(f"/prompts/{prompt.pk}/", {**FORM, "name": "/Prüfen"})
    prompt.refresh_from_db()
    assert prompt.name == "prüfen"
    client.post(f"/prompts/{prompt.pk}/copy/")
    assert names(alice) == ["prüfen", "prüfen-copy"]
    assert "prüfen-copy" in client.get("/prompts/?q=copy").content.decode()
    assert "None of your prompts matches." in client.get("/prompts/?q=nothing").content.decode()
    assert "Delete “/prüfen”?" in client.get(f"/prompts/{prompt.pk}/delete/").content.decode()
    client.post(f"/prompts/{prompt.pk}/delete/")
    assert names(alice) == ["prüfen-copy"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "taken"}, "You already have a prompt with this name."),
        ({"name": "Taken"}, "You already have a prompt with this name."),
        ({"name": "two words"}, "Use only letters, digits, hyphens and underscores."),
        ({"name": "a/b"}, "Use only letters, digits, hyphens and underscores."),
        ({"text": ""}, "This field is required"),
        ({"text": "x" * 20_001}, "at most 20000 characters"),
        ({"text": "".join(f"{{{{v{number}}}}}" for number in range(31))}, "at most 30 variables. This one has 31."),
    ],
)
def test_what_cannot_be_is_refused_on_the_page(alice: User, values: dict[str, str], words: str) -> None:
    make(alice, "taken")
    answer = logged_in(alice).post("/prompts/new/", {**FORM, **values})
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert Prompt.objects.count() == 1


def test_another_users_prompt_is_not_found(alice: User, bob: User, crew: Group) -> None:
    """One that he may use can be read and copied, but not changed; a private one cannot even be read."""
    shared, private = make(alice, "shared"), make(alice, "private")
    shared.groups.add(crew)
    client = logged_in(bob)
    for one in (shared, private):
        assert client.get(f"/prompts/{one.pk}/").status_code == 404
        assert client.post(f"/prompts/{one.pk}/", FORM).status_code == 404
        assert client.get(f"/prompts/{one.pk}/delete/").status_code == 404
        assert client.post(f"/prompts/{one.pk}/delete/").status_code == 404
    for act in (client.get(f"/prompts/{private.pk}/pieces/"), client.post(f"/prompts/{private.pk}/copy/")):
        assert act.status_code == 404
    assert client.get(f"/prompts/{uuid.uuid4()}/pieces/").status_code == 404
    assert client.get(f"/prompts/{shared.pk}/pieces/").status_code == 200
    assert prompt_entries(bob) == [{"id": str(shared.pk), "name": "shared", "title": "", "owner": "Alice"}]
    page = client.get("/prompts/").content.decode()
    assert "by Alice" in page
    assert "/private" not in page
    client.post(f"/prompts/{shared.pk}/copy/")
    assert Prompt.objects.get(owner=bob).text == shared.text
    assert not Prompt.objects.get(owner=bob).groups.exists()
    assert Client().get("/prompts/library/").status_code == 302, "to the log-in page"


@pytest.mark.parametrize("end", ["he leaves", "she leaves", "unshared", "by staff", "account disabled"])
def test_sharing_ends(alice: User, bob: User, crew: Group, end: str) -> None:
    prompt = make(alice, "shared")
    prompt.groups.add(crew)
    assert names(bob) == ["shared"]
    match end:
        case "he leaves":
            bob.groups.remove(crew)
        case "she leaves":
            alice.groups.remove(crew)
        case "unshared":
            prompt.groups.clear()
        case "by staff":
            Prompt.objects.update(disabled_by_staff=True)
        case "account disabled":
            User.objects.filter(pk=alice.pk).update(is_active=False)
    assert names(bob) == []
    assert logged_in(bob).get(f"/prompts/{prompt.pk}/pieces/").status_code == 404
    assert (names(alice) == ["shared"]) == (end != "by staff")


def test_sharing_needs_the_permission(alice: User, crew: Group) -> None:
    client = logged_in(alice)
    client.post("/prompts/new/", {**FORM, "groups": [str(crew.pk)]})
    assert list(Prompt.objects.get().groups.all()) == [crew]
    crew.permissions.clear()
    refused = client.post("/prompts/new/", {**FORM, "name": "b", "groups": [str(crew.pk)]})
    assert "not one of the available choices" in refused.content.decode()


def test_the_library_has_own_prompts_first_and_an_etag(alice: User, bob: User, crew: Group) -> None:
    shared = make(bob, "a-shared")
    shared.groups.add(crew)
    make(None, "b-staff")
    make(None, "hidden").groups.add(Group.objects.create(name="few"))
    make(None, "off", disabled_by_staff=True)
    make(alice, "c-own")
    client = logged_in(alice)
    first = client.get("/prompts/library/")
    assert [one["name"] for one in first.json()["prompts"]] == ["c-own", "b-staff", "a-shared"]
    assert "Hello" not in first.content.decode(), "texts are read one at a time"
    again = client.get("/prompts/library/", headers={"if-none-match": first.headers["ETag"]})
    assert again.status_code == 304
    make(alice, "d-own")
    assert client.get("/prompts/library/", headers={"if-none-match": first.headers["ETag"]}).status_code == 200


def test_a_file_comes_back_as_it_went(alice: User, bob: User) -> None:
    make(alice, "one", title="First", text="Ä {{x|y}}\nend")
    make(alice, "two")
    client = logged_in(alice)
    body = client.get("/prompts/export/").content
    assert json.loads(body)["prompts"][0] == {"name": "one", "title": "First", "text": "Ä {{x|y}}\nend"}
    assert "2 prompts have been imported." in upload(logged_in(bob), body)
    assert export_prompts(bob) == body
    said = upload(client, body)
    assert "0 prompts have been imported." in said
    assert "Skipped, because you have a prompt of that name: /one, /two" in said


def test_open_webuis_file_is_read(alice: User) -> None:
    body = [{"command": "/Sum", "name": "Summary", "content": "Sum up {{text}}", "user_id": "x", "meta": None}]
    assert import_prompts(alice, json.dumps(body).encode()).made == 1
    assert (Prompt.objects.get().name, Prompt.objects.get().title) == ("sum", "Summary")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "This is not a file of prompts"),
        (b"\xff\xfe", "This is not a file of prompts"),
        (b"{}", "This is not a file of prompts"),
        (b"[" * 100_000, "This is not a file of prompts"),
        (b'[{"name": 1}]', "Expected `str`, got `int`"),
        (b"[" + b",".join([b"{}"] * 1_001) + b"]", "at most 1,000 prompts"),
        (b'{"format": "x", "version": 1, "prompts": []}', "This is not a file of prompts"),
        (b'{"format": "antiphon.prompts", "version": 2, "prompts": []}', "exported by a newer version"),
        (b'[{"name": "good", "text": "x"}, {"name": "a b", "text": "x"}]', "Prompt 2 of the file cannot be imported"),
        (b'[{"name": "good", "text": "x"}, {"name": "empty", "text": ""}]', "Text: This field cannot be blank."),
    ],
)
def test_a_file_that_is_not_valid_imports_nothing(alice: User, body: bytes, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        import_prompts(alice, body)
    assert words in caught.value.message
    assert not Prompt.objects.exists()


def test_control_characters_are_left_out_of_a_file(alice: User) -> None:
    import_prompts(alice, b'[{"name": "n", "title": "a\\u0000b", "text": "x\\u0000y\\r\\nz"}]')
    assert (Prompt.objects.get().title, Prompt.objects.get().text) == ("ab", "xy\nz")


def test_there_are_only_so_many(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(own_items.LIMITS, Prompt, 2)
    first = make(alice, "a")
    make(alice, "b")
    client = logged_in(alice)
    assert "at most 2 prompts of your own" in client.post("/prompts/new/", FORM).content.decode()
    assert "at most 2 prompts" in client.post(f"/prompts/{first.pk}/copy/", follow=True).content.decode()
    assert "at most 2 prompts" in upload(client, b'[{"name": "c", "text": "x"}]')
    assert Prompt.objects.count() == 2


def test_erasure_and_export(alice: User, bob: User, crew: Group) -> None:
    make(alice, "shared", title="T").groups.add(crew)
    body = json.loads("".join(export_user_data(alice)))
    assert body["prompts"] == [{"name": "shared", "title": "T", "text": "Hello {{who}}"}]
    assert erasure.report(alice)["prompts_deleted"] == 1
    erasure.erase(alice)
    assert names(bob) == []


def test_staff_make_their_own_and_disable_those_of_users(alice: User, bob: User) -> None:
    keeper = staff_client("view_prompt", "add_prompt", "change_prompt", "delete_prompt")
    listing = "/admin/chat/prompt/"
    assert keeper.post(f"{listing}add/", {"name": "Ours", "title": "", "text": "Hi {{x}}"}).status_code == 302
    assert names(alice) == ["ours"]
    refused = keeper.post(f"{listing}add/", {"name": "ours", "title": "", "text": "Hi"})
    assert "already exists" in refused.content.decode()
    theirs = make(alice, "theirs", text="Written by Alice")
    assert "alice@example.org" in keeper.get(listing).content.decode()
    assert "/theirs" not in keeper.get(f"{listing}?made_by=staff").content.decode()
    shown = keeper.get(f"{listing}{theirs.pk}/change/").content.decode()
    assert "Written by Alice" not in shown
    keeper.post(listing, {"action": "disable", "_selected_action": [str(theirs.pk)]})
    assert names(alice) == ["ours"]
    assert "Disabled by staff" in logged_in(alice).get("/prompts/").content.decode()
    assert logged_in(alice).get(f"/prompts/{theirs.pk}/pieces/").status_code == 404
    keeper.post(f"{listing}{theirs.pk}/delete/", {"post": "yes"})
    assert not Prompt.objects.filter(owner=alice).exists()
    verbs = AuditEntry.objects.filter(object_type="chat.prompt").order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["add", "change", "delete"]
