"""What Claude and LibreChat export, with the odd parts that real files have; and archives of single files."""

from __future__ import annotations

import json
from typing import Any

from accounts.models import User
from chat.models import Conversation, Message
from chat.portability.import_file import read_file
from chat.portability.importer import import_conversations
from tests.integration.chat.portability.imports import TRIP, archive, load, tree


def said(sender: str, text: str, **more: Any) -> dict[str, Any]:
    return {"uuid": text, "sender": sender, "text": text, "created_at": "2025-03-01T10:00:00.123456Z", **more}


def claude(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"uuid": "c-1", "name": "Trip", "account": {"uuid": "u"}, "chat_messages": [*messages], **more}


def test_claude(alice: User) -> None:
    thought = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "**North**."}, {"type": "tool_use"}]
    file = claude(
        said("human", "Where to?", attachments=[{"file_name": "notes.txt", "extracted_content": "cold"}, {}]),
        said("assistant", "thinking and all", content=thought),
        said("human", "Why?", files=[{"file_name": "a.png"}]),
    )
    assert load(alice, [file, None, {"uuid": "c-2", "chat_messages": "none"}]) == [
        "new", "This is not a conversation: it is not an object.",
        "Expected `array`, got `str` - at `$.chat_messages`.",
    ]  # fmt: skip
    question = "Where to?\n\nnotes.txt\n\ncold\n\n[attachment]"
    assert tree() == {question: None, "**North**.": question, "Why?\n\n[attachment]": "**North**."}
    conversation = Conversation.objects.get()
    assert conversation.title == "Trip"
    assert f"{Message.objects.get(parent=None).created_at:%Y-%m-%d}" == "2025-03-01"
    assert load(alice, [file]) == ["known"]


def test_claude_s_branches(alice: User) -> None:
    root = "00000000-0000-4000-8000-000000000000"
    file = claude(
        said("human", "Q", parent_message_uuid=root),
        said("assistant", "A", parent_message_uuid="Q"),
        said("assistant", "B", parent_message_uuid="Q"),
        {"sender": "human"}, None, 5,
        current_leaf_message_uuid="A",
    )  # fmt: skip
    assert load(alice, [file]) == ["new"]
    assert tree() == {"Q": None, "A": "Q", "B": "Q"}
    assert Conversation.objects.get().tip.text == "A"  # type: ignore[union-attr]


def test_claude_s_archive_names_no_leaf_and_the_newest_branch_is_shown(alice: User) -> None:
    """As in the archive of all conversations: somebody went back to the first question's answer and wrote on there."""
    at = "2025-03-01T10:00:0{}Z".format
    file = claude(
        said("human", "Q", parent_message_uuid=None, created_at=at(0)),
        said("assistant", "A", parent_message_uuid="Q", created_at=at(1)),
        said("human", "Q edited", parent_message_uuid=None, created_at=at(2)),
        said("assistant", "B", parent_message_uuid="Q edited", created_at=at(3)),
        said("human", "Q2", parent_message_uuid="A", created_at=at(4)),
        said("assistant", "A2", parent_message_uuid="Q2", created_at=at(5)),
    )
    assert load(alice, [{**file, "summary": "", "updated_at": at(6)}]) == ["new"]
    assert Conversation.objects.get().tip.text == "A2"  # type: ignore[union-attr]


def answer(name: str, parent: str, mine: bool, text: str, **more: Any) -> dict[str, Any]:
    return {"messageId": name, "parentMessageId": parent, "isCreatedByUser": mine, "text": text, **more}


NONE = "00000000-0000-0000-0000-000000000000"


def test_librechat_s_list(alice: User) -> None:
    parts = [{"type": "think", "think": "hm"}, {"type": "text", "text": {"value": "North."}}, {"type": "tool_call"}]
    file = {
        "conversationId": "l-1", "title": "Trip", "endpoint": "openAI", "recursive": False,
        "messages": [
            answer("q", NONE, True, "Where to?", createdAt="2025-03-01T10:00:00Z", files=[{"type": "image/png"}]),
            answer("a", "q", False, "", content=parts, model="gpt-4o"),
            answer("b", "q", False, "The server is overloaded.", error=True),
            answer("c", "q", False, "South."),
            None, {"messageId": 5}, answer("q", NONE, True, "twice"),
        ],
    }  # fmt: skip
    assert load(alice, file) == ["new"]
    question = "Where to?\n\n[image]"
    assert tree() == {question: None, "North.": question, "South.": question}
    assert load(alice, file) == ["known"]


def test_librechat_s_tree(alice: User) -> None:
    below = answer("q2", "", True, "Why?")
    file = {
        "conversationId": "l-2", "title": None,
        "messagesTree": [answer("q", "", True, "Q", children=[
            answer("a", "", False, "A", children=[below, "odd"]), answer("b", "", False, "B", children=None),
        ])],
    }  # fmt: skip
    assert load(alice, file) == ["new"]
    assert tree() == {"Q": None, "A": "Q", "B": "Q", "Why?": "A"}


def test_librechat_s_tree_below_messages(alice: User) -> None:
    """What its dialog "Export conversation" writes with all branches, recursively."""
    more = {"_id": "6615", "__v": 0, "sender": "GPT-4", "unfinished": False, "isEdited": False, "tokenCount": 7}
    first = answer("a", "q", False, "A", **more, children=[answer("q2", "a", True, "Why?", **more, children=[])])
    file = {
        "conversationId": "l-3", "endpoint": "openAI", "title": "Trip", "exportAt": "16:33:32 GMT+0200 (CEST)",
        "branches": True, "recursive": True, "options": {"presetId": None, "model": "gpt-4", "endpoint": "openAI"},
        "messages": [answer("q", NONE, True, "Q", **more, children=[
            first, answer("b", "q", False, "B", **more, children=[]),
        ])],
    }  # fmt: skip
    assert load(alice, file) == ["new"]
    assert tree() == {"Q": None, "A": "Q", "B": "Q", "Why?": "A"}


def test_librechat_s_pictures_and_files(alice: User) -> None:
    """Each has a word in the text; what tools attach beside files has none."""
    drawn = [{"type": "text", "text": "Here:"}, {"type": "tool_call"}, {"type": "image_file", "image_file": {}}, None]
    written = [{"filename": "plan.csv", "filepath": "/x", "toolCallId": "t"}, {"type": "web_search"}, "odd"]
    file = {
        "conversationId": "l-4", "title": "Files",
        "messages": [
            answer("q", NONE, True, "Read", files=[{"type": "application/pdf", "filename": "a.pdf"}, 5]),
            answer("a", "q", False, "", content=drawn, attachments=written),
            answer("q2", "a", True, "", files=[{"type": "image/png"}]),
            answer("b", "q2", False, "", content=[{"type": "error", "error": "No credit."}], attachments="odd"),
            answer("q3", "b", True, "Again", content="odd"),
        ],
    }  # fmt: skip
    assert load(alice, file) == ["new"]
    first, drawing = "Read\n\n[attachment]", "Here:\n\n[image]\n\n[attachment]"
    assert tree() == {first: None, drawing: first, "[image]\n\nAgain": drawing}


def test_an_archive_of_single_files(alice: User) -> None:
    """One that cannot be read does not cost the others, and what is not JSON is not looked at."""
    single = {"conversationId": "l-1", "title": "One", "messages": [answer("q", NONE, True, "Q")]}
    packed = archive(
        ("chats/one.json", json.dumps(single).encode()), ("chats/two.json", json.dumps([TRIP]).encode()),
        ("chats/cut.json", b'{"conversationId": "l-2", '), ("users.json", b"[]"),
        ("._one.json", b"junk"), ("photo.png", b"\x89PNG"),
    )  # fmt: skip
    outcomes = list(import_conversations(alice, read_file(packed)))
    assert sorted((one.kind, one.place) for one in outcomes) == [
        ("new", "chats/one.json, conversation 1 (“One”)"),
        ("new", "chats/two.json, conversation 1 (“Trip”)"),
        ("refused", "chats/cut.json"),
        ("refused", "users.json"),
    ]
    assert next(one.reason for one in outcomes if one.place == "users.json").startswith("users.json is not an export")
