"""HTML and SVG that a model wrote, shown as a page after a press: it runs, and reaches nothing."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import ended, send, shoot_views
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(120)

HTML: Final = """```html
<!doctype html><h1>Hello</h1><p id="said">nothing ran</p><p id="sent">nothing was tried</p>
<script>
const said = [];
try { said.push(parent.document.title); } catch (error) { said.push("no page"); }
try { said.push(document.cookie || "no cookie"); } catch (error) { said.push("no cookie"); }
document.getElementById("said").textContent = said.join(", ");
const sent = document.getElementById("sent");
fetch("/models/").then(() => "sent", () => "not sent").then((words) => (sent.textContent = words));
</script>
```
"""
CIRCLE: Final = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><circle cx="45" cy="30" r="25"/></svg>'
SVG: Final = f"```svg\n{CIRCLE}\n```\n"


def ask(page: Page, upstream: FakeOpenAI, text: str) -> None:
    upstream.play(Script(text=text, rate=500))
    send(page, "Show me")
    ended(page)


def test_html_runs_in_a_frame_that_reaches_nothing(page: Page, upstream: FakeOpenAI) -> None:
    ask(page, upstream, HTML)
    expect(page.locator("iframe")).to_have_count(0)
    page.get_by_role("button", name="Preview").click()
    frame = page.frame_locator(".preview iframe")
    expect(frame.get_by_role("heading", name="Hello")).to_be_visible()
    expect(frame.locator("#said")).to_have_text("no page, no cookie")
    expect(frame.locator("#sent")).to_have_text("not sent")
    assert page.locator(".preview iframe").get_attribute("sandbox") == "allow-scripts"
    shoot_views(page, "preview")
    page.locator(".code-block").get_by_role("button", name="Code").click()
    expect(page.locator(".preview")).to_have_count(0)
    expect(page.locator(".code-block pre")).to_be_visible()


def test_svg_is_shown(page: Page, upstream: FakeOpenAI) -> None:
    ask(page, upstream, SVG)
    page.get_by_role("button", name="Preview").click()
    expect(page.frame_locator(".preview iframe").locator("circle")).to_be_visible()


def test_other_code_has_no_preview(page: Page, upstream: FakeOpenAI) -> None:
    ask(page, upstream, "```python\nprint(1)\n```\n")
    expect(page.locator(".code-head")).to_be_visible()
    expect(page.get_by_role("button", name="Preview")).to_have_count(0)


def test_the_frame_has_no_origin_also_by_itself(page: Page, stack: Stack) -> None:
    answer = page.goto(f"{stack.url}/preview/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "connect-src 'none'" in policy
    assert "sandbox allow-scripts" in policy
    assert page.evaluate("self.origin") == "null"
