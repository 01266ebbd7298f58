"""The picture at the top of README.md: two people and a model. `PICTURES=folder pytest <this file>` makes it anew, as
`together-light.png`, which belongs into docs/images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from tests.e2e.browsing import Watch, cookies_of, send, shoot
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(240)  # the first waits for the stack

FIRST: Final = """Three days suit Lisbon well:

1. **Baixa and Alfama**, the old town below the castle
2. **Chiado and Príncipe Real**, for the shops and the gardens
3. **Belém**, along the river
"""
SECOND: Final = """On foot, day two could go like this:

| | |
|---|---|
| 9:00 | Praça do Comércio, along the river |
| 10:00 | Baixa to the Carmo ruins |
| 12:30 | Lunch in the Mercado da Ribeira |
| 15:00 | Príncipe Real and its garden |

About **7 km** with two climbs. Shall I add a place for the evening?
"""


@pytest.fixture
def people(browser: Browser, playwright: Playwright, stack: Stack) -> Iterator[tuple[Page, Page, str]]:
    """Pages of a new Alice and a new Bob, and his address."""
    pages, emails = [], [stack.add_user(name) for name in ("Alice", "Bob")]
    for email in emails:
        cookies = cookies_of(playwright, stack, email.partition("@")[0])
        context = browser.new_context(storage_state=cookies, viewport={"width": 1280, "height": 860})
        page = context.new_page()
        page.goto(f"{stack.url}/")
        pages.append(page)
    yield pages[0], pages[1], emails[1]
    for page in pages:
        page.context.close()


def test_two_people_and_a_model(people: tuple[Page, Page, str], stack: Stack, upstream: FakeOpenAI) -> None:
    alice, bob, address = people
    watched = [Watch(page, stack.url) for page in (alice, bob)]
    answered = alice.locator(".message-assistant[data-status=complete]")
    upstream.play(Script(text=FIRST), times=1)
    send(alice, "Three days in Lisbon")
    expect(answered).to_have_count(1)
    alice.get_by_role("button", name="People").click()
    alice.get_by_label("Name or email address").fill(address)
    alice.get_by_role("button", name="Add", exact=True).click()
    expect(alice.locator(".person-name")).to_have_count(2)
    alice.keyboard.press("Escape")
    bob.get_by_role("link", name="Three days in Lisbon").click()
    send(bob, "By tram or on foot?")
    expect(alice.locator(".message-user").last).to_contain_text("By tram")
    send(alice, "On foot, @Bob. The tram is for the last evening.")
    expect(bob.locator(".message-user").last).to_contain_text("On foot")
    upstream.play(Script(text=SECOND), times=1)
    send(bob, "@model plan the second day for us, on foot")
    expect(answered).to_have_count(2)
    expect(alice.locator(".message-assistant table tr")).to_have_count(5)
    expect(alice.locator("#here .avatar")).to_have_text(["B"])
    expect(alice.locator(".read-by")).to_have_count(1)
    bob.locator("#text").press_sequentially("And where do we")
    expect(alice.locator("#typing")).to_have_text("Bob is typing…")
    alice.locator("#text").focus()
    alice.wait_for_timeout(300)  # the scroll has come to rest
    shoot(alice, "together-light")
    assert [watch.complaints for watch in watched] == [[], []]
    assert [watch.foreign for watch in watched] == [[], []]
