"""Tags around a model's thinking: where they count, and that no way of cutting the text changes the result."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import Chunk
from workers.providers.thinking_tags import ThinkingTags


def read(*pieces: str) -> tuple[str, str, str | None]:
    """(text, reasoning, what an unclosed tag hides)."""
    tags = ThinkingTags()
    chunks: list[Chunk] = [chunk for piece in pieces for chunk in tags.feed(piece)] + tags.end()
    assert not any(chunk.text and chunk.reasoning for chunk in chunks)
    assert all(chunk.text or chunk.reasoning for chunk in chunks)
    return "".join(chunk.text for chunk in chunks), "".join(chunk.reasoning for chunk in chunks), tags.unclosed


SEPARATED = {
    "<think>hm</think>yes": ("yes", "hm"),
    "<think>\nhm, \n well\n</think>\n\nyes\n": ("yes\n", "hm, \n well"),
    "\n <think>hm</think> yes": ("yes", "hm"),
    "<thinking>hm</thinking>yes": ("yes", "hm"),
    "[THINK]hm[/THINK]yes": ("yes", "hm"),
    "<think>\n\n</think>\n\nyes": ("yes", ""),
    "<think></think>": ("", ""),
    "</think>\n\nyes": ("yes", ""),  # the prompt ended with the opening tag
    "<think>a < b, </thinking> [/THINK] <think></think>yes": ("yes", "a < b, </thinking> [/THINK] <think>"),
    "<think>one</think>yes\n<think>two</think>\nno": ("yes\nno", "one\n\ntwo"),
    "<think>one</think><think>two</think>yes": ("yes", "one\n\ntwo"),
    "Let me see.\n\n  <think>hm</think>\nyes": ("Let me see.\n\nyes", "hm"),
    "<think>```\ncode\n```</think>yes": ("yes", "```\ncode\n```"),
    "<think>hm</think>\n```\n<think>x</think>\n```\n": ("```\n<think>x</think>\n```\n", "hm"),
    "```\ncode\n```\n<think>hm</think>yes": ("```\ncode\n```\nyes", "hm"),
    "`` ` ``\n<think>hm</think>yes": ("`` ` ``\nyes", "hm"),
    "one ` tick\n\n<think>hm</think>yes": ("one ` tick\n\nyes", "hm"),
}
TEXTS = [
    "",
    "yes",
    " \n yes",
    "a < b",
    "<thin",
    "[THINK",
    "<b>bold</b> <think",
    "Models write <think> and </think> around it.",
    "Models write it so:\n`<think>`hm`</think>`",
    "It is `a\n<think>b` still code",
    "```\n<think>hm</think>\n```",
    "~~~xml\n<think>hm</think>\n~~~ no end\n<think>\n~~~~\n",
    "````\n```\n<think>hm</think>\n````\n",
    "- ```\n  <think>hm</think>\n  ```\n",
    "> ```\n<think>hm</think>\n> ```\n",
    "Text:\n    <think>hm</think>",
    "[link](https://example.org) [THINKING]",
    "<thoughts>hm</thoughts>",
    "yes </think> no",
]


@pytest.mark.parametrize("text", SEPARATED)
def test_thinking_is_no_part_of_the_text(text: str) -> None:
    for size in range(1, len(text) + 1):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert read(*pieces) == (*SEPARATED[text], None), f"pieces of {size}"


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_tag_stays_as_it_is(text: str) -> None:
    for size in range(1, len(text) + 1):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert read(*pieces) == (text, "", None), f"pieces of {size}"


@pytest.mark.parametrize("tail", ["", "</", "</think", "\n"])
def test_a_tag_that_is_never_closed_is_noticed(tail: str) -> None:
    hidden = f"The answer is 42.{tail}".rstrip()
    assert read(*f"<think>The answer is 42.{tail}") == ("", hidden, hidden)
    assert read(f"yes\n<think>{hidden}") == ("yes\n", hidden, hidden)


PARTS = st.sampled_from(
    ["<think>", "</think>", "<thinking>", "</thinking>", "[THINK]", "[/THINK]", "<", "[", "</", "`", "``", "```", "~~~",
     " ", "    ", "\n", "\n\n", "> ", "- ", "a", "hm", "\r\n", "\u00a0", "é😀"]
)  # fmt: skip


@given(parts=st.lists(PARTS, max_size=24), cuts=st.lists(st.integers(0, 120), max_size=30))
def test_cuts_change_nothing(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    whole = read(text)
    assert read(*text) == whole, "cut at every character"
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert read(*(text[start:stop] for start, stop in itertools.pairwise(places))) == whole
    kept = [one for one in whole[0] + whole[1] if not one.isspace()]
    assert len(kept) <= len([one for one in text if not one.isspace()]), "nothing is said twice"


@given(text=st.text(st.characters(exclude_characters="<[", codec="utf-8"), max_size=80), cut=st.integers(0, 80))
def test_text_without_a_tag_is_unchanged(text: str, cut: int) -> None:
    assert read(text[:cut], text[cut:]) == (text, "", None)
