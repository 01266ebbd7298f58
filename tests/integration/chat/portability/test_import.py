"""Files from elsewhere: read whole, read twice, and read although they are hostile."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Plan, User
from chat.conversations.snapshot import read_state
from chat.markdown.pool import RenderPool
from chat.models import Conversation, Member, Message
from chat.portability import importer
from chat.portability.export import export_user_data
from chat.portability.import_file import read_file
from chat.portability.importer import BATCH, import_conversations
from chat.portability.markdown_export import to_markdown
from chat.retention import purge
from tests.fixtures.conversation_rows import make_conversation
from tests.integration.chat.portability.imports import TRIP, archive, chatgpt, load, node, tree


def exported(user: User) -> dict[str, Any]:
    data: dict[str, Any] = json.loads("".join(export_user_data(user)))
    return data


def test_chatgpt_keeps_every_branch(alice: User) -> None:
    assert load(alice, [TRIP]) == ["new"]
    assert tree() == {"Where to?": None, "**North**.": "Where to?", "South.": "Where to?", "Why?": "**North**."}
    made = Conversation.objects.get()
    assert made.title == "Trip"
    assert made.tip is not None
    assert made.tip.text == "Why?"
    assert {message.html for message in Message.objects.all()} == {""}, "workers make it (workers/runtime)"
    assert load(alice, [TRIP]) == ["known"]
    assert Message.objects.count() == 4


def test_two_people_may_import_the_same_file(alice: User, bob: User) -> None:
    assert load(alice, [TRIP]) == load(bob, [TRIP]) == ["new"]
    assert Conversation.objects.count() == 2


async def test_what_was_imported_is_shown(transactional_db: None, clean_redis: str, alice: User) -> None:
    from accounts.lib.db import in_db

    await in_db(load, alice, [TRIP])
    made = await in_db(Conversation.objects.get)
    state = await read_state(made.pk, limit=50)
    assert [message["text"] for message in state.messages] == ["Where to?", "**North**.", "Why?"]


def test_what_people_wrote_one_after_the_other_comes_back_so(alice: User, bob: User) -> None:
    conversation = make_conversation(alice)
    Member.objects.create(conversation=conversation, user=bob, role="editor")
    parent = conversation.tip
    for author, text in ((bob, "One"), (alice, "Two"), (bob, "Three")):
        parent = Message.objects.create(
            conversation=conversation, parent=parent, role="user", author=author, text=text,
            created_at=(parent.created_at if parent else timezone.now()) + timedelta(seconds=1),
        )  # fmt: skip
    Conversation.objects.update(tip=parent)
    conversation.refresh_from_db()
    shown = to_markdown(Member.objects.get(conversation=conversation, user=alice))
    assert shown.endswith("## Bob\n\nOne\n\n## Alice\n\nTwo\n\n## Bob\n\nThree\n")
    data = exported(alice)
    Conversation.objects.all().delete()
    load(alice, data)
    assert tree() == {"text 0": None, "text 1": "text 0", "One": "text 1", "Two": "One", "Three": "Two"}


def test_our_own_export_comes_back(alice: User, bob: User) -> None:
    load(alice, [TRIP])
    before = tree()
    assert load(bob, exported(alice)) == ["new"]
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


def test_open_webui_without_a_tree_with_pictures_and_thoughts(alice: User) -> None:
    thought = '<details type="reasoning" done="true">\n<summary>Thought</summary>\nhm\n</details>\nA cat.'
    picture = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:…"}}]
    messages = [
        {"role": "user", "content": picture, "timestamp": 1_700_000_000_000},
        {"role": "assistant", "content": thought},
        {"role": "user", "content": "And this?", "files": [{"type": "image", "url": "x"}, {"type": "file"}]},
    ]
    assert load(alice, [{"id": "w", "chat": {"title": "Cat", "messages": messages}}]) == ["new"]
    asked = "And this?\n\n[image]\n\n[attachment]"
    assert tree() == {"What is this?\n\n[image]": None, "A cat.": "What is this?\n\n[image]", asked: "A cat."}
    assert Message.objects.order_by("created_at")[0].created_at.year == 2023


def content(kind: str, **fields: Any) -> dict[str, Any]:
    return {"content_type": kind, **fields}


def test_chatgpt_shows_what_it_shows_and_no_more(alice: User) -> None:
    """Tools, thoughts, instructions and calls are hidden there too; several pieces of one answer are one message."""
    asset = content("image_asset_pointer", asset_pointer="file-service://file-1")
    spoken = content("audio_transcription", text="and a moon", direction="in")
    sound = content("audio_asset_pointer", asset_pointer="file-service://file-2")
    hidden = {"is_visually_hidden_from_conversation": True}
    nodes: list[tuple[str, str | None, str, dict[str, Any], dict[str, Any]]] = [
        ("i", None, "user", content("user_editable_context", user_profile="secret profile"), {}),
        ("q", "i", "user", content("multimodal_text", parts=[asset, "Draw a sun", spoken, sound, {"odd": 1}]), {}),
        ("h", "q", "assistant", content("text", parts=["hidden"]), {"metadata": hidden}),
        ("t", "h", "assistant", content("thoughts", thoughts=[{"content": "secret thought"}]), {}),
        ("a1", "t", "assistant", content("text", parts=["I draw.\ue200cite\ue202turn0search1\ue201"]), {}),
        ("c", "a1", "assistant", content("code", text="draw()", language="json"), {"recipient": "dalle.text2im"}),
        ("p", "c", "tool", content("multimodal_text", parts=[asset]), {}),
        ("o", "p", "tool", content("execution_output", text="secret output"), {}),
        ("a2", "o", "assistant", content("code", text="print(1)", language="python"), {"recipient": "all"}),
        ("q2", "a2", "user", content("text", parts=["Thanks"]), {}),
        ("q3", "a1", "user", content("text", parts=["Stop"]), {}),
    ]  # fmt: skip
    one = {
        "title": "Sun", "id": "s", "current_node": "o",
        "mapping": {
            key: {"parent": parent, "message": {"author": {"role": role}, "content": body, "create_time": None, **more}}
            for key, parent, role, body, more in nodes
        },
    }  # fmt: skip
    assert load(alice, [one]) == ["new"]
    asked = "[image]\n\nDraw a sun\n\nand a moon\n\n[attachment]"
    drawn = "I draw.\n\n[image]\n\n```python\nprint(1)\n```"
    assert tree() == {asked: None, "I draw.": asked, "Stop": "I draw.", drawn: asked, "Thanks": drawn}


def test_the_archive_is_read_as_it_was_downloaded(alice: User) -> None:
    other = chatgpt(node("q", None, "user", "Another?"), name="c-2", title="Second")
    packed = archive(
        ("chat.html", b"<html>"),
        ("conversations-001.json", json.dumps([other]).encode()),
        ("conversations-000.json", b"\xef\xbb\xbf" + json.dumps([TRIP]).encode()),
        ("dalle-generations/file-1.webp", b"RIFF"),
        ("shared_conversations.json", b"not json at all"),
    )
    outcomes = list(import_conversations(alice, read_file(packed)))
    assert [outcome.kind for outcome in outcomes] == ["new", "new"]
    assert outcomes[1].place == "conversations-001.json, conversation 1 (“Second”)"
    assert set(Conversation.objects.values_list("title", flat=True)) == {"Trip", "Second"}


def test_what_was_deleted_or_temporary_does_not_come_back(alice: User, bob: User) -> None:
    others = [chatgpt(node("q", None, "user", text), name=text) for text in ("Gone?", "Soon gone?")]
    load(alice, [TRIP, *others])
    Conversation.objects.filter(messages__text="Gone?").update(deleted_at="2026-01-01T00:00Z")
    Conversation.objects.filter(messages__text="Soon gone?").update(temporary=True)
    assert load(bob, exported(alice)) == ["new"]


def test_an_export_brings_back_what_is_missing_only(alice: User) -> None:
    load(alice, [TRIP, chatgpt(node("q", None, "user", "Lost?"), name="c-2")])
    kept = exported(alice)
    Conversation.objects.filter(messages__text="Lost?").delete()
    assert sorted(load(alice, kept)) == ["known", "new"]
    assert load(alice, kept) == ["known", "known"]
    assert Conversation.objects.count() == 2


def test_what_others_wrote_is_not_the_importers(alice: User, bob: User) -> None:
    load(alice, [TRIP])
    Message.objects.filter(text="Why?").update(author=bob)
    load(bob, exported(alice))
    theirs = Message.objects.filter(conversation__memberships__user=bob, role="user").order_by("created_at")
    assert [(message.text, message.author) for message in theirs] == [("Where to?", bob), ("Why?", None)]


def test_what_is_old_elsewhere_is_not_too_old_here(alice: User) -> None:
    Plan.objects.filter(is_default=True).update(retention_days=30)
    load(alice, [TRIP])  # of 2023
    assert purge.count()["age"] == 0
    Conversation.objects.update(created_at="2025-01-01T00:00Z")
    assert purge.count()["age"] == 1


def test_steps_of_an_answer_are_left_out(alice: User) -> None:
    steps = (
        '<details type="tool_calls" done="true" name="search" arguments="&quot;x&quot;" result="secret">\n'
        "<summary>Tool Executed</summary>\n</details>\nBefore\n"
        '<details type="code_interpreter" done="true">\n<summary>Analyzed</summary>\nsecret\n</details>\nAfter'
    )
    quoted = 'What is `<details type="tool_calls">` in </details>?'
    messages = [
        {"role": "user", "content": quoted, "timestamp": "1700000000"},
        {"role": "assistant", "content": steps, "files": "odd"},
        None,
    ]
    assert load(alice, [{"id": "w", "chat": {"messages": messages}}]) == ["new"]
    assert tree() == {quoted: None, "Before\nAfter": quoted}


def test_a_large_file_takes_little_memory_and_few_statements(alice: User, tmp_path: Path) -> None:
    """60 MB in 600 conversations: read in constant memory, and saved a batch at a time."""
    nodes = [node(f"n{i}", f"n{i - 1}" if i else None, ("user", "assistant")[i % 2], f"Words {i}.") for i in range(6)]
    nodes.append(node("hidden", "n0", "tool", "x" * 100_000))
    file = tmp_path / "conversations.json"
    with file.open("w") as opened:
        for number in range(600):
            opened.write(",\n" if number else "[")
            opened.write(json.dumps(chatgpt(*nodes, name=f"c-{number}")))
        opened.write("]")
    tracemalloc.start()
    chats = read_file(file)
    assert len(chats) == 600
    with CaptureQueriesContext(connection) as queries:
        kinds = Counter(outcome.kind for outcome in import_conversations(alice, chats))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kinds == {"new": 600}
    assert peak < 30 * 2**20
    assert len(queries) <= 7 * 600 / BATCH, [query["sql"][:80] for query in queries][:8]


def test_importing_renders_nothing(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """It took four fifths of the time. Also when the same conversation comes twice, in two batches."""

    def fail(*_: object) -> str:
        raise AssertionError("rendered while importing")

    monkeypatch.setattr(importer, "BATCH", 2)
    monkeypatch.setattr(RenderPool, "render", fail)
    names = ["a", "b", "a", "c", "d", "c"]
    chats = [
        chatgpt(node("q", None, "user", "?"), node("r", "q", "assistant", f"R {name}"), name=name) for name in names
    ]
    assert load(alice, chats) == ["new", "new", "known", "new", "new", "known"]
    assert Message.objects.filter(role="assistant", html="").count() == 4


def test_the_command_says_what_it_left_out(alice: User, tmp_path: Path) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([TRIP, chatgpt(node("a", "a", "user", "x"), name="c-2")]))

    def run(*options: str) -> dict[str, Any]:
        out = io.StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("import_chats", "alice@example.org", str(file), "--json", *options, stdout=out)
        assert ended.value.code == 1
        said: dict[str, Any] = json.loads(out.getvalue())
        return said

    place = "conversations.json, conversation 2 (“Trip”)"
    refused = [{"place": place, "reason": "Some of its messages are their own ancestors, such as a."}]
    nothing = {"flagged": 0, "masked": 0, "withheld": 0}
    rest = {"screened": nothing, "refused": refused, "files": 0, "collections": 0, "files_left_out": 0}
    assert run("--dry-run") == {"new": 1, "messages": 4, "known": 0, **rest}
    assert Conversation.objects.count() == 0
    assert run() == {"new": 1, "messages": 4, "known": 0, **rest}
    assert run("--dry-run") == run() == {"new": 0, "messages": 0, "known": 1, **rest}
    for path, words in ((tmp_path / "nothing.json", "No such file"), (Path(__file__), "not JSON")):
        with pytest.raises(CommandError, match=words) as failed:
            call_command("import_chats", "alice@example.org", str(path))
        assert failed.value.returncode == 2


def test_the_demo_person_is_made_once(db: None) -> None:
    out = io.StringIO()
    call_command("seed_demo", stdout=out)
    call_command("seed_demo", stdout=out)
    assert out.getvalue().count("password") == 1
    assert "0 conversations" in out.getvalue()
    assert Conversation.objects.count() == 3
    assert Message.objects.filter(role="assistant", text__contains="|---|").count() == 1
