"""Thinking without an opening tag: found in a whole answer, presumed in the next ones, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.endpoints.refusals import describe
from workers.providers.base import ChatTurn, Chunk, Continuation, Options
from workers.providers.http.continuing import PLAIN
from workers.providers.http.learned import Learned
from workers.providers.http.negotiation import Negotiation
from workers.providers.model_facts import OPENING_TAG
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.thinking_tags import UNOPENED, ThinkingTags, split_unopened

FOUND = {
    "Four is even.\n</think>\n\nYes.": ("Four is even.", "Yes."),
    "\nHm.\n\nFour.\n</think>\nYes.\n": ("Hm.\n\nFour.", "Yes.\n"),
    "Hm.\r\n</think>\r\n\r\nYes.": ("Hm.", "Yes."),
    "Hm.</think>\n\nYes.": ("Hm.", "Yes."),
    "Hm.\n</THINK>\n\nYes.": ("Hm.", "Yes."),
    "Hm.\n[/THINK]\nYes.": ("Hm.", "Yes."),
    "Hm.\n</seed:think>\nYes.": ("Hm.", "Yes."),
    "Hm `</think>`.\n\n```\n</think>\n```\n\nSo.\n</think>\n\nYes.": (
        "Hm `</think>`.\n\n```\n</think>\n```\n\nSo.",
        "Yes.",
    ),
    "Hm.\n</think>\n\nWrite\n\n</think>\n\nthere.": ("Hm.", "Write\n\n</think>\n\nthere."),
}
NOT_FOUND = [
    "",
    "Yes.",
    "yes </think> no",
    "Close it with </think>\n\nand go on.",
    "Close it with `</think>`\n\nand go on.",
    "```\nhm\n</think>\n```\nYes.",
    "~~~\n</think>\n\nno end",
    "It is `a\n</think>\nb` still code",
    "Text:\n\n    </think>\n\nis code",
    "<think>\nHm.\n</think>\n\nYes.",
    "So.\n<think>\nHm.\n</think>\n\nYes.",
    "</think>\n\nYes.",
    "Hm.\n</think>\n\n",
]


@pytest.mark.parametrize("text", FOUND)
def test_the_parts_of_an_answer(text: str) -> None:
    found = split_unopened(text)
    assert found is not None
    assert (found.thinking, found.answer) == FOUND[text]
    assert found.closing in UNOPENED


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_is_no_end_of_thinking(text: str) -> None:
    assert split_unopened(text) is None


def read(closing: str, *pieces: str) -> tuple[str, str, bool]:
    """(text, reasoning, whether it was wrong to presume thinking)."""
    tags = ThinkingTags()
    tags.presume(closing)
    chunks: list[Chunk] = [chunk for piece in pieces for chunk in tags.feed(piece)] + tags.end()
    return "".join(one.text for one in chunks), "".join(one.reasoning for one in chunks), tags.was_wrong


PRESUMED = {
    "Four.\n</think>\n\nYes.": ("Yes.", "Four.", False),
    "\n\nFour.</think>Yes.": ("Yes.", "Four.", False),
    "<think>\nFour.\n</think>\n\nYes.": ("Yes.", "Four.", False),  # it has the tag after all
    " [THINK]Four </think> is even.[/THINK]Yes.": ("Yes.", "Four </think> is even.", False),
    "</think>\n\nYes.": ("Yes.", "", False),
    "Four.\n</think>\n\n<think>Five.</think>Yes.": ("Yes.", "Four.\n\nFive.", False),
    "Yes.": ("", "Yes.", True),
    "<b>Yes.</b>": ("", "<b>Yes.</b>", True),
    "": ("", "", False),
}


@pytest.mark.parametrize("text", PRESUMED)
def test_an_answer_that_is_presumed_to_begin_inside_of_thinking(text: str) -> None:
    for size in range(1, len(text) + 1):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert read("</think>", *pieces) == PRESUMED[text], f"pieces of {size}"


def test_nothing_is_presumed_of_a_server_that_separates_the_thinking() -> None:
    tags = ThinkingTags()
    tags.presume("</think>")
    tags.note_separate()
    assert tags.feed("Yes.") == [Chunk("Yes.")]
    assert tags.was_wrong, "it is not presumed of the next answer"
    tags = ThinkingTags()
    tags.note_separate()
    assert not tags.was_wrong


@given(parts=st.lists(st.sampled_from(["</think>", "<think>", "\n", "`", "a", " ", "[/THINK]", "```\n"]), max_size=20))
def test_the_same_is_found_in_a_whole_answer_and_in_pieces(parts: list[str]) -> None:
    text = "".join(parts)
    assert read("</think>", *text) == read("</think>", text)
    if (found := split_unopened(text)) is not None:
        assert found.thinking in text
        assert text.endswith(found.answer)


class TestLearned:
    @pytest.fixture
    def learned(self) -> Learned:
        return Learned()

    def asks(self, learned: Learned, options: Options | None = None, prefill: str = "instruct") -> Negotiation:
        turns = [ChatTurn("user", "Is four even?"), ChatTurn("assistant", "Yes, becau")]
        made = Negotiation(OpenAIDialect(), learned, "r1", turns, options or Options(), prefill)
        wanted = made.next_request()
        made.note_sent(OpenAIDialect().body(wanted), stream=True)
        return made

    def answers(self, learned: Learned, text: str, options: Options | None = None) -> str:
        """What was presumed of the answer."""
        negotiation, tags = self.asks(learned, options), ThinkingTags()
        tags.presume(presumed := negotiation.unopened)
        chunks = tags.feed(text) + tags.end()
        negotiation.learn_thinking(tags, "".join(chunk.text for chunk in chunks))
        return presumed

    def test_it_is_learnt_from_a_whole_answer_and_unlearnt_from_one_without_a_tag(self, learned: Learned) -> None:
        assert self.answers(learned, "Four.\n</think>\n\nYes.") == ""
        assert self.answers(learned, "Four.\n</think>\n\nYes.") == "</think>"
        assert self.answers(learned, "Yes.") == "</think>"
        assert self.answers(learned, "Yes.") == ""

    def test_models_are_known_apart(self, learned: Learned) -> None:
        self.answers(learned, "Four.\n</think>\n\nYes.")
        assert (learned.unopened("r1"), learned.unopened("v3")) == ("</think>", "")

    def test_it_is_not_presumed_where_the_model_is_asked_not_to_think(self, learned: Learned) -> None:
        self.answers(learned, "Four.\n</think>\n\nYes.")
        assert self.asks(learned, Options(effort="none")).unopened == ""
        learned._facts.note_refused("", "r1", "reasoning_effort")
        assert self.asks(learned, Options(effort="none")).unopened == "</think>", "it does not know how not to"

    def test_it_is_not_presumed_of_an_answer_that_goes_on(self, learned: Learned) -> None:
        self.answers(learned, "Four.\n</think>\n\nYes.")
        assert self.asks(learned, Options(continuation=Continuation()), PLAIN).unopened == ""
        assert self.asks(learned, Options(continuation=Continuation())).unopened == "</think>", (
            "in an answer of its own"
        )

    def test_it_is_stored_once_an_hour(self, learned: Learned) -> None:
        self.answers(learned, "Four.\n</think>\n\nYes.")
        assert len(learned._facts.take_changed()) == 1
        self.answers(learned, "Four.\n</think>\n\nYes.")
        assert not learned._facts.take_changed()

    def test_staff_read_it_in_words(self) -> None:
        assert "before </think> is read as thinking" in describe(OPENING_TAG + "</think>")
        assert "before </seed:think> is read as thinking" in describe(OPENING_TAG + "</seed:think>")
