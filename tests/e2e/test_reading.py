"""Reading in a real browser: long and hostile answers, by eye, keyboard, ear and phone; and what each event does."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import MARKDOWN, STREAMING, Watch, body, ended, send
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack
from tests.unit.chat.markdown.test_rendering import HOSTILE

pytestmark = pytest.mark.timeout(120)


# Resolves when the scroller's content has the given height.
GROWN = """(scroller, height) => new Promise((done) => {
    const look = () => (scroller.scrollHeight > height ? done() : setTimeout(look, 50));
    look();
})"""


# Streams texts through the page's renderer in several step widths; what it made that it must not make.
STREAM_ALL = """async (texts) => {
    const { LiveText } = await import("antiphon/conversation/live-text");
    const tags = "A BLOCKQUOTE BR CODE DIV EM H1 H2 H3 H4 H5 H6 HR LI OL P PRE S SPAN STRONG UL "
        + "TABLE TBODY TD TH THEAD TR SUP";
    const names = ["href", "rel", "target", "class", "data-language", "start", "dir", "tabindex"];
    const found = [];
    for (const text of texts) {
        for (const step of [1, 3, text.length]) {
            const body = document.createElement("div");
            document.body.append(body);
            const live = new LiveText(body, () => {});
            await live.ready;
            for (let at = 0; at < text.length; at += step) live.write(text.slice(at, at + step));
            live.end();
            for (const element of body.querySelectorAll("*")) {
                if (!tags.split(" ").includes(element.tagName)) found.push([text, element.tagName]);
                for (const { name, value } of element.attributes) {
                    if (!names.includes(name)) found.push([text, name, value]);
                    if (name === "href" && !/^(https?:[/][/]|mailto:)/i.test(value)) found.push([text, value]);
                }
                if (element.hasAttribute("href") && element.target !== "_blank") found.push([text, "target"]);
            }
            body.remove();
        }
    }
    return found;
}"""


class TestReading:
    def test_a_long_conversation_is_read_backwards_without_a_jump(self, page: Page, stack: Stack) -> None:
        send(page, "Grow [[tokens=2]]")
        ended(page)
        stack.sql(
            """
            WITH RECURSIVE grown(id, parent, n) AS (
                SELECT gen_random_uuid(), c.tip_id, 1 FROM chat_conversation c WHERE c.id = %s
                UNION ALL SELECT gen_random_uuid(), id, n + 1 FROM grown WHERE n < 300
            ), made AS (
                INSERT INTO chat_message (id, conversation_id, parent_id, role, text, html, status, created_at)
                SELECT id, %s, parent, CASE WHEN n %% 2 = 1 THEN 'user' ELSE 'assistant' END, 'line ' || n,
                       '<p>line ' || n || '</p>', 'complete', now() + n * interval '1 ms' FROM grown
            ) UPDATE chat_conversation SET tip_id = (SELECT id FROM grown WHERE n = 300) WHERE id = %s RETURNING id
            """,
            *[page.url.split("/")[-2]] * 3,
        )
        page.reload()
        expect(page.locator(".message")).to_have_count(40)
        assert page.locator(".message").last.bounding_box()["y"] < 800  # type: ignore[index]  # it is shown
        page.locator("#scroller").evaluate("(scroller) => { scroller.scrollTop = 0 }")
        first = page.locator(".message").first
        held = page.locator(f"#{first.get_attribute('id')}")
        before = held.bounding_box()
        expect(page.locator(".message")).to_have_count(80)  # scrolling up has loaded them
        after = held.bounding_box()
        assert before
        assert after
        assert abs(before["y"] - after["y"]) < 2

    def test_scrolling_up_is_respected(self, page: Page) -> None:
        page.set_viewport_size({"width": 900, "height": 500})
        send(page, "Much [[tokens=3000 rate=400]]")
        page.locator("#scroller").evaluate(GROWN, 700)
        page.mouse.move(450, 200)
        page.mouse.wheel(0, -120)
        page.get_by_role("button", name="Jump to latest").wait_for()
        top = page.locator("#scroller").evaluate("(s) => s.scrollTop")
        page.locator(f"{STREAMING}").wait_for()
        length = len(body(page))
        page.locator("#scroller").evaluate(GROWN, page.locator("#scroller").evaluate("(s) => s.scrollHeight") + 150)
        assert len(body(page)) > length
        assert page.locator("#scroller").evaluate("(s) => s.scrollTop") == top
        page.get_by_role("button", name="Jump to latest").click()
        expect(page.get_by_role("button", name="Jump to latest")).to_be_hidden()
        page.keyboard.press("Escape")
        ended(page)

    def test_content_that_is_shorter_for_a_moment_is_no_scrolling_up(self, page: Page) -> None:
        """An answer that ends is replaced; a layout in between moves the position, and what follows is still shown."""
        send(page, "Long [[tokens=1500]]")
        ended(page)
        scroller = page.locator("#scroller")
        scroller.evaluate(
            """(scroller) => {
                scroller.scrollTop = scroller.scrollHeight;
                const shown = scroller.querySelector(".message-assistant .message-body");
                shown.style.display = "none";
                scroller.scrollTop += scroller.scrollHeight; // what is there now is laid out
                shown.style.display = "";
                for (const text of "abcde") {
                    shown.append(Object.assign(document.createElement("p"), { textContent: text }));
                }
            }"""
        )
        page.wait_for_function(
            """() => {
                const { scrollHeight, clientHeight, scrollTop } = document.getElementById("scroller");
                return scrollHeight > 2 * clientHeight && scrollHeight - clientHeight - scrollTop < 2;
            }"""
        )

    def test_the_keyboard_is_enough(self, page: Page) -> None:
        page.get_by_role("link", name="Skip to the content").focus()
        expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        expect(page.locator("#text")).to_be_focused()
        page.keyboard.type("Typed")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("by hand [[tokens=2]]")
        page.keyboard.press("Enter")
        ended(page)
        expect(page.locator(".message-user .message-body")).to_have_text("Typed\nby hand [[tokens=2]]")
        page.keyboard.press("ArrowUp")
        expect(page.get_by_label("Edit message")).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("Alt+ArrowUp")
        expect(page.locator(".message-user")).to_be_focused()
        page.keyboard.press("Control+Shift+S")
        expect(page.locator("#sidebar")).to_be_hidden()
        page.keyboard.press("Control+Shift+S")
        expect(page.locator("#sidebar")).to_be_visible()

    def test_screen_readers_hear_blocks_not_tokens(self, page: Page, upstream: FakeOpenAI) -> None:
        upstream.play(Script(text=MARKDOWN, rate=60))
        page.locator("#announcer").evaluate(
            "(region) => { window.heard = []; new MutationObserver((changes) => changes.forEach((change) =>"
            " change.addedNodes.forEach((node) => window.heard.push(node.textContent))))"
            ".observe(region, { childList: true }) }"
        )
        send(page, "Read to me")
        ended(page)
        heard = page.evaluate("window.heard")
        assert heard[0] == "A heading"
        assert heard[1].startswith("Some strong and soft words")
        assert "Code, python, 2 lines" in heard
        assert heard[-1] == "Answer complete."
        assert len(heard) <= 8

    def test_a_phone_has_the_list_in_a_drawer(self, browser: Browser, login: Any, stack: Stack) -> None:
        context = browser.new_context(
            storage_state=login, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
        )
        page = context.new_page()
        page.goto(f"{stack.url}/")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        expect(page.locator("#sidebar")).to_be_hidden()
        page.get_by_role("button", name="Open sidebar").click()
        expect(page.locator("#sidebar")).to_be_visible()
        assert page.locator("main").evaluate("(main) => main.inert")
        page.keyboard.press("Escape")
        expect(page.locator("#sidebar")).to_be_hidden()
        context.close()

    def test_the_theme_is_chosen_and_kept(self, page: Page) -> None:
        background = "getComputedStyle(document.documentElement).backgroundColor"
        light = page.evaluate(background)
        page.locator(".account").click()
        page.get_by_text("Dark", exact=True).click()
        dark = page.evaluate(background)
        assert dark != light
        page.reload()
        assert page.evaluate(background) == dark


class TestHostileAnswers:
    def test_streamed_text_makes_nothing_that_runs_or_loads(self, source_page: Page) -> None:
        watch = Watch(source_page, source_page.url)
        found = source_page.evaluate(
            STREAM_ALL,
            [*HOSTILE, ">" * 3000 + "deep", "- " * 500 + "deep", "**" * 999, "`" * 999, "[" * 999, "|" * 999 + "\n|-|"],
        )
        assert found == []
        assert watch.foreign == []

    def test_a_hostile_answer_loads_nothing(self, page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
        watch = Watch(page, stack.url)
        upstream.play(Script(text="\n\n".join(HOSTILE).replace("\x00", ""), rate=2000))
        send(page, "Do your worst")
        ended(page)
        page.reload()
        ended(page)
        harmful = ", ".join(f".prose {tag}" for tag in ("img", "form", "iframe", "object", "video", "svg:not(.icon)"))
        assert page.locator(harmful).count() == 0
        assert watch.foreign == []
        assert watch.complaints == []
