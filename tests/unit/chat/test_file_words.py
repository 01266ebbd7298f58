"""What pages say of files and of what a model got of them."""

from __future__ import annotations

from typing import Any

import pytest

from chat.templatetags.chat_files import file_url, file_words, files_json, have_files, is_viewed, uses_words

FILE = {"id": "0193", "name": "a.pdf", "kind": "pdf", "size": 1_260_000, "state": "read", "parts": 40}
USE = {"id": "0193", "name": "a.pdf", "use": "passages", "given": 3, "total": 40}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "PDF · 1.2 MB · 40 pages"),
        ({"parts": 1}, "PDF · 1.2 MB · 1 page"),
        ({"state": "pending", "parts": None}, "PDF · 1.2 MB · being read…"),
        ({"state": "failed", "parts": None}, "PDF · 1.2 MB · not readable"),
        ({"state": "failed", "parts": 0, "reason": "It is broken."}, "PDF · 1.2 MB · not readable: It is broken."),
        ({"kind": "table", "size": 900}, "Table · 900 bytes"),
        ({"kind": "text", "state": "empty"}, "Text · 1.2 MB · no text found"),
        ({"kind": "image", "state": "empty"}, "Image · 1.2 MB"),
        ({"kind": "new kind"}, "File · 1.2 MB"),
    ],
)  # fmt: skip
def test_what_a_file_is_and_how_far_it_was_read(change: dict[str, Any], words: str) -> None:
    assert file_words(FILE | change) == words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "3 of 40 pages of a.pdf"),
        ({"reason": "There is no room for all."}, "3 of 40 pages of a.pdf (There is no room for all.)"),
        ({"total": 1, "given": 1}, "passages of a.pdf"),
        ({"use": "full"}, "all of a.pdf"),
        ({"use": "image"}, "a.pdf"),
        ({"use": "none"}, "nothing of a.pdf"),
        ({"use": "none", "reason": "It is encrypted."}, "nothing of a.pdf: It is encrypted."),
        ({"name": None}, "3 of 40 pages of a deleted file"),
    ],
)
def test_what_a_model_got_of_a_file(change: dict[str, Any], words: str) -> None:
    assert uses_words([USE | change]) == words


def test_several_files() -> None:
    assert uses_words([USE, USE | {"use": "full", "name": "b.txt"}]) == "3 of 40 pages of a.pdf; all of b.txt"
    none = USE | {"use": "none", "reason": "It is damaged."}
    assert uses_words([none, none]) == "nothing of a.pdf: It is damaged; nothing of a.pdf: It is damaged."


def test_whether_messages_have_files() -> None:
    assert not have_files(None)
    assert not have_files([{"run": None}, {"run": {"files": []}}])
    assert have_files([{"files": [FILE], "run": None}])
    assert have_files([{"run": None}, {"run": {"files": [USE]}}])
    assert have_files([{"deleted_files": 1, "run": None}])


def test_what_the_script_gets() -> None:
    assert files_json("") == "[]"
    assert files_json([{"id": "1"}]) == '[{"id":"1"}]'


def test_what_is_shown_in_the_page() -> None:
    assert is_viewed(FILE)
    assert not is_viewed(FILE | {"kind": "other"})
    identity = "01930000-0000-7000-8000-000000000000"
    assert file_url({"id": identity, "kind": "pdf"}) == f"/attachments/{identity}/?view=1"
    assert file_url({"id": identity, "kind": "text"}) == f"/attachments/{identity}/"
