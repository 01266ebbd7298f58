"""Files from elsewhere: read whole, read twice, and read although they are hostile."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from chat.dossier import export
from chat.importing import ImportRefusedError, import_chats, read_chats
from chat.models import Conversation, Message
from chat.queries import read_state


def node(name: str, parent: str | None, role: str, text: Any, at: float | None = 1_700_000_000) -> dict[str, Any]:
    message = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}, "create_time": at}
    return {"id": name, "parent": parent, "children": [], "message": message if role else None}


def chatgpt(*nodes: dict[str, Any], tip: str = "", title: str = "Trip", name: str = "c-1") -> dict[str, Any]:
    return {
        "title": title, "conversation_id": name, "current_node": tip, "mapping": {one["id"]: one for one in nodes},
    }  # fmt: skip


TRIP = chatgpt(
    node("root", None, "", ""),
    node("s", "root", "system", "You are helpful."),
    node("q", "s", "user", "Where to?"),
    node("t", "q", "tool", "searched"),
    node("a", "t", "assistant", "**North**."),
    node("a2", "t", "assistant", "South."),
    node("q2", "a", "user", "Why?\x00"),
    tip="q2",
)


def load(user: User, data: Any) -> list[str]:
    return list(import_chats(user, read_chats(json.dumps(data).encode())))


def tree() -> dict[str, str | None]:
    """Text by text of its parent."""
    return {one.text: one.parent.text if one.parent else None for one in Message.objects.select_related("parent")}


def test_chatgpt_keeps_every_branch(alice: User) -> None:
    assert load(alice, [TRIP]) == ["new"]
    assert tree() == {"Where to?": None, "**North**.": "Where to?", "South.": "Where to?", "Why?": "**North**."}
    made = Conversation.objects.get()
    assert made.title == "Trip"
    assert made.tip is not None
    assert made.tip.text == "Why?"
    assert "<strong>North</strong>" in Message.objects.get(text="**North**.").html
    assert load(alice, [TRIP]) == ["known"]
    assert Message.objects.count() == 4


def test_two_people_may_import_the_same_file(alice: User, bob: User) -> None:
    assert load(alice, [TRIP]) == load(bob, [TRIP]) == ["new"]
    assert Conversation.objects.count() == 2


async def test_what_was_imported_is_shown(transactional_db: None, clean_redis: str, alice: User) -> None:
    from chat.db import in_db

    await in_db(load, alice, [TRIP])
    made = await in_db(Conversation.objects.get)
    state = await read_state(made.pk, limit=50)
    assert [message["text"] for message in state.messages] == ["Where to?", "**North**.", "Why?"]


def test_our_own_export_comes_back(alice: User, bob: User) -> None:
    load(alice, [TRIP])
    before = tree()
    assert load(bob, export(alice)) == ["new"]
    theirs = Message.objects.filter(conversation__memberships__user=bob)
    assert {one.text: one.parent.text if one.parent else None for one in theirs.select_related("parent")} == before


def test_open_webui(alice: User) -> None:
    messages = {
        "1": {"id": "1", "parentId": None, "role": "user", "content": "Hi", "timestamp": 1_700_000_000},
        "2": {"id": "2", "parentId": "1", "role": "assistant", "content": "Hello"},
    }
    chat = {"id": "w", "title": "T", "chat": {"title": "T", "history": {"messages": messages, "currentId": "2"}}}
    assert load(alice, [chat]) == ["new"]
    assert tree() == {"Hi": None, "Hello": "Hi"}


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff\xfe", b'[{"mapping": {', b"{}", b"[]", b"[1, 2]", b'{"format": "antiphon.export", "version": 2}',
        b'{"format": "antiphon.export", "version": 1}', b"[" * 100_000, b'"text"', b"null",
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused(raw: bytes) -> None:
    with pytest.raises(ImportRefusedError):
        read_chats(raw)


@pytest.mark.parametrize(
    "hostile",
    [
        chatgpt(node("a", "b", "user", "x"), node("b", "a", "assistant", "y")),
        chatgpt(node("a", "a", "user", "x")),
        chatgpt(),
        chatgpt(node("a", None, "system", "only")),
        {"mapping": []},
        {"mapping": {"a": None}},
        {"mapping": {"a": {"message": {"author": 1}}}},
        chatgpt(node("a", None, "user", "x" * 1_000_001)),
        chatgpt(node("a", None, "user", "x"), title=["no text"]),  # type: ignore[arg-type]  # that is the point
    ],
)
def test_a_hostile_conversation_is_left_out_and_the_others_come(alice: User, hostile: dict[str, Any]) -> None:
    results = load(alice, [hostile, TRIP])
    assert results[0] not in ("new", "known")
    assert results[1] == "new"
    assert Conversation.objects.count() == 1


def test_odd_times_parts_and_deep_trees_are_taken(alice: User) -> None:
    chain = [
        node(f"n{i}", f"n{i - 1}" if i else None, ("user", "assistant")[i % 2], f"t{i}", 1e300) for i in range(3000)
    ]
    odd = chatgpt(node("a", "gone", "user", "lonely \ud800 surrogate", None), name="c-2")
    odd["mapping"]["a"]["message"]["content"]["parts"].append({"image": "left out"})
    assert load(alice, [chatgpt(*chain), odd]) == ["new", "new"]
    assert Message.objects.count() == 3001


def test_the_command_says_what_it_left_out(alice: User, tmp_path: Path) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([TRIP, chatgpt(node("a", "a", "user", "x"), name="c-2")]))
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("import_chats", "alice@example.org", str(file), "--dry-run", "--json", stdout=out)
    assert ended.value.code == 1
    assert json.loads(out.getvalue())["new"] == 1
    assert Conversation.objects.count() == 0
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_chats", "alice@example.org", str(tmp_path / "nothing.json"))


def test_the_demo_person_is_made_once(db: None) -> None:
    out = io.StringIO()
    call_command("seed_demo", stdout=out)
    call_command("seed_demo", stdout=out)
    assert out.getvalue().count("password") == 1
    assert "0 conversations" in out.getvalue()
    assert Conversation.objects.count() == 3
    assert "<table>" in "".join(Message.objects.values_list("html", flat=True))
