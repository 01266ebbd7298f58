"""Files that are no export, archives that attack, and conversations with odd parts."""

from __future__ import annotations

import io
import json
import re
import struct
from typing import Any

import pytest

from accounts.models import User
from chat.models import Conversation, Message
from chat.portability.import_file import read_file
from chat.portability.json_stream import ImportRefusedError
from tests.integration.chat.portability.imports import TRIP, archive, chatgpt, load, node, tree


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"", "line 1, column 1"),
        (b'[{"a": "\xff"}]', "byte 8 is invalid"),
        (b'[{"mapping": {', "truncated.* line 1, column 15"),
        (b"{}", "not an export"), (b"[]", "not an export"), (b"[1, 2]", "not an export"), (b'"text"', "not an export"),
        (b"null", "not an export"),
        (b'[{"mapping": {}}, {"chat": {}}]', "not an export"),
        (b'{"format": "antiphon.export", "version": 2}', "newer version"),
        (b'{"format": "antiphon.export", "version": 1}', "no list of conversations"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" + b"1" * 5_000 + b"]", "number that is too long"),
        (b"PK\x03\x04 and then nothing", "truncated or damaged"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_refused(raw: bytes, where: str) -> None:
    with pytest.raises(ImportRefusedError, match=where):
        read_file(io.BytesIO(raw))


def test_hostile_archives_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = archive(("conversations.json", json.dumps([TRIP]).encode())).getvalue()
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[whole.index(b"PK\x01\x02") + 8] |= 1
    broken = bytearray(whole)
    broken[60] ^= 0xFF
    large = json.dumps([TRIP]).encode() + b" " * 700_000
    lying = whole.replace(struct.pack("<I", len(json.dumps([TRIP]))), struct.pack("<I", 1))
    for raw, words in (
        (archive(("conversations.json", b" " * 3_000_000)).getvalue(), "unpacks to more than 1 MB"),
        (archive(("conversations-0.json", large), ("conversations-1.json", large)).getvalue(), "unpacks to more"),
        (archive(("../conversations.json", b"[]")).getvalue(), r"\.\./conversations.json points outside"),
        (archive(("..\\..\\conversations.json", b"[]")).getvalue(), "points outside"),
        (archive(("conversations.json", b"[]"), ("conversations.json", b"[]")).getvalue(), "twice"),
        (archive(("photos.json", b"[]")).getvalue(), "photos.json is not an export"),
        (archive(("photos.png", b"")).getvalue(), "no conversations.json in the archive"),
        (bytes(encrypted), "encrypted"),
        (whole[: len(whole) // 2], "truncated or damaged"),
        (bytes(broken), "truncated or damaged"),
        (lying, "truncated or damaged"),
    ):  # fmt: skip
        with pytest.raises(ImportRefusedError, match=words):
            read_file(io.BytesIO(raw), max_bytes=2**20)
    monkeypatch.setattr("chat.portability.archive.MAX_MEMBERS", 2)
    with pytest.raises(ImportRefusedError, match="more than 2 files"):
        read_file(archive(*((f"{n}.png", b"") for n in range(3))))


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        (chatgpt(node("a", "b", "user", "x"), node("b", "a", "assistant", "y")), "own ancestors, such as a"),
        (chatgpt(node("a", "a", "user", "x")), "own ancestors, such as a"),
        (chatgpt(node("r", None, "user", "x"), node("a", "b", "user", "x"), node("b", "a", "user", "y")), "such as a"),
        (chatgpt(), "contains no messages"),
        (chatgpt(node("a", None, "system", "only")), "contains no messages"),
        ({"mapping": []}, r"Expected `object`, got `array` - at `\$.mapping`"),
        ({"mapping": {"a": None}}, "contains no messages"),
        ({"mapping": {"a": {"message": {"author": 1}}}}, "contains no messages"),
        ({"mapping": {"a": {"message": {"author": {"role": "user"}, "content": {"parts": 5}}}}}, "no messages"),
        (None, "conversation: it is not an object"),
        ({"title": "No tree"}, "it has no “mapping”"),
        ({"mapping": {"a" * 300: {"message": None}}}, "length <= 200"),
        (chatgpt(node("a", None, "user", "x" * 1_000_001)), "more than 1,000,000 characters: a"),
    ],
)  # fmt: skip
def test_a_hostile_conversation_is_left_out_and_the_others_come(alice: User, hostile: Any, why: str) -> None:
    results = load(alice, [hostile, TRIP])
    assert re.search(why, results[0]), results[0]
    assert results[1] == "new"
    assert Conversation.objects.count() == 1


def test_an_answer_in_a_thousand_pieces_is_bounded(alice: User) -> None:
    """Each piece also has a question below it, so each would be a message with all before it."""
    nodes = []
    for n in range(3000):
        nodes.append(node(f"a{n}", f"a{n - 1}" if n else None, "assistant", "x" * 50))
        nodes.append(node(f"q{n}", f"a{n}", "user", "y"))
    assert "characters" in load(alice, [chatgpt(*nodes)])[0]


def test_odd_times_parts_and_deep_trees_are_taken(alice: User) -> None:
    chain = [
        node(f"n{i}", f"n{i - 1}" if i else None, ("user", "assistant")[i % 2], f"t{i}", 1e300) for i in range(3000)
    ]
    odd = chatgpt(node("a", "gone", "user", "lonely \ud800 surrogate", None), name="c-2", title="half \udfff\x00")
    assert load(alice, [chatgpt(*chain), odd]) == ["new", "new"]
    assert Message.objects.count() == 3001


def test_an_odd_node_does_not_cost_its_conversation(alice: User) -> None:
    """Half surrogate pairs in ids and texts, nodes without message, author or role, times as text, an odd title."""
    odd: dict[str, Any] = chatgpt(
        node("q\ud800", None, "user", "First \udc00 \ud800A?", at="2023-11-14T22:13:20Z"),  # type: ignore[arg-type]
        node("a", "q\ud800", "assistant", "Second.", at="1700000100"),  # type: ignore[arg-type]
        node("n", "a", "user", "gone"), node("m", "n", "user", "gone"), node("r", "m", "user", "gone"),
        node("z", None, "user", "gone"),
        node("q2", "z", "user", "Third?", at=10**400), node("a2", "q2", "assistant", "Fourth."),
        tip="a2", title=["no text"], name="c-\udfff",  # type: ignore[arg-type]
    )  # fmt: skip
    odd["mapping"]["n"]["message"]["author"] = None
    odd["mapping"]["m"]["message"] = None
    del odd["mapping"]["r"]["message"]["author"]["role"]
    odd["mapping"]["r"]["children"] = ["z"]
    odd["mapping"]["z"] = None
    assert load(alice, [odd]) == ["new"]
    first = "First ? ?A?"
    assert tree() == {first: None, "Second.": first, "Third?": "Second.", "Fourth.": "Third?"}
    times = [Message.objects.get(text=text).created_at for text in (first, "Second.")]
    assert [f"{at:%Y-%m-%d %H:%M:%S}" for at in times] == ["2023-11-14 22:13:20", "2023-11-14 22:15:00"]
    assert load(alice, [odd]) == ["known"]


def test_a_conversation_that_the_database_refuses_is_left_out(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others of its batch are saved."""
    monkeypatch.setattr("chat.portability.message_tree.clean_text", lambda text: text)
    bad = chatgpt(node("q", None, "user", "?"), node("a", "q", "assistant", "Bad\x00."), name="c-2")
    trip = chatgpt(node("q", None, "user", "Where to?"))
    twice = [trip, bad, chatgpt(node("q", None, "user", "Other?"), name="c-3"), trip]
    assert load(alice, twice) == ["new", "The database refuses it (DataError).", "new", "known"]
    assert Conversation.objects.count() == 2
