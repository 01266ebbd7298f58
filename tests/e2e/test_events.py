"""What each event does to the page, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.frames import BEGUN, PLAY, created, delta, message, run

pytestmark = pytest.mark.timeout(120)


class TestEvents:
    def play(self, page: Page, events: list[dict[str, Any]], snapshot: Any = None) -> Any:
        return page.evaluate(PLAY, {"events": events, "snapshot": snapshot})

    def test_indexes_count_code_points(self, source_page: Page) -> None:
        played = self.play(
            source_page, [*BEGUN, delta(0, "a\U0001f600"), delta(2, "b"), run("done", text_length=3, html="<p>x</p>")]
        )
        assert all(played["whole"])
        assert played["shown"][1]["text"] == "a\U0001f600b"
        assert played["shown"][1]["words"] == "x"

    def test_text_told_twice_is_shown_once(self, source_page: Page) -> None:
        played = self.play(source_page, [*BEGUN, delta(0, "ab"), delta(0, "ab"), delta(1, "bcd"), delta(2, "cd")])
        assert played["shown"][1]["text"] == "abcd"

    def test_missing_text_is_noticed(self, source_page: Page) -> None:
        assert self.play(source_page, [*BEGUN, delta(0, "ab"), delta(3, "d")])["whole"][-1] is False
        assert self.play(source_page, [*BEGUN, delta(0, "ab"), run("done", text_length=3)])["whole"][-1] is False

    def test_a_new_attempt_replaces_the_text(self, source_page: Page) -> None:
        events = [
            *BEGUN,
            delta(0, "first"),
            run("started", attempt=2),
            delta(0, "se", 2),
            delta(5, "late"),
            delta(2, "cond", 2),
        ]
        played = self.play(source_page, [*events, run("done", attempt=2, text_length=6, html="<p>second</p>")])
        assert all(played["whole"])
        assert played["shown"][1]["text"] == "second"
        assert played["shown"][1]["status"] == "complete"

    def test_a_superseded_attempt_goes_on_with_the_next(self, source_page: Page) -> None:
        events = [*BEGUN, delta(0, "lost"), run("interrupted", text_length=0, next_attempt=2)]
        assert self.play(source_page, events)["shown"][1]["status"] == "pending"
        played = self.play(source_page, [*events, run("started", attempt=2), delta(0, "kept", 2)])
        assert played["shown"][1]["text"] == "kept"

    def test_the_beginning_told_again_does_not_undo_the_end(self, source_page: Page) -> None:
        events = [*BEGUN, delta(0, "ok"), run("done", text_length=2, html="<p>ok</p>")]
        once, twice = self.play(source_page, events), self.play(source_page, [*events, *events])
        assert once["shown"] == twice["shown"]
        assert once["shown"][1]["status"] == "complete"

    def test_another_version_takes_the_place_of_what_follows(self, source_page: Page) -> None:
        events = [*BEGUN, run("done", text_length=0), created("u2", "a1"), created("a2", "u2", "assistant")]
        played = self.play(source_page, [*events, created("a3", "u1", "assistant")])
        assert [shown["id"] for shown in played["shown"]] == ["u1", "a3"]
        assert played["shown"][1]["versions"] == ["a1", "a3"]

    def test_unknown_events_are_ignored(self, source_page: Page) -> None:
        assert self.play(source_page, [*BEGUN, {"type": "tool.call", "run_id": "r1"}, {"type": "news"}])["whole"][
            -2:
        ] == [
            True,
            True,
        ]

    def test_a_snapshot_brings_the_page_level(self, source_page: Page) -> None:
        answer = message("a1", "u1", "assistant", status="complete", text="whole", html="<p>whole</p>")
        newer = [message("u2", "a1", text="and?"), message("a2", "u2", "assistant", status="streaming", text="so far")]
        played = self.play(
            source_page, [*BEGUN, delta(0, "wh")], {"messages": [message("u1", None, text="hi"), answer, *newer]}
        )
        assert [shown["text"] for shown in played["shown"]] == ["hi", "whole", "and?", "so far"]
        assert [shown["status"] for shown in played["shown"]] == ["complete", "complete", "complete", "streaming"]

    def test_a_snapshot_that_does_not_reach_back_asks_for_the_page(self, source_page: Page) -> None:
        later = [message("u9", "a8", text="much later")]
        assert self.play(source_page, BEGUN, {"messages": later})["whole"][-1] is False
