"""Favourites of the picker while its list is read."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.e2e.browsing import reopen
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)  # the first waits for the stack


def test_favourites_stay_while_the_connection_opens_behind_the_list(page: Page, stack: Stack) -> None:
    """The connection says what is on offer: the same models as the list, which is asked for again, but not what else
    the list has.
    """
    held: list[WebSocketRoute] = []
    reopen(page, lambda route: held.append(route))
    page.locator("#text").focus()
    page.keyboard.press("Alt+m")
    star = page.locator(".choice-star-button")
    expect(star).to_be_visible()
    page.route("**/models/", lambda _: None)
    while not held:
        page.wait_for_timeout(50)
    with page.expect_request("**/models/"):
        held[0].connect_to_server()
    page.wait_for_timeout(300)
    expect(star).to_be_visible()
    page.unroute("**/models/")


def test_a_list_read_before_a_favourite_was_chosen_takes_it_away_from_nobody(page: Page, stack: Stack) -> None:
    stack.sql("DELETE FROM chat_favouritemodel")  # of other tests
    page.locator("#text").focus()
    with page.expect_response("**/models/"):
        page.keyboard.press("Alt+m")
    expect(page.locator(".choice-star-button")).to_be_visible()
    page.keyboard.press("Escape")
    held: list[Route] = []

    def hold_once(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/models/", hold_once)
    for _ in range(40):  # while a list is still being read, another one is not asked for
        page.keyboard.press("Alt+m")
        page.wait_for_timeout(250)
        if held:
            break
        page.keyboard.press("Escape")
    assert held, "the list was not asked for again"
    page.keyboard.type("large")
    expect(page.get_by_role("option")).to_have_count(1)
    before = held[0].fetch()
    page.get_by_role("button", name="Add to favourites: large").click()
    remove = page.get_by_role("button", name="Remove from favourites: large")
    expect(remove).to_be_visible()
    # As if it had been read meanwhile; something else in it is new, so that the list is shown again.
    held[0].fulfill(response=before, json={**before.json(), "recent": ["small"]})
    page.wait_for_timeout(500)
    expect(remove).to_be_visible()
    remove.click()
