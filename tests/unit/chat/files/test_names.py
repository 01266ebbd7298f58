"""Names of files: what is kept of what people give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.files.names import LONGEST, clean_name, ending_of, numbered


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\Ana\\Report 1.docx", "Report 1.docx"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\x00b\nc\t.txt", "abc.txt"),
        ("  two   spaces .txt ", "two spaces .txt"),
        ("trailing. . .", "trailing"),
        ("cafe\u0301.txt", "café.txt"),
        ("half \ud800.txt", "half \ufffd.txt"),
        ("", "File"),
        ("...", "File"),
        ("/", "File"),
        (".gitignore", ".gitignore"),
        ("報告書.pdf", "報告書.pdf"),
    ],
)
def test_what_is_kept(given_name: str, kept: str) -> None:
    assert clean_name(given_name) == kept


def test_a_long_name_keeps_its_ending() -> None:
    name = clean_name("x" * 4000 + ".tar")
    assert len(name) == LONGEST
    assert name.endswith("x.tar")


@given(st.text(max_size=400))
def test_every_name_is_safe_and_stays_as_it_is(name: str) -> None:
    cleaned = clean_name(name)
    assert 0 < len(cleaned) <= LONGEST
    assert "/" not in cleaned
    assert "\\" not in cleaned
    assert cleaned not in (".", "..")
    assert cleaned.isprintable() or any(char.isspace() or ord(char) > 127 for char in cleaned)
    assert clean_name(cleaned) == cleaned


def test_endings_and_numbers() -> None:
    assert [ending_of(name) for name in ("A.PDF", "a", "a.b c", "a.tar.gz")] == [".pdf", "", "", ".gz"]
    taken: set[str] = set()
    assert [numbered(name, taken) for name in ("a.txt", "A.txt", "a.txt")] == ["a.txt", "A (2).txt", "a (3).txt"]
