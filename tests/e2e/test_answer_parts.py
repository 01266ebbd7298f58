"""Code blocks, tables, diagrams and images of answers: what one can do with them in the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.browsing import Watch, ended, send, shoot
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)

DRAWN_MS = 70_000  # the page gives up after 30 s for the frame and 30 s for a diagram

LONG: Final = "```python\n" + "".join(f"print({number})\n" for number in range(60)) + "```\n"
TABLE: Final = '| Name | Sum |\n|---|---:|\n| a "b", c<br>d | $x^2$ |\n| =1+1 | -5 |\n'
GRAPH: Final = "graph TD\n  A[Start] --> B{Is it?}\n  B -->|Yes| C[OK]\n  B -->|No| D[Not OK]\n"
WIDTH: Final = "(image) => image.decode().then(() => image.naturalWidth)"


def ask(page: Page, upstream: FakeOpenAI, text: str) -> None:
    upstream.play(Script(text=text, rate=500))
    send(page, "Show me")
    ended(page)


def saved(page: Page, name: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    path = download.value.path()
    return download.value.suggested_filename, Path(path).read_bytes()


def test_long_code_folds_once_it_is_read_again(page: Page, upstream: FakeOpenAI) -> None:
    ask(page, upstream, f"{LONG}\nand\n\n```js\nlet a;\n```\n")
    expect(page.locator(".code-block")).to_have_count(2)
    expect(page.locator(".is-folded")).to_have_count(0)  # it was read while it came
    page.reload()
    expect(page.locator(".is-folded")).to_have_count(1)
    page.get_by_role("button", name="Show all 60 lines").click()
    expect(page.locator(".is-folded")).to_have_count(0)
    expect(page.locator(".code-block pre").first).to_be_focused()


def test_what_the_browser_finds_in_folded_code_is_shown(page: Page, upstream: FakeOpenAI) -> None:
    ask(page, upstream, LONG)
    page.reload()
    block = page.locator(".is-folded pre")
    block.evaluate("(pre) => pre.scrollTo(0, 200)")
    expect(page.locator(".is-folded")).to_have_count(0)


def test_code_is_saved_under_its_languages_ending_and_wraps_when_wanted(page: Page, upstream: FakeOpenAI) -> None:
    line = f"print('{'long ' * 60}')\n"
    ask(page, upstream, f"```python\n{line}```\n")
    assert saved(page, "Download") == ("code.py", line.encode())
    pre = page.locator(".code-block pre")
    assert pre.evaluate("(pre) => pre.scrollWidth > pre.clientWidth")
    page.get_by_role("button", name="Wrap long lines").click()
    assert pre.evaluate("(pre) => pre.scrollWidth <= pre.clientWidth")
    page.reload()
    assert pre.evaluate("(pre) => pre.scrollWidth <= pre.clientWidth"), "it is remembered"
    page.get_by_role("button", name="Wrap long lines").click()
    assert pre.evaluate("(pre) => pre.scrollWidth > pre.clientWidth")


def test_a_table_as_csv(page: Page, context: BrowserContext, upstream: FakeOpenAI) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, upstream, TABLE)
    name, content = saved(page, "Download CSV")
    assert name == "table.csv"
    wanted = 'Name,Sum\r\n"a ""b"", c\nd",$x^2$\r\n\'=1+1,-5\r\n'
    assert content.decode("utf-8-sig") == wanted
    assert content.startswith(b"\xef\xbb\xbf"), "spreadsheets read UTF-8 by its mark"
    page.get_by_role("button", name="Copy as CSV").click()
    expect(page.get_by_role("log")).to_contain_text("Copied")
    page.locator("#text").press("Control+V")
    assert page.locator("#text").input_value() == wanted.replace("\r\n", "\n")


def test_a_diagram_is_drawn_when_it_is_finished(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    ask(page, upstream, f"A graph:\n\n```mermaid\n{GRAPH}```\n\nThat is all.\n")
    image = page.locator(".diagram img")
    expect(image).to_be_visible(timeout=DRAWN_MS)
    assert image.evaluate(WIDTH) > 100
    expect(page.locator(".code-block pre")).to_be_hidden()
    frame = page.locator("iframe.diagram-frame")
    expect(frame).to_have_attribute("sandbox", "allow-scripts")
    shoot(page, "diagram")
    page.get_by_role("button", name="Code", exact=True).click()
    expect(page.locator(".code-block pre")).to_have_text(GRAPH.strip(), use_inner_text=True)
    page.get_by_role("button", name="Diagram", exact=True).click()
    name, content = saved(page, "SVG")
    assert name == "diagram.svg"
    assert b"Start" in content
    name, content = saved(page, "PNG")
    assert name == "diagram.png"
    assert content.startswith(b"\x89PNG")
    assert watch.complaints == []
    assert watch.foreign == []
    page.reload()
    expect(image).to_be_visible(timeout=DRAWN_MS)


def test_a_diagram_follows_the_theme(page: Page, upstream: FakeOpenAI) -> None:
    page.emulate_media(color_scheme="light")
    ask(page, upstream, f"```mermaid\n{GRAPH}```\n")
    image = page.locator(".diagram img")
    expect(image).to_be_visible(timeout=DRAWN_MS)
    light = str(image.get_attribute("src"))
    page.emulate_media(color_scheme="dark")
    expect(image).not_to_have_attribute("src", light, timeout=DRAWN_MS)
    assert image.evaluate(WIDTH) > 100


def test_a_large_diagram_is_drawn_on_a_press(page: Page, upstream: FakeOpenAI) -> None:
    lines = "".join(f"  A{number} --> A{number + 1}\n" for number in range(120))
    ask(page, upstream, f"```mermaid\ngraph LR\n{lines}```\n")
    page.get_by_role("button", name="Draw this large diagram").click()
    expect(page.locator(".diagram img")).to_be_visible(timeout=DRAWN_MS)


def test_a_diagram_that_cannot_be_drawn_says_why_and_the_next_one_is(page: Page, upstream: FakeOpenAI) -> None:
    ask(page, upstream, f"```mermaid\ngraph TD\n  A --> --> B[\n```\n\nand\n\n```mermaid\n{GRAPH}```\n")
    expect(page.locator("figcaption")).to_contain_text("This diagram can’t be drawn", timeout=DRAWN_MS)
    expect(page.locator(".code-block").first.locator("pre")).to_be_visible()
    expect(page.locator(".diagram img")).to_have_count(1, timeout=DRAWN_MS)


def test_a_diagram_is_drawn_where_the_answer_ended_before_the_parser_was_loaded(
    page: Page, upstream: FakeOpenAI
) -> None:
    """Before, the finished answer was merged into the plain text, and nothing was drawn: its code had moved."""
    held: list[Route] = []
    page.route("**/js/markdown/blocks*", lambda route: held.append(route))
    ask(page, upstream, f"```mermaid\n{GRAPH}```\n")
    assert held, "the parser was not asked for"
    expect(page.locator(".diagram img")).to_be_visible(timeout=DRAWN_MS)
    for route in held:
        route.continue_()


def test_a_hostile_diagram_gets_nothing(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    label = "<img src=x onerror=parent.stolen=1><script>parent.stolen=1</script>"
    link = f'  click A "javascript:parent.stolen=1"\n  A["{label}"] --> B'
    ask(
        page,
        upstream,
        f'```mermaid\n%%{{init: {{"securityLevel": "loose", "htmlLabels": true}}}}%%\ngraph TD\n{link}\n```\n',
    )
    expect(page.locator(".diagram").first).to_be_visible(timeout=DRAWN_MS)
    assert page.evaluate("() => window.stolen") is None
    assert page.locator(".prose script, .diagram :not(img, figcaption)").count() == 0
    assert watch.foreign == []


def test_the_frame_has_no_origin_even_when_it_is_opened_alone(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/diagrams/frame/")
    assert page.evaluate("() => origin") == "null"
    page.wait_for_function("() => globalThis.mermaid")


def test_an_image_from_elsewhere_says_why_it_is_a_link(page: Page, upstream: FakeOpenAI) -> None:
    ask(page, upstream, "Look: ![a cat](https://example.com/cat.png)")
    link = page.get_by_role("link", name="a cat")
    expect(link).to_have_class("outside-image")
    expect(link).to_have_attribute("title", re.compile("^Images from other sites aren’t loaded"))
