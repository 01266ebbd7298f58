"""The picker with 400 models: by keyboard, by touch, with favourites; and how it finds and ranks them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Watch, ended, send, shoot, shoot_views
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

COUNT = 400
SETUP = "from workers.models import Endpoint; Endpoint.objects.create(name='Router', base_url={url!r}, position=50)"


def entry(number: int) -> dict[str, Any]:
    """Of crow-104 and crow-105 the list says whether they call tools."""
    tools = {104: {"supported_parameters": ["temperature"]}, 105: {"supported_parameters": ["tools"]}}
    return {
        **tools.get(number, {}),
        "id": f"maker/crow-{number:03}",
        "context_length": 131_072,
        "pricing": {"prompt": "0.000003", "completion": "0.000015"},
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    }


@pytest.fixture(scope="module")
def router(stack: Stack) -> Iterator[FakeOpenAI]:
    """An endpoint with 400 models beside the stack's own two."""
    with FakeOpenAI(models=[entry(number) for number in range(COUNT)]) as server:
        stack.manage("shell", "--no-imports", "-c", SETUP.format(url=server.url))
        yield server
    for table in ("workers_endpoint", "chat_favouritemodel", "chat_modelchoice", "chat_knownmodel"):
        stack.sql(f"DELETE FROM {table}")  # noqa: S608 -- other tests have the stack to themselves again


@pytest.fixture
def picker(page: Page, router: FakeOpenAI) -> Page:
    """A new conversation's page once all models are offered, nothing chosen or starred."""
    ask = "fetch('/models/').then((found) => found.json()).then((list) => list.models.length)"
    for _ in range(80):
        if page.evaluate(ask) == COUNT + 2:
            break
        page.wait_for_timeout(500)
    page.reload()
    expect(page.locator("#model")).to_contain_text("small")
    return page


@pytest.fixture(autouse=True)
def forget_preferences(stack: Stack) -> Iterator[None]:
    """Those of the tests before, also of another file, and what a test leaves."""
    for table in ("chat_favouritemodel", "chat_modelchoice"):
        stack.sql(f"DELETE FROM {table}")  # noqa: S608 -- a constant
    yield
    for table in ("chat_favouritemodel", "chat_modelchoice"):
        stack.sql(f"DELETE FROM {table}")  # noqa: S608 -- likewise


def active(page: Page) -> str:
    """The label of the option that the field names as active; it must be in view."""
    row = page.locator(".choice.is-active")  # the list may have come again meanwhile, in another order
    expect(row).to_be_in_viewport(ratio=0.9)
    name = row.locator(".choice-name").inner_text()
    expect(page.get_by_role("combobox")).to_have_attribute("aria-activedescendant", str(row.get_attribute("id")))
    return name


@pytest.mark.timeout(180)
def test_by_keyboard_alone(picker: Page, stack: Stack, router: FakeOpenAI) -> None:
    page, watch = picker, Watch(picker, stack.url)
    page.locator("#text").focus()
    page.keyboard.press("Alt+m")
    field = page.get_by_role("combobox", name="Search models")
    expect(field).to_be_focused()
    options = page.get_by_role("option")
    expect(options.first).to_have_attribute("aria-setsize", str(COUNT + 2))
    assert active(page) == "small", "what is chosen is where the keys begin"
    assert options.count() < 60, "only what can be seen is made"
    page.keyboard.press("ArrowDown")
    assert active(page) in ("crow-000", "large")  # "large", if an earlier test has made "small" recently used
    page.keyboard.press("End")
    assert active(page) == "crow-399"
    expect(options).to_have_count(COUNT + 2)
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("combobox").get_attribute("aria-activedescendant") == "choice-0", "around the end"
    page.keyboard.press("ArrowUp")
    assert active(page) == "crow-399"
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    assert page.get_by_role("combobox").get_attribute("aria-activedescendant") == "choice-8"

    page.keyboard.type("router crow39")
    expect(options).to_have_count(10)
    expect(page.locator("#models [role=status]")).to_have_text("10 results")
    expect(options.first).to_have_accessible_name("crow-390, Router, sees images, 128k tokens, high price")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#model")).to_contain_text("small")

    page.keyboard.press("Alt+m")
    page.keyboard.type("017")
    expect(options).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    star = page.get_by_role("button", name="Add to favourites: crow-017")
    expect(star).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove from favourites: crow-017")).to_be_visible()
    field.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#model")).to_have_text("Model:crow-017")
    send(page, "Who is there? [[tokens=3]]")
    ended(page)
    assert router.chats[-1].body["model"] == "maker/crow-017"

    # It is the last choice, a favourite and recently used wherever the person logs in.
    page.goto(f"{stack.url}/")
    expect(page.locator("#model")).to_contain_text("crow-017")
    page.locator("#model").click()
    expect(page.get_by_role("group", name="Favourites").get_by_role("option")).to_have_count(1)
    assert active(page) == "crow-017"
    shoot(page, "picker-400")
    assert not watch.complaints, watch.complaints


def test_a_model_without_tools_says_so(picker: Page) -> None:
    page = picker
    page.locator("#model").click()
    page.get_by_role("combobox").fill("crow-10")
    rows = page.get_by_role("option")
    expect(rows).to_have_count(10)
    without, with_tools = rows.filter(has_text="crow-104"), rows.filter(has_text="crow-105")
    expect(without).to_have_accessible_name("crow-104, Router, sees images, no tools, 128k tokens, high price")
    expect(without.locator(".choice-about")).to_contain_text("No tools")
    expect(without.locator(".mark-tools")).to_have_count(0)
    expect(with_tools).to_have_accessible_name("crow-105, Router, sees images, calls tools, 128k tokens, high price")
    expect(page.locator("#models-list").get_by_text("No tools")).to_have_count(1)  # of the others nobody knows
    without.hover()
    shoot_views(page, "picker-no-tools")


def test_a_conversation_keeps_its_model_whatever_another_tab_chooses(picker: Page, stack: Stack) -> None:
    page = picker
    send(page, "Hello [[tokens=1]]")
    ended(page)
    other = page.context.new_page()
    other.goto(f"{stack.url}/")
    other.locator("#model").click()
    other.get_by_role("combobox").fill("crow-005")
    other.get_by_role("option", name="crow-005").click()
    expect(other.locator("#model")).to_contain_text("crow-005")
    page.reload()
    expect(page.locator("#model")).to_contain_text("small")
    send(page, "And now? [[tokens=1]]")
    ended(page, 2)
    other.close()


def test_by_touch_it_is_a_sheet(browser: Browser, login: Any, stack: Stack, picker: Page) -> None:
    context = browser.new_context(
        storage_state=login, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.goto(f"{stack.url}/")
    page.locator("#model").tap()
    rows = page.get_by_role("option")
    expect(rows.first).to_be_visible()
    expect(page.get_by_role("combobox")).not_to_be_focused()  # the phone's keyboard would cover the list
    sheet = page.locator("#models").bounding_box()
    assert sheet is not None
    assert (sheet["x"], sheet["width"], round(sheet["y"] + sheet["height"])) == (0, 390, 844)
    small = page.evaluate(
        """() => [...document.querySelectorAll("#model, #models [role=option], #models .choice-star, #models button")]
            .filter((one) => one.checkVisibility())
            .map((one) => [one.className || one.id, one.getBoundingClientRect()])
            .filter(([, box]) => box.height < 44 || box.width < 44).map(([name]) => name)"""
    )
    assert not small
    page.get_by_role("option", name="crow-002").locator(".choice-star").tap()
    expect(page.get_by_role("option", name="crow-002")).to_have_accessible_name(
        "crow-002, Router, sees images, 128k tokens, high price, favourite"
    )
    page.get_by_role("option", name="crow-003").tap()
    expect(page.locator("#models")).to_be_hidden()
    expect(page.locator("#model")).to_contain_text("crow-003")
    shoot(page, "picker-phone")
    context.close()


RANKED = """async (query) => {
  const list = await import("antiphon/conversation/model-list");
  const models = [
    { id: "openai/gpt-5", label: "GPT-5", endpoint: "OpenRouter" },
    { id: "openai/gpt-5-mini", label: "GPT-5 mini", endpoint: "OpenRouter" },
    { id: "org/mini-gpt", label: "Minigpt", endpoint: "GPU box" },
    { id: "café-2", label: "Café", endpoint: "GPU box" },
    { id: "llama3.2:3b", label: "llama3.2:3b", endpoint: "Ollama" },
  ];
  return list.search(models.map((model, at) => list.modelEntry(model, at)), query).map((entry) => entry.value);
}"""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("gpt", ["openai/gpt-5", "openai/gpt-5-mini", "org/mini-gpt"]),  # the beginning of a label comes first
        ("mini", ["org/mini-gpt", "openai/gpt-5-mini"]),
        ("gpt5", ["openai/gpt-5", "openai/gpt-5-mini"]),  # without the dash
        ("GPT openrouter", ["openai/gpt-5", "openai/gpt-5-mini"]),  # words anywhere: label and endpoint
        ("cafe", ["café-2"]),
        ("org/", ["org/mini-gpt"]),  # the id
        ("llama 3b", ["llama3.2:3b"]),
        ("zzz", []),
        ("  ", ["openai/gpt-5", "openai/gpt-5-mini", "org/mini-gpt", "café-2", "llama3.2:3b"]),
    ],
)
def test_what_a_query_finds(bare_page: Page, query: str, found: list[str]) -> None:
    assert bare_page.evaluate(RANKED, query) == found


def test_groups_windows_and_prices(bare_page: Page) -> None:
    arranged = bare_page.evaluate(
        """async () => {
      const list = await import("antiphon/conversation/model-list");
      const models = ["b10", "b9", "fav", "used", "both"].map((id, at) =>
        list.modelEntry({ id, label: id, endpoint: at < 2 ? "Here" : "There" }, at));
      const titles = { presets: "P", favourites: "F", recent: "R", models: "M" };
      const preset = list.presetEntry({ id: "1", name: "Poet", description: "", model: "" }, false);
      return list.arrange([preset], models, ["both", "fav", "gone"], ["both", "used"], titles)
        .map((group) => [group.title, group.entries.map((entry) => entry.value)]);
    }"""
    )
    assert arranged == [["P", ["preset:1"]], ["F", ["both", "fav"]], ["R", ["used"]], ["Here", ["b9", "b10"]]]
    windows = bare_page.evaluate(
        """async () => {
      const { shortWindow } = await import("antiphon/conversation/model-list");
      return [512, 8192, 32000, 131072, 128000, 200000, 1048576, 1000000, 2097152].map(shortWindow);
    }"""
    )
    assert windows == ["512", "8k", "32k", "128k", "128k", "200k", "1M", "1M", "2M"]
    prices = bare_page.evaluate(
        """async () => {
      const { shortPrice, longPrice } = await import("antiphon/conversation/model-list");
      const prices = [{ level: 0 }, { level: 3 }, { level: 1, input: "0.25", output: "2", currency: "EUR" }];
      return prices.map((price) => [shortPrice(price), longPrice(price)]);
    }"""
    )
    assert prices == [["free", "free"], ["$$$", "high price"], ["$", "€0.25 in, €2.00 out per million tokens"]]


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["maker/crow-7", "small"], ["crow-7", "small"]),
        (["/models/tiny.gguf", "C:\\models\\Big.GGUF/"], ["tiny", "Big"]),
        (["openai/gpt-5", "azure/gpt-5", "azure/o5"], ["openai/gpt-5", "azure/gpt-5", "o5"]),
        (["same/one", "same/one"], ["one", "one"]),
        (["/", ""], ["/", ""]),
    ],
)
def test_models_beside_each_other_have_short_names(bare_page: Page, ids: list[str], names: list[str]) -> None:
    script = """async (ids) => (await import("antiphon/conversation/model-list")).shortNames(ids)"""
    assert bare_page.evaluate(script, ids) == names
