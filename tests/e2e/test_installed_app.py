"""What makes the page an app on a phone: the manifest, what other apps share with it, the Enter key, little height."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.e2e.browsing import Watch, cookies_of, ended, send, shoot, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack


@pytest.fixture
def phone(browser: Browser, playwright: Playwright, stack: Stack) -> Iterator[Page]:
    """Alice's page on a phone with a touch screen."""
    cookies = cookies_of(playwright, stack)
    context = browser.new_context(
        storage_state=cookies, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(f"{stack.url}/")
    yield page
    context.close()


def test_a_browser_can_install_it(page: Page, stack: Stack) -> None:
    found = page.context.new_cdp_session(page).send("Page.getAppManifest")
    assert found["errors"] == []
    assert found["url"] == f"{stack.url}/manifest.webmanifest"
    answer = page.context.request.get(found["url"])
    assert answer.headers["content-type"].startswith("application/manifest+json")
    manifest = answer.json()
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/", "/", "standalone")
    for icon in manifest["icons"]:
        image = page.context.request.get(urljoin(stack.url, icon["src"]))
        assert image.status == 200
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", image.body()[16:24])
            assert icon["sizes"] == f"{width}x{height}"
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
    for entry in manifest["shortcuts"]:
        assert page.context.request.get(urljoin(stack.url, entry["url"])).status == 200


def test_what_another_app_shares(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/?title=A+page&text=Look+at+%3Cb%3Ethis&url=https%3A%2F%2Fexample.org%2Fx&temporary=1")
    expect(page.locator("#text")).to_have_value("A page\nLook at <b>this\nhttps://example.org/x")
    expect(page).to_have_url(f"{stack.url}/?temporary=1")
    page.reload()
    expect(page.locator("#text")).to_have_value("A page\nLook at <b>this\nhttps://example.org/x")  # the draft, once
    page.locator("#text").fill("")


def test_the_enter_key_does_what_it_reads(page: Page, phone: Page, stack: Stack) -> None:
    watch = Watch(phone, stack.url)
    field = phone.locator("#text")
    expect(field).to_have_js_property("enterKeyHint", "enter")
    field.fill("One")
    field.press("End")
    field.press("Enter")
    expect(field).to_have_value("One\n")
    # As chosen in the settings of this browser.
    phone.goto(f"{stack.url}/accounts/settings/")
    assert phone.evaluate("() => document.documentElement.scrollWidth") <= 390
    phone.get_by_label("The Enter key").select_option("Always sends")
    phone.goto(f"{stack.url}/")
    field.fill("Two [[tokens=3]]")
    expect(field).to_have_js_property("enterKeyHint", "send")
    field.press("Enter")
    ended(phone)
    # With a keyboard it sends, unless chosen otherwise.
    expect(page.locator("#text")).to_have_js_property("enterKeyHint", "send")
    page.goto(f"{stack.url}/accounts/settings/")
    page.get_by_label("The Enter key").select_option("Always makes a new line")
    page.goto(f"{stack.url}/")
    expect(page.locator("#composer-hint")).to_have_text("Ctrl + Enter to send, Enter for a new line")
    page.locator("#text").fill("Three [[tokens=3]]")
    page.locator("#text").press("Enter")
    expect(page.locator("#text")).to_have_value("Three [[tokens=3]]\n")
    page.locator("#text").press("Control+Enter")
    ended(page)
    assert (watch.complaints, watch.foreign) == ([], [])


def test_text_size_and_spacing_hold_at_once_and_after_a_reload(page: Page, stack: Stack) -> None:
    other = page.context.new_page()
    other.goto(f"{stack.url}/")
    page.goto(f"{stack.url}/accounts/settings/appearance/")
    before = page.evaluate("() => parseFloat(getComputedStyle(document.documentElement).fontSize)")
    page.get_by_label("Text size").select_option("Very large")
    page.get_by_label("Spacing").select_option("Compact")
    page.get_by_label("Theme").select_option("Dark")
    shoot_views(page, "appearance")
    size = "() => parseFloat(getComputedStyle(document.documentElement).fontSize)"
    assert page.evaluate(size) == pytest.approx(before * 1.3125)
    other.reload()
    assert other.evaluate(size) == pytest.approx(before * 1.3125)
    expect(other.locator("html")).to_have_attribute("data-density", "compact")
    expect(other.locator("html")).to_have_attribute("data-theme", "dark")
    expect(other.get_by_role("heading", name="What’s on your mind?")).to_be_in_viewport(ratio=1)
    shoot_views(other, "larger")
    page.reload()
    expect(page.get_by_label("Text size")).to_have_value("larger")
    for name in ("Text size", "Spacing", "Theme"):
        page.get_by_label(name).select_option(value="")
    expect(page.locator("html")).not_to_have_attribute("data-text", "larger")
    other.close()


def test_a_zoom_of_400_percent_leaves_room_to_read(page: Page) -> None:
    send(page, "Hello [[tokens=60]]")
    ended(page)
    page.set_viewport_size({"width": 320, "height": 256})
    page.locator("#scroller").focus()
    assert page.evaluate("() => document.getElementById('scroller').clientHeight") >= 140
    shoot(page, "zoom-400")
    page.locator("#text").focus()
    if find_spec("pocketsphinx"):  # the tests' recogniser; without one there is no button
        expect(page.get_by_role("button", name="Record voice")).to_be_visible()
    assert page.evaluate("() => document.getElementById('scroller').clientHeight") >= 90
    shoot(page, "zoom-400-writing")
    for _ in range(20):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("() => document.activeElement.closest('.bar') !== null"):
            break
    expect(page.locator("#chat-menu")).to_be_in_viewport()
    assert page.evaluate("() => document.activeElement.closest('.bar') !== null")


def test_printing(page: Page, stack: Stack) -> None:
    send(page, "Print this [[tokens=60]]")
    ended(page)
    page.emulate_media(media="print", color_scheme="dark")
    for hidden in (".sidebar", "#composer", "#people-button", ".message-foot >> nth=0"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.locator("#title")).to_be_visible()
    page.emulate_media(media="screen", color_scheme="light")
    page.context.add_init_script("window.print = () => { window.printed = true; }")
    page.locator("#chat-menu").click()
    with page.expect_popup() as popup:
        page.get_by_role("menuitem", name="Print or save as PDF").click()
    paper = popup.value
    watch = Watch(paper, stack.url)
    paper.wait_for_function("() => window.printed")
    expect(paper.locator(".message-author")).to_have_text(["Alice", "small"])
    expect(paper.locator(".message-body").first).to_contain_text("Print this")
    expect(paper.locator(".message-body").last).to_contain_text("tok59")
    shoot_views(paper, "print")
    paper.emulate_media(media="print")
    expect(paper.get_by_role("button", name="Print or save as PDF")).to_be_hidden()
    assert (watch.complaints, watch.foreign) == ([], [])
    assert paper.goto(f"{stack.url}/c/00000000-0000-4000-8000-000000000000/print/").status == 404  # type: ignore[union-attr]
