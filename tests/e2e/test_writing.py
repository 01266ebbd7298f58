"""Writing in a real browser: input methods, and words without an end."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import ENDED, STREAMING, ended, send
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI

pytestmark = pytest.mark.timeout(120)

# The key that ends a word in Safari: it comes after `compositionend`, and only its code tells.
KEY_229 = """(field, key) => field.dispatchEvent(new KeyboardEvent("keydown",
    {key, keyCode: 229, bubbles: true, cancelable: true}))"""
LAY_OUT = """element => {
    element.style.display = "none";
    document.body.getBoundingClientRect();
    element.style.display = "";
    const began = performance.now();
    element.getBoundingClientRect();
    return performance.now() - began;
}"""


def test_keys_of_an_input_method_do_nothing_else(page: Page) -> None:
    send(page, "Asked [[tokens=400 rate=40]]")
    page.locator(f"{STREAMING} .prose p").wait_for()
    page.locator("#text").evaluate(KEY_229, "Escape")
    page.wait_for_timeout(500)
    expect(page.locator(STREAMING)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(ENDED)).to_have_attribute("data-status", "stopped")

    question = page.locator(".message-user")
    question.hover()
    question.get_by_role("button", name="Edit").click()
    editor = page.get_by_label("Edit message")
    for key in ("Enter", "Escape"):
        editor.evaluate(KEY_229, key)
        expect(editor).to_be_visible()
    editor.press("Escape")
    expect(editor).to_have_count(0)

    page.locator("#chat-menu").click()
    page.get_by_role("menuitem", name="Rename").click()
    title = page.get_by_role("textbox", name="Title")
    for key in ("Enter", "Escape"):
        title.evaluate(KEY_229, key)
        expect(title).to_be_visible()
    title.press("Escape")


def test_a_word_without_an_end_does_not_freeze_the_tab(page: Page, upstream: FakeOpenAI) -> None:
    """With kerning, 20,000 letters took 6 s in an answer and 20 s in a question."""
    upstream.play(Script(text="A" * 20_000))
    send(page, "A" * 20_000)
    ended(page)
    for _ in range(2):
        for body in page.locator(".message-body").all():
            assert body.evaluate(LAY_OUT) < 1_000
        page.reload()
    page.locator("#text").fill("A" * 20_000)
    assert page.locator("#text").evaluate(LAY_OUT) < 1_000
    page.locator("#text").fill("")


def test_half_a_hint_is_not_shown(page: Page) -> None:
    hint, name = page.locator("#composer-hint"), page.locator("#model .model-name")
    expect(hint).to_be_visible()
    before = name.inner_text()
    page.set_viewport_size({"width": 900, "height": 800})
    name.evaluate("name => { name.textContent = 'Qwen3-235B-A22B-Instruct-2507-FP8-and-more-of-it'.repeat(3); }")
    expect(hint).to_be_hidden()
    name.evaluate("(name, before) => { name.textContent = before; }", before)
    expect(hint).to_be_visible()
