"""Answers read aloud. A headless browser has no voice, so one stands in for it at the browser's edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.browsing import Watch, answers, ended, send, shoot
from tests.stack import Stack

VOICE = Path(__file__).parent.parent / "fakes" / "speech_synthesis.js"
SPOKEN = """async ([text, step]) => {
    const { Sentences } = await import("antiphon/voice/markdown-to-speech");
    const sentences = new Sentences();
    const found = [];
    for (let n = step; ; n += step) {
        found.push(...sentences.take(text.slice(0, n), n >= text.length));
        if (n >= text.length) return found;
    }
}"""
MARKDOWN = """\
## A heading 😀

Some **strong** and *soft* words, `code`, and a [link](https://example.org/a). See
https://example.org/b?c=d. Dr. Smith agrees!

- one snake_case thing
- [x] two

```python
def add(a, b):
    return a + b. Never read.
```

| a | b |
|---|--:|
| 1 | 2 |

> Quoted here.

---
And the end"""
SAID = [
    "A heading", "Some strong and soft words, code, and a link.", "See example.org.", "Dr. Smith agrees!",
    "one snake_case thing", "two", "a , b", "1 , 2", "Quoted here.", "And the end",
]  # fmt: skip


@pytest.fixture
def page(context: BrowserContext, stack: Stack) -> Page:
    context.add_init_script(path=VOICE)
    page = context.new_page()
    page.goto(f"{stack.url}/")
    return page


def words(page: Page) -> list[str]:
    return [one["word"] for one in page.evaluate("said")]


def test_what_is_said_of_a_text(bare_page: Page) -> None:
    """Sentences that know their places, however they come in; their language; and words that are our own."""
    for step in (9_999, 7, 1):
        found: list[dict[str, Any]] = bare_page.evaluate(SPOKEN, [MARKDOWN, step])
        assert [one["text"] for one in found] == SAID, step
        for one in found:
            assert len(one["marks"]) == len(one["text"])
            assert one["marks"] == sorted(one["marks"])
            assert MARKDOWN[one["marks"][0]] == one["text"][0]
            assert MARKDOWN[one["end"] - 1] == one["text"][-1] or one["text"].endswith("."), one
        assert MARKDOWN[found[4]["marks"][4] :].startswith("snake_case"), "in code points, also after an emoji"
    guess = "async (text) => (await import('antiphon/voice/language')).guessLanguage(text, 'en-GB')"
    for text, language in (
        ("The answer is that it depends on the weather.", "en"),
        ("Das ist nicht ganz einfach, und es kommt auf den Einzelfall an.", "de"),
        ("Il est possible que les résultats ne soient pas dans la base.", "fr"),
        ("これは日本語の文章です。", "ja"),
        ("Это зависит от погоды.", "ru"),
        ("42", "en"),
    ):
        assert bare_page.evaluate(guess, text) == language
    is_echo = "async ([heard, said]) => (await import('antiphon/voice/echo-detection')).isEcho(heard, said)"
    said = "The quick brown fox jumps. Over the lazy dog."
    for heard, echo in (
        ("quick brown fox", True),
        ("the quick clown fox jumps", True),
        ("lazy jumps quick the", False),  # not in that order
        ("stop please", False),
        ("what about the fox", False),
        ("", False),
    ):
        assert bare_page.evaluate(is_echo, [heard, said]) is echo, heard


def test_an_answer_is_read_while_it_comes(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    toggle = page.get_by_role("button", name="Read answers aloud")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    send(page, 'Speak [[text="First things first. Then **more** of it. Das ist alles." rate=5]]')
    expect(page.locator("#reading")).to_be_visible()
    page.wait_for_function("() => said.length")
    assert page.locator(".message-assistant[data-status=streaming]").count() == 1, "it began before the end"
    shoot(page, "aloud")
    ended(page)
    button = page.get_by_role("button", name="Read aloud", exact=True)
    expect(page.locator("#reading")).to_be_hidden(timeout=20_000)
    expect(button).to_have_attribute("aria-pressed", "false")
    assert words(page) == ["First", "things", "first.", "Then", "more", "of", "it.", "Das", "ist", "alles."]
    assert {(one["voice"], one["lang"]) for one in page.evaluate("said")} == {("Ruth", "en-GB")}, "on this device"
    page.reload()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    assert words(page) == [], "what is there already is not read by itself"
    page.keyboard.press("Alt+r")
    page.wait_for_function("() => said.length > 2")
    page.keyboard.press("Escape")
    expect(page.locator("#reading")).to_be_hidden()
    said = words(page)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("(n) => said.length > n", arg=len(said))
    page.get_by_role("button", name="Stop reading").click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert watch.complaints == []


def test_stop_is_quiet_and_keeps_the_text(page: Page) -> None:
    page.get_by_role("button", name="Read answers aloud").click()
    send(page, 'Speak [[text="One. Two. Three. Four. Five. Six. Seven. Eight. Nine. Ten. Eleven." rate=8]]')
    page.wait_for_function("() => said.length")
    page.get_by_role("button", name="Stop the answer").click()
    expect(page.locator("#reading")).to_be_hidden()
    last = answers(page).last
    expect(last.locator(".message-note")).to_contain_text("Stopped.")
    expect(last.locator(".message-body")).to_contain_text("One.")


def test_a_voice_that_fails_says_why(page: Page) -> None:
    send(page, 'Speak [[text="One. Two."]]')
    ended(page)
    for broken, sentence in (
        ("voiceFails = 'not-allowed'", "Click or type on this page first"),
        ("voiceFails = 'synthesis-failed'", "Reading aloud failed (synthesis-failed)"),
        ("voiceless = true", "no voice for reading aloud"),
    ):
        page.evaluate(f"() => {{ window.{broken}; }}")
        page.get_by_role("button", name="Read aloud", exact=True).click()
        expect(page.locator(".toast")).to_contain_text(sentence)
        expect(page.locator("#reading")).to_be_hidden()


def test_without_a_voice_there_are_no_buttons(context: BrowserContext, stack: Stack) -> None:
    context.add_init_script("delete window.speechSynthesis; delete Window.prototype.speechSynthesis;")
    page = context.new_page()
    page.goto(f"{stack.url}/")
    send(page, 'Speak [[text="One."]]')
    ended(page)
    for name in ("Read answers aloud", "Read aloud"):
        assert not page.get_by_role("button", name=name, exact=True).is_visible()
