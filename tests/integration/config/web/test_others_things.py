"""Every address of the pages, asked by those who may not have what it shows or changes, over GET and POST: with the
id of something, with the secret of a link, exports, and lists of what is one's own.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import urls as accounts_urls
from accounts.models import ApiToken, Session, User
from chat import urls
from chat.conversations.join_links import create_link
from chat.models import (
    Attachment,
    Collection,
    Conversation,
    ExportJob,
    File,
    Folder,
    ImportJob,
    JoinLink,
    Member,
    Message,
    Preset,
    Prompt,
    PushSubscription,
    Recording,
    RecordingStatus,
    Run,
    ShareLink,
    Summary,
    Tag,
    ToolApproval,
    ToolCall,
    ToolFile,
    ToolServer,
    TransferState,
    Upload,
    Webhook,
)  # fmt: skip
from chat.shares.links import Wanted, create_share
from chat.voice.audio_files import store_audio
from chat.webhooks.own import create_own
from tests.conftest import make_user
from tests.fakes.push_service import PushBrowser
from tests.fixtures.attached import stored
from tests.fixtures.called_tools import add_call, answer_with_tools
from tests.fixtures.cases import make_case, make_moderator
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.notified import make_device
from workers.speech.wav_file import WavFile

pytestmark = [pytest.mark.usefixtures("clean_redis", "db", "one_model"), pytest.mark.timeout(240)]

MARK = "Xylomark"
KEPT: tuple[Any, ...] = (
    Conversation, Message, Run, Preset, Prompt, ShareLink, ToolCall, ToolFile, ToolServer, JoinLink, Folder, Member,
    PushSubscription, Recording, Session, Summary, Tag, ToolApproval, Collection, ExportJob, File, ImportJob, Upload,
    ApiToken, Webhook,
)  # fmt: skip
# With these an address shows more.
ASKED = {
    "export/": ("?as=json&reasoning=1", "?as=markdown"), "search/": (f"?q={MARK}",), "find/": (f"?q={MARK}",),
    "part/": ("?at=start",), "order/": (f"?ids={uuid.UUID(int=7)}",), "conversations/": ("?archived=1", "?q=xylo"),
}  # fmt: skip
SENT = {
    "title": "Changed", "name": "changed", "text": "Changed", "reason": "other", "value": "1", "role": "owner",
    "confirm": "on", "kind": "live", "audience": "anybody", "days": "1", "answers": "never", "model": "", "on": "1",
    "folder": "", "note": "Changed", "system_prompt": "Changed", "address": "http://example.org/", "enabled": "on",
    "with_text": "1", "used": "0",
}  # fmt: skip
# Which of several things of the name that addresses have for their ids.
OWN = {
    "accounts/tools/": ("approval_id", "own_approval"), "attachments/": ("file_id", "attached"),
    "accounts/settings/": ("file_id", "attached"), "imports/": ("job_id", "import_job"),
    "exports/": ("job_id", "export_job"),
}  # fmt: skip


@pytest.fixture
def things(alice: User, settings: Any, media: Path, reading: list[Any]) -> dict[str, str]:
    """The ids of what Alice has, by the name of the parameter that an address has for them."""
    settings.RATE_HTTP_COMMANDS = "off"
    conversation = make_conversation(alice, 3)
    Conversation.objects.filter(pk=conversation.pk).update(title=f"{MARK} title")
    Message.objects.filter(conversation=conversation).update(text=f"{MARK} text")
    question = Message.objects.filter(conversation=conversation, role="user").order_by("created_at").last()
    assert question is not None
    run = answer_with_tools(conversation, question)
    call = add_call(run, arguments=f'{{"query": "{MARK}"}}', output=MARK)
    file = ToolFile.objects.create(
        conversation=conversation, call=call, name=f"{MARK}.txt", media_type="text/plain", size=8, content=MARK.encode()
    )
    sent = stored(alice, f"{MARK}.csv", MARK.encode())
    File.objects.filter(pk=sent.pk).update(conversation=conversation)
    Attachment.objects.create(message=question, file=sent, position=0)
    Message.objects.filter(pk=question.pk).update(file_count=1)
    link, shared = create_share(alice.pk, conversation.pk, Wanted(show_files=True))
    _, joining = create_link(alice.pk, conversation.pk, role="editor", days=1, most_uses=None)
    folder = Folder.objects.create(user=alice, name=f"{MARK} folder", instructions=MARK)
    tag = Tag.objects.create(user=alice, name=f"{MARK} tag")
    tag.members.add(Member.objects.get(user=alice, conversation=conversation))
    summary = Summary.objects.create(conversation=conversation, last=question, messages=2, text=MARK, model="m")
    approvals = [
        ToolApproval.objects.create(user=alice, conversation=one, tool=f"{MARK}_tool") for one in (conversation, None)
    ]
    device = make_device(alice, PushBrowser(), f"https://fcm.googleapis.com/{MARK}")
    PushSubscription.objects.filter(pk=device.pk).update(device=f"{MARK} browser")
    recording = Recording.objects.create(
        user=alice, client_id=uuid.uuid4(), language="en", mode="auto", status=RecordingStatus.DONE
    )
    wav = WavFile()
    wav.write(0, MARK.encode() * 100)
    store_audio(recording.pk, wav.finish())
    wav.discard()
    preset = Preset.objects.create(owner=alice, name=f"{MARK} preset", system_prompt=MARK)
    prompt = Prompt.objects.create(owner=alice, name="xylomark", text=f"{MARK} prompt")
    server = ToolServer.objects.create(slug="xylo", title=f"{MARK} server", address="http://192.0.2.1/", owner=alice)
    case = make_case(alice, original=MARK)
    attached = stored(alice, f"{MARK}.txt", MARK.encode())
    collection = Collection.objects.create(owner=alice, name=f"{MARK} files")
    File.objects.filter(pk=stored(alice, f"{MARK}.md", MARK.encode()).pk).update(collection=collection)
    upload = Upload.objects.create(owner=alice, name=f"{MARK}.zip", size=9)
    import_job = ImportJob.objects.create(user=alice, name=MARK, state=TransferState.DONE, report=[[MARK, MARK]])
    export_job = ExportJob.objects.create(
        user=alice, state=TransferState.DONE, expires_at=timezone.now() + timedelta(days=1)
    )
    export_job.file.save("x.zip", ContentFile(MARK.encode()))
    webhook, _ = create_own(alice, f"{MARK} webhook", "https://example.org/", ["answer.finished"], with_text=True)
    token = ApiToken.objects.create(user=alice, name=MARK, prefix="0" * 12, token_hash="0" * 64)
    return {
        "conversation_id": str(conversation.pk), "message_id": str(question.pk), "call_id": str(call.pk),
        "file_id": str(file.pk), "link_id": str(link.pk), "preset_id": str(preset.pk), "prompt_id": str(prompt.pk),
        "server_id": str(server.pk), "case_id": str(case.pk), "user_id": str(alice.pk), "folder_id": str(folder.pk),
        "tag_id": str(tag.pk), "summary_id": str(summary.pk), "device_id": str(device.pk),
        "recording_id": str(recording.pk), "hash_": device.session_hash, "token": "t" * 43,
        "approval_id": str(approvals[0].pk), "own_approval": str(approvals[1].pk),
        "share": shared, "join": joining, "shared_file": f"/s/{shared}/files/{sent.pk}/",
        "attached": str(attached.pk), "collection_id": str(collection.pk),
        "upload_id": str(upload.pk), "import_job": str(import_job.pk), "export_job": str(export_job.pk),
        "token_id": str(token.pk), "webhook_id": str(webhook.pk),
    }  # fmt: skip


def addresses(things: dict[str, str]) -> Iterator[str]:
    """Those of the pages, each with the ids of what is Alice's; what she has none of is nobody's."""
    for one in [*urls.urlpatterns, *accounts_urls.urlpatterns]:
        pattern = str(one.pattern)
        if pattern == "accounts/logout/":
            continue  # what follows would be asked by nobody
        for start, (name, own) in OWN.items():
            if pattern.startswith(start):
                pattern = pattern.replace(name, own)
        path = "/" + re.sub(r"<\w+:(\w+)>", lambda found: things.get(found[1], str(uuid.UUID(int=7))), pattern)
        yield path
        yield from (f"{path}{asked}" for end, more in ASKED.items() if path.endswith(f"/{end}") for asked in more)


Rows = dict[tuple[str, str], str]


def rows() -> Rows:
    """What is watched, as text, by table and key; of sessions those with a browser, which the tests' own have not."""
    parts = []
    for kind in KEPT:
        table, key = kind._meta.db_table, kind._meta.pk.column
        where = " WHERE user_agent <> ''" if kind is Session else ""
        parts.append(f"SELECT '{table}', {key}::text, one::text FROM {table} one{where}")  # noqa: S608 -- our own names
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return {(table, key): row for table, key, row in cursor.fetchall()}


def ask(client: Client, method: str, path: str, before: Rows) -> tuple[bytes, bool]:
    """The answer's content, and whether anything that was there before has changed; nothing of it stays."""
    with transaction.atomic():
        said: Any = client.get(path) if method == "GET" else client.post(path, SENT)
        content = b"".join(said.streaming_content) if said.streaming else said.content
        after = before if method == "GET" else rows()
        transaction.set_rollback(True)
    return content, any(after.get(key) != row for key, row in before.items())


def client_of(user: User | None) -> Client:
    client = Client(raise_request_exception=False, headers={"accept": "text/html"})
    if user is not None:
        client.force_login(user)
    return client


def removed(things: dict[str, str]) -> User:
    user = make_user("Rae")
    Member.objects.create(conversation_id=things["conversation_id"], user=user, role="editor").delete()
    return user


def staff(_: dict[str, str]) -> User:
    user = make_user("Stan")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    return User.objects.get(pk=user.pk)


WHO: dict[str, Callable[[dict[str, str]], User | None]] = {
    "anonymous": lambda _: None,
    "a stranger": lambda _: make_user("Bo"),
    "a removed member": removed,
    "staff without a role": staff,
    "a moderator": lambda _: make_moderator(),
}


def test_the_owner_sees_and_changes_them(alice: User, things: dict[str, str]) -> None:
    """Otherwise what follows would prove nothing. (The conversation's own page reads on other connections, which do not
    see this transaction: `chat/views/test_pages` has it.)
    """
    client, before = client_of(alice), rows()
    seen = [path for path in addresses(things) if MARK.encode() in ask(client, "GET", path, before)[0]]
    assert len(seen) >= 24, seen
    changed = [path for path in addresses(things) if ask(client, "POST", path, before)[1]]
    assert len(changed) >= 24, changed


@pytest.mark.parametrize("who", WHO.values(), ids=WHO.keys())
def test_nobody_else_sees_or_changes_them(who: Any, things: dict[str, str]) -> None:
    client, before = client_of(who(things)), rows()
    for path in addresses(things):
        for method in ("GET", "POST"):
            content, changed = ask(client, method, path, before)
            assert MARK.encode() not in content, (method, path)
            assert not changed, (method, path)


def test_a_viewer_changes_nothing(things: dict[str, str]) -> None:
    viewer = make_user("Vi")
    Member.objects.create(conversation_id=things["conversation_id"], user=viewer, role="viewer")
    client, before = client_of(viewer), rows()
    changed = [path for path in addresses(things) if ask(client, "POST", path, before)[1]]
    assert changed == [f"/c/{things['conversation_id']}/members/leave/"]


def test_a_link_that_works_opens_what_it_says(things: dict[str, str]) -> None:
    """Otherwise the next test would prove nothing."""
    stranger = make_user("Bo")
    client = client_of(stranger)
    assert client.get(f"/s/{things['share']}").status_code == 200
    file: Any = client.get(things["shared_file"])
    assert b"".join(file.streaming_content) == MARK.encode()
    attached = f"/s/{things['share']}/files/{things['attached']}/"
    assert client.get(attached).status_code == 404, "another file of the same person's"
    client.post("/join/", {"secret": things["join"]})
    assert "Join a conversation" in client.get("/join/accept/").content.decode()
    client.post("/join/accept/")
    assert Member.objects.filter(user=stranger, conversation_id=things["conversation_id"]).exists()


ENDS: dict[str, Callable[[], object]] = {
    "revoked": lambda: [kind.objects.update(revoked_at=timezone.now()) for kind in (ShareLink, JoinLink)],
    "expired": lambda: [kind.objects.update(expires_at=timezone.now()) for kind in (ShareLink, JoinLink)],
    "by somebody who is no longer a member": lambda: Member.objects.all().delete(),
    "by somebody who may only read now": lambda: Member.objects.update(role="viewer"),
    "by somebody whose account is disabled": lambda: User.objects.filter(email="alice@example.org").update(
        is_active=False
    ),
    "to what is in the trash": lambda: Conversation.objects.update(deleted_at=timezone.now()),
    "with another secret": lambda: [kind.objects.update(token_hash="x") for kind in (ShareLink, JoinLink)],
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("who", ["anonymous", "a stranger", "a moderator"])
def test_a_link_that_ended_opens_nothing(who: str, end: Callable[[], object], things: dict[str, str]) -> None:
    user = WHO[who](things)
    client, before = client_of(user), Member.objects.count()
    client.post("/join/", {"secret": things["join"]})  # it was opened while it worked
    end()
    shown = client.get(f"/s/{things['share']}")
    assert shown.status_code == 404
    assert [client.get(f"{things['shared_file']}{way}").status_code for way in ("", "thumbnail/", "text/")] == [404] * 3
    seen = [shown, client.get(f"/s/{things['share']}/events"), client.get("/join/accept/"),
            client.post("/shares/copy/", {"token": things["share"]}), client.post("/join/accept/"),
            client_of(user).post("/join/", {"secret": things["join"]})]  # fmt: skip
    assert not [one for one in seen if MARK.encode() in one.content]
    assert Member.objects.count() <= before
    assert not Conversation.objects.exclude(pk=things["conversation_id"]).filter(title__contains=MARK).exists()
