"""The side sheet of a conversation's parameters: by keyboard, in two tabs, on a phone, and what a model refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import Watch, choose_model, ended, send, shoot
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)
PIRATE = "You are a pirate."


def sheet(page: Page) -> Any:
    return page.get_by_role("dialog", name="Parameters")


def opener(page: Page) -> Any:
    return page.locator("#parameters-button")


def close(page: Page, back: str = "#parameters-button") -> None:
    page.keyboard.press("Escape")
    expect(sheet(page)).to_be_hidden()
    expect(page.locator(back)).to_be_focused()
    expect(opener(page)).to_have_attribute("aria-expanded", "false")


def test_by_keyboard_before_and_after_the_first_message(page: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    watch = Watch(page, stack.url)
    expect(opener(page)).to_have_accessible_name("Parameters")
    page.locator("#text").focus()
    page.keyboard.press("Alt+p")
    expect(sheet(page)).to_be_visible()
    expect(page.get_by_role("heading", name="Parameters")).to_be_focused()
    expect(opener(page)).to_have_attribute("aria-expanded", "true")
    prompt = page.get_by_label("System prompt", exact=True)
    expect(prompt).to_have_attribute("placeholder", "The instructions of this site")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(prompt).to_be_focused()
    page.keyboard.type(PIRATE)
    page.keyboard.press("Tab")
    temperature = page.get_by_label("Temperature", exact=True)
    expect(temperature).to_be_focused()
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Enter a number from 0 to 2.")).to_be_visible()
    expect(temperature).to_have_attribute("aria-invalid", "true")
    temperature.fill("0,4")
    expect(page.get_by_text("Enter a number from 0 to 2.")).to_be_hidden()
    page.keyboard.press("Enter")
    page.get_by_label("Longest answer", exact=True).fill("300")
    page.get_by_role("radio", name="Default").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Low")).to_be_checked()
    expect(page.get_by_text("Will be sent with your message")).to_be_visible()
    shoot(page, "parameters-new")
    close(page, "#text")
    expect(opener(page)).to_have_accessible_name("Parameters, changed")
    page.reload()
    expect(opener(page)).to_have_accessible_name("Parameters, changed")

    send(page, "Ahoy [[tokens=3]]")
    ended(page)
    body = upstream.chats[-1].body
    assert (body["temperature"], body["max_tokens"], body["reasoning_effort"]) == (0.4, 300, "low")
    assert body["messages"][0] == {"role": "system", "content": PIRATE}

    # Another tab shows it, sees each change, and resets all of it.
    other = page.context.new_page()
    other.goto(page.url)
    expect(opener(other)).to_have_accessible_name("Parameters, changed")
    opener(other).click()
    expect(other.get_by_label("System prompt", exact=True)).to_have_value(PIRATE)
    opener(page).click()
    page.get_by_label("Temperature", exact=True).fill("1")
    page.get_by_label("Temperature", exact=True).press("Enter")
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    expect(other.get_by_label("Temperature", exact=True)).to_have_value("1")
    shoot(other, "parameters-desktop")
    other.get_by_role("button", name="Reset the system prompt").click()
    expect(page.get_by_label("System prompt", exact=True)).to_have_value("")
    other.get_by_role("button", name="Reset to defaults").click()
    expect(page.get_by_label("Longest answer", exact=True)).to_have_value("")
    expect(page.get_by_role("radio", name="Default")).to_be_checked()
    close(page)
    expect(opener(page)).to_have_accessible_name("Parameters")
    send(page, "And now? [[tokens=3]]")
    ended(page, 2)
    assert {"temperature", "max_tokens", "reasoning_effort"}.isdisjoint(upstream.chats[-1].body)
    assert upstream.chats[-1].body["messages"][0]["content"] != PIRATE
    other.close()
    assert not watch.complaints, watch.complaints


def test_what_a_model_refuses_is_said_where_it_matters(page: Page, upstream: FakeOpenAI) -> None:
    choose_model(page, "large")
    opener(page).click()
    page.get_by_label("Temperature", exact=True).fill("0.3")
    page.get_by_label("Temperature", exact=True).press("Enter")
    upstream.play(Script(status=400, said="Unsupported parameter: 'temperature' is not supported with this model."))
    send(page, "Hello [[tokens=3]]")
    answer = ended(page)
    expect(answer.locator(".message-meta")).to_contain_text("temperature not accepted")
    note = page.get_by_text("large does not accept a temperature. It is left out.")
    expect(note).to_be_visible()
    shoot(page, "parameters-refused")
    page.reload()
    expect(ended(page).locator(".message-meta")).to_contain_text("temperature not accepted")


def test_on_a_phone_it_covers_the_page(browser: Browser, login: Any, stack: Stack, page: Page) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(
            storage_state=login, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
            color_scheme="dark" if scheme == "dark" else "light",
        )  # fmt: skip
        context.set_default_timeout(20_000)
        phone = context.new_page()
        phone.goto(f"{stack.url}/")
        opener(phone).tap()
        assert sheet(phone).evaluate("sheet => [sheet.offsetLeft, sheet.offsetWidth]") == [0, 390]
        phone.get_by_label("System prompt", exact=True).fill("Rhyme.")
        expect(phone.get_by_text("Will be sent with your message")).to_be_visible()
        shoot(phone, f"parameters-phone-{scheme}")
        phone.get_by_role("button", name="Close").tap()
        expect(sheet(phone)).to_be_hidden()
        expect(opener(phone)).to_have_accessible_name(re.compile("changed"))
        shoot(phone, f"parameters-phone-closed-{scheme}")
        context.close()


def test_pictures_in_dark(page: Page, stack: Stack) -> None:
    page.emulate_media(color_scheme="dark")
    opener(page).click()
    page.get_by_label("System prompt", exact=True).fill("Answer in rhymes.\nNever use more than four lines.")
    expect(page.get_by_text("Will be sent with your message")).to_be_visible()
    shoot(page, "parameters-dark")
    page.goto(f"{stack.url}/accounts/instructions/")
    page.get_by_label("About you, and how to answer").fill("I breed axolotls.")
    shoot(page, "instructions-dark")
    page.get_by_role("button", name="Save instructions").click()
    expect(page.get_by_text("Your instructions have been saved.")).to_be_visible()
    page.goto(f"{stack.url}/")
    opener(page).click()
    expect(page.get_by_text("Your own instructions are added to your messages.")).to_be_visible()
    stack.sql("DELETE FROM chat_instructions")
