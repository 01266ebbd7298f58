"""The README's first picture: two people and a model. To make it again:

PICTURES=docs/images python -m pytest tests/e2e/test_readme_picture.py
"""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import send, shoot
from tests.e2e.test_members import add
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)  # the first waits for the stack

ANSWERED = ".message-assistant[data-status=complete]"
FIRST = "Three days are enough for the old town, Belém and a day by the sea."
PLAN = """\
On foot, day two could go like this:

| Time | Where |
|---|---|
| 9:00 | Praça do Comércio, along the river |
| 10:00 | Baixa to the Carmo ruins |
| 12:30 | Lunch in the Mercado da Ribeira |
| 15:00 | Príncipe Real and its garden |

About **7 km** with two climbs. Shall I add a place for the evening?
"""


def test_two_people_plan_a_trip_with_a_model(page: Page, bob: Page, stack: Stack, upstream: FakeOpenAI) -> None:
    page.set_viewport_size({"width": 1280, "height": 860})
    upstream.play(Script(text=FIRST))
    send(page, "Three days in Lisbon")
    expect(page.locator(ANSWERED)).to_have_count(1)
    add(page, "bob@example.org")
    expect(page.locator(".person-name")).to_have_text(["Alice (you)", "Bob"])
    page.keyboard.press("Escape")
    bob.goto(page.url)
    send(bob, "By tram or on foot?")
    expect(page.locator(".message-user").last).to_contain_text("By tram or on foot?")
    send(page, "On foot, @Bob. The tram is for the last evening.")
    expect(bob.locator(".message-user").last).to_contain_text("the last evening")
    upstream.play(Script(text=PLAN))
    send(bob, "@model plan the second day for us, on foot")
    for one in (page, bob):
        expect(one.locator(ANSWERED)).to_have_count(2)
        expect(one.locator(ANSWERED).last.locator("td")).to_have_count(8)
    expect(page.locator("#here .avatar")).to_have_text(["B"])
    expect(page.locator(ANSWERED).last).to_contain_text("Asked by Bob")
    expect(page.locator(".message-author").last).to_have_text("Bob")
    if os.environ.get("PICTURES"):  # who types is shown for some seconds only
        page.locator("#text").focus()
        page.locator("#transcript").evaluate("one => (one.closest('.scroller') ?? one).scrollTo(0, 1e6)")
        bob.locator("#text").press_sequentially("And a place for")
        expect(page.locator("#typing")).to_have_text("Bob is typing…")
        shoot(page, "together-light")
