"""What an image will cost is said before it is sent: by its vendor's formula if known, with a price if it is shown."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.attaching import choose, picture, uploaded
from tests.e2e.browsing import known_model, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)

# Examples of the vendors' own documentation, as far as it has some: (model, width, height, tokens, published).
EXAMPLES = [
    ("gpt-4o", 1024, 1024, 765, True),
    ("openai/gpt-4o-2024-08-06", 2048, 4096, 1105, True),
    ("gpt-4o-mini", 512, 512, 8500, True),
    ("gpt-4.1-mini", 1024, 1024, 1659, True),
    ("gpt-4.1-mini", 1800, 2400, 2353, True),  # 1,452 patches
    ("o4-mini", 1024, 1024, 1762, True),
    ("gpt-5-mini", 1024, 1024, 1229, True),
    ("gpt-5.4", 1080, 1350, 1755, True),
    ("gpt-5.4-mini", 2048, 2048, 3000, True),  # 2,500 patches
    ("gpt-5.6", 2048, 2048, 4916, True),
    ("gpt-5", 1024, 1024, 630, True),
    ("gpt-5.1-chat-latest", 1024, 1024, 630, True),
    ("gpt-5.2", 1024, 1024, 1399, False),  # its factor is not published
    ("gpt-5.1-codex-mini", 1024, 1024, 1399, False),
    ("claude-sonnet-4-6", 200, 200, 64, True),
    ("claude-sonnet-4-6", 1000, 1000, 1296, True),
    ("claude-sonnet-4-6", 1092, 1092, 1521, True),
    ("claude-sonnet-4-6", 1920, 1080, 1560, True),
    ("claude-sonnet-4-6", 2000, 1500, 1564, True),
    ("claude-sonnet-4-6", 3840, 2160, 1560, True),
    ("claude-sonnet-4-20250514", 1075, 1520, 1551, True),  # as 924 x 1307
    ("claude-opus-4-7", 1075, 1520, 2145, True),
    ("anthropic/claude-opus-4.8", 2000, 1500, 3888, True),
    ("claude-sonnet-5", 1000, 1000, 1296, True),
    ("claude-3-5-sonnet-latest", 2000, 1500, 1564, True),
    ("gemini-2.5-flash", 384, 384, 258, True),
    ("gemini-2.5-flash", 960, 540, 1548, True),
    ("gemini-3-pro-preview", 960, 540, 1120, True),
    ("gemini-4-argon", 1000, 750, 1000, False),
    ("qwen2.5vl:7b", 560, 560, 400, True),
    ("qwen3-vl:8b", 640, 640, 400, True),
    ("pixtral-12b", 1024, 1024, 4160, True),
    ("llama3", 1000, 750, 1000, False),
    ("llama3", 10, 10, 100, False),
    ("gpt-4o", 1080, 9000, 5525, True),  # cut into five
]
SCRIPTS = Path(__file__).parents[2] / "chat/static/chat/js"
TEXTS = """
export const LOCALE = "en";
export const t = (text, values = {}) => text.replace(/\\{(\\w+)\\}/g, (_, name) => values[name]);
export const tn = (one, many, count, values) => t(count === 1 ? one : many, values);
"""
COSTS = """([module, all]) => import(module).then(({ costOf }) => all.map(([model, width, height]) => {
  const { tokens, published } = costOf(model, [width, height]);
  return [model, width, height, tokens, published];
}))"""
NOTES = """([module, models]) => import(module).then(({ costNote }) => {
  const note = document.createElement("p");
  document.createElement("div").append(note);
  const file = { kind: "image", width: 1024, height: 1024 };
  const box = { note, entries: [{ file }, { file: null }, { file: { kind: "text" } }] };
  return models.map((model) => {
    note.nextElementSibling?.remove();
    costNote(box, () => [model].flat())();
    const made = note.nextElementSibling;
    return made.hidden ? null : made.textContent;
  });
})"""


def module(source: str) -> str:
    """An address of a script, which a page without a content security policy can import."""
    return "data:text/javascript;base64," + base64.b64encode(source.encode()).decode()


@pytest.fixture
def empty(page: Page) -> Page:
    """A page where the scripts can be tried by themselves: those of the site are in bundles."""
    page.goto("about:blank")
    return page


def test_the_formulas_give_what_vendors_have_published(empty: Page) -> None:
    script = module((SCRIPTS / "files/image-cost.js").read_text())
    assert empty.evaluate(COSTS, [script, EXAMPLES]) == [list(one) for one in EXAMPLES]


def test_the_words_with_and_without_a_price(empty: Page) -> None:
    exact = {"level": 2, "input": "2.5", "output": "10", "currency": "USD"}
    models = [
        {"id": "gpt-4o", "price": exact},
        {"id": "gpt-4o", "price": {"level": 2}},
        {"id": "llama3", "price": {**exact, "input": "0.01"}},
        {"id": "llama3"},
        {"id": "gpt-4o", "price": {**exact, "level": 0, "input": "0"}},
        {"id": "llama3", "price": {**exact, "input": "0"}},
        {"id": "gpt-4o", "sees": False},
        [{"id": "gpt-4o", "price": exact}, {"id": "gpt-5", "price": exact}],
        [{"id": "gpt-4o", "price": exact}, {"id": "gpt-5"}],
    ]
    costs = module((SCRIPTS / "files/image-cost.js").read_text())
    source = (SCRIPTS / "files/cost-note.js").read_text()
    source = source.replace("antiphon/files/image-cost", costs).replace("antiphon/lib/texts", module(TEXTS))
    assert empty.evaluate(NOTES, [module(source), models]) == [
        "The image costs 765 tokens, which is $0.0019.",
        "The image costs 765 tokens.",
        "The image costs about 1,399 tokens, which is about $0.000014.",
        "The image costs about 1,399 tokens.",
        "The image uses 765 tokens, free of charge.",
        "The image uses about 1,399 tokens, free of charge.",
        None,
        "The image costs 1,395 tokens, which is $0.0035.",
        "The image costs 1,395 tokens.",
    ]


def test_the_note_follows_the_files_and_the_model(page: Page, stack: Stack) -> None:
    note = page.locator("#composer .attached-cost")
    choose(page, picture("wide.png", (600, 500)))
    uploaded(page)
    expect(note).to_have_text("The image costs about 400 tokens.")
    choose(page, picture("other.png", (600, 500)))
    uploaded(page, 2)
    expect(note).to_have_text("The images cost about 800 tokens.")
    shoot_views(page, "image-cost")
    page.get_by_role("button", name="Remove other.png").click()
    expect(note).to_have_text("The image costs about 400 tokens.")
    with known_model(page, stack, "small", sees=False):
        page.reload()
        uploaded(page)
        expect(page.locator(".attached-note")).to_contain_text("small does not see images")
        expect(note).to_be_hidden()
