"""Forms and messages about one's own things that name things of others in their fields: none of them is used, told
about, or changed. (Ids of others in addresses: `test_others_things`.)
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import User
from chat.models import Collection, Conversation, File, Folder, Member, Preset, Tag
from chat.protocol.commands import TurnOptions
from chat.protocol.errors import ChatError
from tests.conftest import make_user
from tests.fixtures.attached import stored
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.run_rows import say
from tests.integration.config.web.test_others_things import MARK, client_of, rows, things

pytestmark = [
    pytest.mark.usefixtures("clean_redis", "db", "one_model", things.__name__), pytest.mark.timeout(240),
]  # fmt: skip

# Columns by which a row of one person refers to what another may own.
REFERENCES = (
    ("chat_conversation_collections", "collection_id"), ("chat_folder_collections", "collection_id"),
    ("chat_preset_collections", "collection_id"), ("chat_folder", "parent_id"), ("chat_member", "folder_id"),
    ("chat_member_tag", "tag_id"), ("chat_attachment", "file_id"), ("chat_conversation", "preset_id"),
    ("chat_message", "parent_id"), ("chat_sharelink", "conversation_id"), ("chat_file", "collection_id"),
)  # fmt: skip


def references() -> set[tuple[str, str, str]]:
    """(table, column, id) of everything that is referred to, as often as it is."""
    parts = [
        f"SELECT '{table}', '{column}', {column}::text || ' ' || count(*) FROM {table}"  # noqa: S608 -- our own names
        f" WHERE {column} IS NOT NULL GROUP BY {column}"
        for table, column in REFERENCES
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return set(cursor.fetchall())


class Mine:
    """What Bob has: one of each kind."""

    def __init__(self) -> None:
        self.user = make_user("Bo")
        self.conversation = make_conversation(self.user, 2)
        self.folder = Folder.objects.create(user=self.user, name="mine")
        self.tag = Tag.objects.create(user=self.user, name="mine")
        self.preset = Preset.objects.create(owner=self.user, name="mine")
        self.collection = Collection.objects.create(owner=self.user, name="mine")


def forms(mine: Mine, things: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    here, theirs = f"/c/{mine.conversation.pk}/", json.dumps([things["collection_id"]])
    own = str(mine.conversation.pk)
    yield f"{here}collections/", {"collections": theirs}
    yield "/folders/new/", {"name": "New", "collections": theirs}
    yield "/folders/new/", {"name": "New", "parent": things["folder_id"]}
    yield f"/folders/{mine.folder.pk}/", {"collections": theirs}
    yield f"/folders/{mine.folder.pk}/move/", {"parent": things["folder_id"]}
    yield f"/folders/{mine.folder.pk}/move/", {"parent": "", "before": things["folder_id"]}
    for action in ("archive", "unarchive", "move", "tag", "untag", "read", "unread", "delete", "restore"):
        yield "/conversations/organise/", {"action": action, "ids": things["conversation_id"], "name": "x", "tag": ""}
        more = {"folder": things["folder_id"], "tag": things["tag_id"]}
        yield "/conversations/organise/", {"action": action, "ids": f"{own},{things['conversation_id']}", **more}
    yield "/conversations/organise/", {"action": "move", "ids": own, "folder": things["folder_id"]}
    yield "/conversations/organise/", {"action": "tag", "ids": own, "tag": things["tag_id"]}
    yield "/conversations/trash/restore/", {"ids": things["conversation_id"]}
    yield "/conversations/trash/delete/", {"ids": things["conversation_id"], "confirm": "on"}
    yield f"/accounts/settings/collections/{mine.collection.pk}/add/", {"file": things["attached"]}
    yield f"/accounts/settings/collections/{mine.collection.pk}/remove/{things['attached']}/", {}
    preset = {"name": "New", "collections": things["collection_id"], "system_prompt": "x", "enabled": "on"}
    yield "/presets/new/", preset
    yield f"/presets/{mine.preset.pk}/", preset
    yield f"{here}parameters/", {"preset": things["preset_id"], "preset_id": things["preset_id"]}
    shared = {"kind": "snapshot", "audience": "users", "days": "7", "message_id": things["message_id"]}
    yield f"{here}shares/new/", shared
    yield f"{here}members/add/", {"user": things["user_id"], "email": "", "role": "owner"}


def test_forms(things: dict[str, str]) -> None:
    mine = Mine()
    client, before, referred = client_of(mine.user), rows(), references()
    known = {value for value in things.values() if len(value) == 36}
    theirs = {key: row for key, row in before.items() if any(one in row for one in known)}
    assert len(theirs) > 20
    for path, fields in forms(mine, things):
        with transaction.atomic():
            said = client.post(path, fields)
            after, now = rows(), references()
            transaction.set_rollback(True)
        assert said.status_code < 500, (path, fields)
        assert MARK.encode() not in said.content, (path, fields)
        assert [row for key, row in theirs.items() if after.get(key) != row] == [], (path, fields)
        assert not [one for one in now - referred if one[2].split()[0] in known], (path, fields)


def test_the_same_forms_with_ones_own_things(things: dict[str, str]) -> None:
    """Otherwise the test above would prove nothing."""
    mine = Mine()
    file = stored(mine.user, "mine.txt", b"mine")
    names = {
        "collection_id": mine.collection.pk, "folder_id": Folder.objects.create(user=mine.user, name="other").pk,
        "tag_id": mine.tag.pk, "attached": file.pk, "conversation_id": make_conversation(mine.user, 2).pk,
        "preset_id": mine.preset.pk, "message_id": mine.conversation.tip_id or uuid.uuid4(), "user_id": mine.user.pk,
    }  # fmt: skip
    client, done = client_of(mine.user), 0
    for path, fields in forms(mine, {name: str(pk) for name, pk in names.items()}):
        with transaction.atomic():
            done += client.post(path, fields).status_code < 400
            transaction.set_rollback(True)
    assert done >= 24


def messages(mine: Mine, things: dict[str, str]) -> Iterator[dict[str, Any]]:
    theirs = {name: uuid.UUID(things[name]) for name in ("folder_id", "preset_id", "collection_id", "message_id")}
    yield {"folder_id": theirs["folder_id"]}
    yield {"preset_id": theirs["preset_id"]}
    yield {"options": TurnOptions(collections=[theirs["collection_id"]])}
    yield {"attachments": [uuid.UUID(things["attached"])]}
    yield {"attachments": [stored(mine.user, "m.txt", b"m").pk, uuid.UUID(things["attached"])]}
    yield {"conversation_id": uuid.UUID(things["conversation_id"])}
    yield {"conversation_id": mine.conversation.pk, "parent_id": theirs["message_id"]}


def test_messages(things: dict[str, str]) -> None:
    mine = Mine()
    counts = (Conversation.objects.count(), Member.objects.count(), File.objects.exclude(conversation=None).count())
    for fields in messages(mine, things):
        with pytest.raises(ChatError) as refused, transaction.atomic():
            say(mine.user, "Hello", fields.pop("conversation_id", None), **fields)
        assert refused.value.code in ("not_found", "invalid", "conflict"), fields
        assert MARK not in refused.value.message
    now = (Conversation.objects.count(), Member.objects.count(), File.objects.exclude(conversation=None).count())
    assert now == counts


def test_a_preset_keeps_its_collections_to_itself(things: dict[str, str], alice: User) -> None:
    """What a shared preset names is used by those only who may use it: an answer asks again."""
    mine = Mine()
    mine.preset.collections.set([Collection.objects.get(pk=things["collection_id"])])
    say(mine.user, "Hello", preset_id=mine.preset.pk, ask=False)
    shown = client_of(mine.user).get(f"/presets/{mine.preset.pk}/")
    assert MARK not in shown.content.decode()
    conversation = Conversation.objects.filter(memberships__user=mine.user).latest("created_at")
    told = client_of(mine.user).get(f"/c/{conversation.pk}/collections/").json()
    assert (told["missing"], [one for one in told["collections"] if one["name"].startswith(MARK)]) == (1, [])
