"""Formulas and long words in the page: what the reader sees, copies, and waits for."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.bare_page import ORIGIN
from tests.e2e.browsing import Watch

pytestmark = pytest.mark.timeout(120)

# Writes a text into a new element, as an answer in progress; `end` finishes it.
WRITE = """async ([text, end]) => {
    const { LiveText } = await import("antiphon/conversation/live-text");
    document.body.replaceChildren(Object.assign(document.createElement("div"), { id: "answer", className: "prose" }));
    const live = new LiveText(document.getElementById("answer"), () => {});
    await live.ready;
    const began = performance.now();
    live.write(text);
    if (end) live.end();
    document.body.getBoundingClientRect(); // laid out
    return performance.now() - began;
}"""

COPIED = """() => {
    const range = document.createRange();
    range.selectNodeContents(document.getElementById("answer"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    const data = new DataTransfer();
    const event = new ClipboardEvent("copy", { clipboardData: data, bubbles: true, cancelable: true });
    document.getElementById("answer").dispatchEvent(event);
    return data.getData("text/plain");
}"""


def test_a_formula_is_set_as_soon_as_it_closes(bare_page: Page) -> None:
    watch = Watch(bare_page, ORIGIN)
    bare_page.evaluate(WRITE, ["Area:\n$$\na = \\frac{b}{2}\n", False])
    expect(bare_page.locator("#answer math")).to_have_count(0)
    bare_page.evaluate(WRITE, ["Area $\\pi r^2$:\n$$\n\\begin{aligned}\na &= \\frac{b}{2}\n\\end{aligned}\n$$", False])
    expect(bare_page.locator("#answer p math")).to_have_count(1)
    expect(bare_page.locator("#answer > .math.display mfrac")).to_be_visible()
    assert watch.complaints == []  # of the Content-Security-Policy, say
    assert watch.foreign == []


def test_what_is_no_tex_is_shown_as_it_was_written(bare_page: Page) -> None:
    bare_page.evaluate(WRITE, ["$\\frobnicate{x}$, $x$ and $\\href{javascript:alert(1)}{y}$", True])
    expect(bare_page.locator("#answer math")).to_have_count(1)
    assert bare_page.locator("#answer .math").first.inner_text() == "\\frobnicate{x}"
    assert bare_page.locator("#answer [href]").count() == 0


def test_copying_gives_tex(bare_page: Page) -> None:
    bare_page.evaluate(WRITE, ["Take $x^2$ pieces.\n\n$$\ny = 1\n$$\n\nEnd.", True])
    expect(bare_page.locator("#answer math")).to_have_count(2)
    lines = [line for line in bare_page.evaluate(COPIED).splitlines() if line]
    assert lines == ["Take $x^2$ pieces.", "$$y = 1$$", "End."]


@pytest.mark.parametrize("word", ["A", "ab", "."])
def test_a_word_without_end_does_not_freeze_the_page(bare_page: Page, word: str) -> None:
    bare_page.evaluate("Promise.all([...document.fonts].map((font) => font.load()))")
    took = bare_page.evaluate(WRITE, [word * (20_000 // len(word)), True])
    assert took < 400  # milliseconds; with kerning 800 to 1,400 on a quick machine


def test_a_finished_answer_keeps_the_selection(bare_page: Page) -> None:
    """The server's HTML takes the place of the streamed text without a visible change."""
    bare_page.evaluate(WRITE, ["One *two* three.\n\n```\ncode\n```", True])
    kept = bare_page.evaluate(
        """async () => {
            const { fromServer, morph } = await import("antiphon/lib/morph");
            const answer = document.getElementById("answer");
            const emphasis = answer.querySelector("em");
            getSelection().selectAllChildren(emphasis);
            const html = '<p dir="auto">One <em>two</em> three.</p>\\n<pre class="code" dir="ltr"><code>'
                + '<span class="k">code</span>\\n</code></pre>\\n';
            morph(answer, [...fromServer(html).childNodes]);
            return [emphasis.isConnected, getSelection().toString(), answer.querySelectorAll(".k").length];
        }"""
    )
    assert kept == [True, "two", 1]
