"""The settings as one sheet over the conversation: links, history, focus, forms, phones; and as pages of their own."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Playwright, expect

from tests.e2e.axe import violations
from tests.e2e.browsing import Watch, cookies_of, ended, send, shoot_views
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

SECTIONS = ("General", "Appearance", "Models", "Voice", "Notifications", "Data", "Account", "Devices", "Keys")


def open_settings(page: Page) -> None:
    page.locator(".account").click()
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_role("heading", level=1, name="General")).to_be_focused()


def go_to(page: Page, name: str, heading: str = "") -> None:
    page.get_by_role("dialog").get_by_role("link", name=name, exact=True).first.click()
    expect(page.get_by_role("dialog").get_by_role("heading", level=1, name=heading or name)).to_be_focused()


def test_every_section_by_keyboard_and_history(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    page.goto(f"{stack.url}/")
    page.locator("#text").fill("a draft")
    sheets = page.locator('link[rel="stylesheet"]')
    before = sheets.count()
    open_settings(page)
    dialog = page.get_by_role("dialog", name="Settings")
    expect(page).to_have_url(f"{stack.url}/accounts/settings/")
    assert sheets.count() > before, "their style sheet is loaded only now"
    for name in SECTIONS[1:]:
        go_to(page, name, "Keys and connections" if name == "Keys" else name)
        expect(dialog.locator("[aria-current=page]")).to_have_text(name)
        assert violations(page, "#settings-sheet") == []
    shoot_views(page, "settings-keys")
    page.go_back()
    expect(dialog.get_by_role("heading", level=1, name="Devices")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(f"{stack.url}/")
    expect(page.locator(".account")).to_be_focused()
    expect(page.locator("#text")).to_have_value("a draft")
    page.go_forward()
    expect(dialog.get_by_role("heading", level=1, name="General")).to_be_visible()
    page.go_back()
    expect(dialog).to_be_hidden()
    assert (watch.complaints, watch.foreign) == ([], [])


def test_what_is_chosen_holds_on_the_page_below(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/")
    open_settings(page)
    page.get_by_label("The Enter key").select_option("Always makes a new line")
    go_to(page, "Appearance")
    page.get_by_label("Theme").select_option("Dark")
    page.get_by_label("Spacing").select_option("Compact")
    shoot_views(page, "settings-appearance")
    go_to(page, "Keys", "Keys and connections")
    page.get_by_role("checkbox", name="Use the single-key shortcuts").uncheck()
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("data-density", "compact")
    expect(page.locator("#theme input[value=dark]")).to_be_checked()
    expect(page.locator("#text")).to_have_js_property("enterKeyHint", "enter")
    page.locator(".account").click()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    expect(page.locator("#single-keys")).not_to_be_checked()
    page.goto(f"{stack.url}/accounts/settings/appearance/")
    for name in ("Theme", "Spacing"):
        page.get_by_label(name).select_option(value="")
    page.goto(f"{stack.url}/accounts/settings/keys/")
    page.get_by_label("Use the single-key shortcuts").check()
    page.goto(f"{stack.url}/accounts/settings/")
    page.get_by_label("The Enter key").select_option(value="")


def test_forms_and_pages_below_a_section_stay_in_the_sheet(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    page.goto(f"{stack.url}/")
    open_settings(page)
    dialog = page.get_by_role("dialog", name="Settings")
    go_to(page, "Account")
    page.get_by_role("textbox", name="Name", exact=True).fill("\u2066")
    page.get_by_role("button", name="Save name").click()
    expect(dialog.get_by_text("Enter a name that can be seen.").first).to_be_visible()
    expect(page.get_by_role("textbox", name="Name", exact=True)).to_be_focused()
    page.get_by_role("textbox", name="Name", exact=True).fill("Alice")
    page.get_by_role("button", name="Save name").click()
    expect(dialog.get_by_text("Your name has been saved.").first).to_be_visible()
    go_to(page, "Models")
    go_to(page, "Presets")
    expect(page).to_have_url(f"{stack.url}/presets/")
    dialog.get_by_role("link", name="New preset").click()
    expect(dialog.get_by_role("heading", level=1, name="New preset")).to_be_focused()
    page.get_by_role("textbox", name="Name", exact=True).fill("Pirate")
    page.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("Pirate").first).to_be_visible()
    assert violations(page, "#settings-sheet") == []
    shoot_views(page, "settings-presets")
    dialog.get_by_role("link", name="Models").last.click()  # back to the section
    expect(dialog.get_by_role("heading", level=1, name="Models")).to_be_focused()
    stack.sql("DELETE FROM chat_preset")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page).to_have_url(f"{stack.url}/")
    assert (watch.complaints, watch.foreign) == ([], [])


def test_a_conversation_that_begins_meanwhile_keeps_its_address(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/")
    with page.expect_request("**/accounts/settings/"):
        send(page, "Hello [[tokens=3]]")
        page.evaluate("document.querySelector('#account-menu a').click()")
    ended(page)
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(f"{stack.url}/c/{page.locator('#bar').get_attribute('data-id')}/")


def test_an_address_of_the_sheet_is_a_page_after_a_reload(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.url}/")
    open_settings(page)
    page.reload()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1, name="General")).to_be_visible()
    page.go_back()
    expect(page.locator("#text")).to_be_visible()


def test_the_settings_without_scripts(browser: Browser, playwright: Playwright, stack: Stack) -> None:
    context = browser.new_context(storage_state=cookies_of(playwright, stack), java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{stack.url}/accounts/settings/")
    for name in SECTIONS:
        page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        expect(page.locator("[aria-current=page]")).to_have_text(name)
    page.goto(f"{stack.url}/accounts/settings/data/")
    page.set_input_files("#import-file", files=FilePayload(name="a.json", mimeType="application/json", buffer=b"{}"))
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("It is imported in the background.")).to_be_visible()
    context.close()


def chats(*names: str) -> list[dict[str, object]]:
    def one(name: str) -> dict[str, object]:
        said = {"uuid": name, "sender": "human", "text": f"Question {name}", "created_at": "2025-03-01T10:00:00Z"}
        return {"uuid": name, "name": name, "chat_messages": [said]}

    return [one(name) for name in names]


def test_importing_a_file_with_progress_report_and_undo(page: Page, stack: Stack) -> None:
    watch = Watch(page, stack.url)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("conversations.json", json.dumps([*chats("Oslo trip", "Rome trip"), None]))
    page.goto(f"{stack.url}/")
    open_settings(page)
    go_to(page, "Data")
    dialog = page.get_by_role("dialog", name="Settings")
    page.get_by_role("button", name="Import", exact=True).click()
    assert page.evaluate("!document.querySelector('#import-file').validity.valid"), "a file is needed"
    page.set_input_files(
        "#import-file", files=FilePayload(name="claude.zip", mimeType="application/zip", buffer=packed.getvalue())
    )
    page.get_by_role("button", name="Import", exact=True).click()
    row = dialog.get_by_role("listitem").filter(has_text="claude.zip")
    expect(row).to_contain_text("2 new conversations · 1 left out", timeout=30_000)
    shoot_views(page, "settings-imported")
    assert violations(page, "#settings-sheet") == []
    row.get_by_role("link", name="Report of the import of claude.zip").click()
    expect(dialog.get_by_text("This is not a conversation: it is not an object.")).to_be_visible()
    shoot_views(page, "settings-report")
    go_to(page, "Data")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator("#conversations").get_by_text("Oslo trip")).to_be_visible()
    open_settings(page)
    go_to(page, "Data")
    row.get_by_role("button", name="Undo the import of claude.zip").click()
    expect(dialog.get_by_text("2 imported conversations are in the trash now.").first).to_be_visible()
    expect(row).to_contain_text("what was imported is in the trash")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator("#conversations").get_by_text("Oslo trip")).to_have_count(0)
    assert (watch.complaints, watch.foreign) == ([], [])


def test_each_shortcut_stands_beside_its_keys(page: Page, stack: Stack) -> None:
    """On the page, where nothing is read aloud, and in the sheet."""
    keys = """() => [...document.querySelectorAll(".settings-body dt")].map((dt) => {
      if (!dt.checkVisibility()) return "";
      const [name, keys] = [dt, dt.nextElementSibling].map((one) => one.getBoundingClientRect());
      return name.top === keys.top && name.right <= keys.left ? "" : dt.textContent;
    }).filter(Boolean)"""
    page.goto(f"{stack.url}/accounts/settings/keys/")
    expect(page.locator(".settings-body dt").first).to_be_visible()
    assert page.evaluate(keys) == []
    page.goto(f"{stack.url}/")
    open_settings(page)
    go_to(page, "Keys")
    expect(page.locator(".settings-body dt").first).to_be_visible()
    assert page.evaluate(keys) == []
