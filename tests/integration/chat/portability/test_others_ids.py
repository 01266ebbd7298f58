"""Archives that name things of somebody else, in every format: nothing of theirs is read, linked, changed or shown, and
what the importer gets is a copy of what the file says.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import User
from chat.catalog.prompt_files import import_prompts
from chat.conversations.members import leave
from chat.models import Attachment, Collection, Conversation, File, Folder, ImportJob, Member, Message, Prompt, Run, Tag
from chat.portability import refusals
from chat.portability.export import export_user_data
from chat.portability.import_jobs import create_import, run_import, undo_import
from tests.conftest import make_user
from tests.integration.chat.portability.imports import archive, chatgpt, node
from tests.integration.config.web.test_foreign_ids import references
from tests.integration.config.web.test_others_things import MARK, client_of, rows, things

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "one_model", things.__name__),
    pytest.mark.timeout(240),
]  # fmt: skip

Ids = dict[str, str]


def of_chatgpt(ids: Ids) -> Any:
    more = {"user_id": ids["user_id"], "attachments": [{"id": ids["attached"], "name": "a.txt"}]}
    question = node(ids["message_id"], None, "user", {"content_type": "text", "text": "x"})
    question["message"] |= {"id": ids["message_id"], "metadata": more}
    picture = {"content_type": "image_asset_pointer", "asset_pointer": f"file-service://{ids['attached']}"}
    question["message"]["content"] |= {"parts": ["Mine", picture], "content_type": "multimodal_text"}
    whole = chatgpt(
        question, node("a", ids["message_id"], "assistant", "Answer"),
        name=ids["conversation_id"], tip=ids["message_id"],
    )  # fmt: skip
    about = {"gizmo_id": ids["preset_id"], "conversation_template_id": ids["preset_id"], "owner": ids["user_id"]}
    return [whole | about | {"folder": ids["folder_id"], "id": ids["conversation_id"]}]


def of_claude(ids: Ids) -> Any:
    files = [{"file_uuid": ids["attached"], "file_kind": "document", "uuid": ids["attached"], "path": ids["file_id"]}]
    said = {"uuid": ids["message_id"], "sender": "human", "text": "Mine", "files": files, "attachments": files}
    answer = {"uuid": "a", "sender": "assistant", "text": "Answer", "parent_message_uuid": ids["message_id"]}
    about = {"account": {"uuid": ids["user_id"]}, "project": {"uuid": ids["folder_id"]}}
    leaf = {"current_leaf_message_uuid": ids["message_id"]}
    return [{"uuid": ids["conversation_id"], "name": "T", "chat_messages": [said, answer], **about, **leaf}]


def of_librechat(ids: Ids) -> Any:
    files = [{"file_id": ids["attached"], "user": ids["user_id"], "filepath": f"/files/{ids['attached']}/"}]
    below = {
        "messageId": "a", "parentMessageId": ids["message_id"], "isCreatedByUser": False, "text": "Answer",
        "conversationId": ids["conversation_id"], "attachments": [{"filename": "x", "file_id": ids["attached"]}],
    }  # fmt: skip
    first = {
        "messageId": ids["message_id"], "isCreatedByUser": True, "text": "Mine", "files": files,
        "user": ids["user_id"], "children": [below], "parentMessageId": ids["call_id"],
    }  # fmt: skip
    about = {"user": ids["user_id"], "tags": [ids["tag_id"]], "presetId": ids["preset_id"]}
    return {"conversationId": ids["conversation_id"], "title": "T", "messages": [first], **about}


def of_open_webui(ids: Ids) -> Any:
    files = [{"type": "file", "id": ids["attached"], "collection_name": ids["collection_id"]}]
    first = {"role": "user", "content": "Mine", "files": files, "childrenIds": ["a"], "parentId": None}
    tree = {ids["message_id"]: first, "a": {"role": "assistant", "content": "Answer", "parentId": ids["message_id"]}}
    chat = {"title": "T", "history": {"messages": tree, "currentId": ids["message_id"]}, "files": files}
    about = {"user_id": ids["user_id"], "folder_id": ids["folder_id"], "share_id": ids["share"]}
    return [{"id": ids["conversation_id"], "chat": chat, "meta": {"tags": [ids["tag_id"]]}, **about}]


def of_ours(ids: Ids) -> Any:
    """`here.txt` is in the archive, `Alice's` only on this site."""
    here = {"id": ids["attached"], "name": "here.txt", "path": "files/here.txt"}
    absent = {"id": ids["file_id"], "name": "absent", "path": f"files/{ids['file_id']}/{MARK}.txt"}
    served = {"id": "served", "name": "served", "path": f"/attachments/{ids['attached']}/"}
    question = {
        "id": ids["message_id"], "role": "user", "text": "Mine", "files": [here, absent, served],
        "author": ids["user_id"], "author_id": ids["user_id"], "parent_id": ids["message_id"] + "0",
        "comparison": {"size": 2, "chosen": "a"},
    }  # fmt: skip
    sources = [{"file": ids["attached"], "collection": ids["collection_id"]}]
    answers = [
        {"id": name, "parent_id": ids["message_id"], "role": "assistant", "text": name, "model": "m", "slot": slot,
         "sources": sources, "run_id": ids["conversation_id"], "steps": [{"calls": [{"id": ids["call_id"]}]}]}
        for slot, name in enumerate(("a", "b"), 1)
    ]  # fmt: skip
    one = {
        "id": ids["conversation_id"], "title": "T", "messages": [question, *answers], "tip": ids["message_id"],
        "folder": [ids["folder_id"]], "tags": [ids["tag_id"]], "preset_id": ids["preset_id"],
        "collections": [ids["collection_id"]], "members": [{"id": ids["user_id"], "role": "owner"}],
        "read_up_to": {"message_id": ids["message_id"]}, "share_links": [ids["link_id"]],
    }  # fmt: skip
    of_collection = [
        {**one, "collection": ids["collection_id"], "conversation": ids["conversation_id"]} for one in (here, absent)
    ]
    return {
        "format": "antiphon.export", "version": 1, "conversations": [one],
        "account": {"id": ids["user_id"], "email": "alice@example.org"},
        "collections": [{"id": ids["collection_id"], "name": "C", "description": "", "groups": ["x"],
                         "owner": ids["user_id"]}],
        "files": of_collection, "folders": [{"id": ids["folder_id"], "path": ["x"]}],
        "presets": [{"id": ids["preset_id"], "name": "x"}], "sessions": [{"user": ids["user_id"]}],
        "recordings": [{"id": ids["recording_id"], "audio_wav": "AA=="}],
    }  # fmt: skip


FORMATS: tuple[Callable[[Ids], Any], ...] = (of_chatgpt, of_claude, of_librechat, of_open_webui, of_ours)


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda *_, **__: None)


def imported(user: User, data: Any) -> ImportJob:
    packed = archive(("conversations.json", json.dumps(data).encode()), ("files/here.txt", b"Bo's own words."))
    return run(user, packed.getvalue())


def run(user: User, packed: bytes) -> ImportJob:
    job = create_import(user, SimpleUploadedFile("export.zip", packed))
    run_import(job.pk)
    job.refresh_from_db()
    return job


def of_others(user: User) -> list[Any]:
    """What is linked with anything of the user's imports that is not theirs."""
    mine = Conversation.objects.filter(memberships__user=user)
    return [
        *Member.objects.filter(conversation__in=mine).exclude(user=user),
        *Message.objects.filter(conversation__in=mine).exclude(author=user).exclude(author=None),
        *Message.objects.filter(conversation__in=mine, parent__isnull=False).exclude(parent__conversation__in=mine),
        *Run.objects.filter(conversation__in=mine).exclude(message__conversation__in=mine),
        *Attachment.objects.filter(message__conversation__in=mine).exclude(file__owner=user),
        *File.objects.filter(conversation__in=mine).exclude(owner=user),
        *File.objects.filter(collection__owner=user).exclude(owner=user),
        *mine.exclude(preset=None), *mine.filter(collections__isnull=False),
        *Member.objects.filter(user=user).exclude(folder=None).exclude(folder__user=user),
    ]  # fmt: skip


@pytest.mark.parametrize("made", FORMATS, ids=lambda made: made.__name__)
def test_ids_of_others(things: Ids, made: Callable[[Ids], Any]) -> None:
    bob = make_user("Bo")
    before, referred = rows(), references()
    theirs = {value for value in things.values() if len(value) == 36}
    job = imported(bob, made(things))
    assert (job.state, job.new, job.known, job.refused) == ("done", 1, 0, 0), job.report
    assert (job.files, job.collections) == ((2, 1) if made is of_ours else (0, 0)), job.report

    assert [key for key, row in before.items() if rows().get(key) != row] == []
    assert [one for one in references() - referred if one[2].split()[0] in theirs] == []
    assert of_others(bob) == []
    conversation = Conversation.objects.get(memberships__user=bob)
    assert str(conversation.pk) != things["conversation_id"]
    assert {one.text.partition("\n")[0] for one in Message.objects.filter(conversation=conversation)} >= {"Mine"}
    assert all(str(pk) not in theirs for pk in File.objects.filter(owner=bob).values_list("pk", flat=True))
    assert not Folder.objects.filter(user=bob).exclude(name=things["folder_id"]).exists(), "a name, no reference"
    assert not Tag.objects.filter(user=bob).exclude(name=things["tag_id"]).exists()

    assert MARK not in str([one for one in job.report if one[1] != refusals.FILE_MISSING])
    client = client_of(bob)
    for path in (f"/imports/{job.pk}/", f"/c/{conversation.pk}/", "/accounts/settings/collections/", "/"):
        assert MARK.encode() not in client.get(path).content, path
    assert f"{MARK} " not in "".join(export_user_data(bob))

    again = imported(bob, made(things))
    assert (again.new, again.known, again.files, again.collections) == (0, 1, 0, 0)
    undo_import(bob.pk, job.pk)
    assert [key for key, row in before.items() if rows().get(key) != row] == []


@pytest.mark.parametrize("made", FORMATS, ids=lambda made: made.__name__)
def test_two_people_import_the_same_file(things: Ids, made: Callable[[Ids], Any]) -> None:
    """Each has a copy of their own, and the second import does not touch the first one's."""
    first, second = make_user("Bo"), make_user("Cy")
    imported(first, made(things))
    before = rows()
    job = imported(second, made(things))
    assert (job.new, job.known) == (1, 0)
    assert [key for key, row in before.items() if rows().get(key) != row] == []
    assert of_others(first) == of_others(second) == []
    assert Collection.objects.filter(owner__in=[first, second]).count() == (2 if made is of_ours else 0)


@pytest.mark.parametrize("made", FORMATS, ids=lambda made: made.__name__)
def test_what_the_importer_has_left_belongs_to_others(things: Ids, made: Callable[[Ids], Any], bob: User) -> None:
    """Importing the file again tells nothing of it, such as that it is in the trash, and makes a copy."""
    left = make_user("Cy")
    imported(left, made(things))
    theirs = Conversation.objects.get(memberships__user=left)
    Member.objects.create(conversation=theirs, user=bob, role="editor")
    leave(left.pk, theirs.pk, bob.pk)
    Conversation.objects.filter(pk=theirs.pk).update(deleted_at="2026-01-01T00:00Z", title=f"{MARK} new")
    before = rows()
    job = imported(left, made(things))
    assert (job.new, job.known, job.trashed) == (1, 0, 0)
    assert [key for key, row in before.items() if rows().get(key) != row] == []
    assert of_others(left) == []
    again = imported(left, made(things))
    assert (again.new, again.known, again.trashed) == (0, 1, 0)


def test_ids_of_others_in_a_file_of_prompts(things: Ids) -> None:
    bob, before = make_user("Bo"), rows()
    entry = {"id": things["prompt_id"], "pk": things["prompt_id"], "owner": things["user_id"], "name": "xylomark"}
    body = json.dumps({"format": "antiphon.prompts", "version": 1, "prompts": [entry | {"text": "Mine"}]}).encode()
    assert import_prompts(bob, body).made == 1, "Alice's prompt of this name is no hindrance, and not told of"
    webui = [{"command": "/other", "content": "Mine", "user_id": things["user_id"], "id": things["prompt_id"]}]
    assert import_prompts(bob, json.dumps(webui).encode()).made == 1
    assert Prompt.objects.filter(owner=bob, text="Mine").count() == 2
    assert [key for key, row in before.items() if rows().get(key) != row] == []


def test_an_archive_of_every_format_at_once(things: Ids) -> None:
    """Each document is read by its own format; all name the same conversation of Alice's, and none is it."""
    bob, before = make_user("Bo"), rows()
    documents = [(f"{made.__name__}.json", json.dumps(made(things)).encode()) for made in FORMATS]
    job = run(bob, archive(*documents).getvalue())
    assert (job.new + job.known, job.refused) == (len(FORMATS), 0), job.report
    assert of_others(bob) == []
    assert [key for key, row in before.items() if rows().get(key) != row] == []
    assert uuid.UUID(things["conversation_id"]) not in set(
        Conversation.objects.filter(memberships__user=bob).values_list("pk", flat=True)
    )
