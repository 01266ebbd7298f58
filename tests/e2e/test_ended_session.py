"""A page whose session has ended leads to the log-in page, and from there back to itself."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.stack import Stack


def test_the_log_in_page_leads_back_to_the_page_and_not_to_a_piece_of_it(page: Page, stack: Stack) -> None:
    """The list of conversations is read in the background, and may be the first to learn of the end."""
    web = stack.webs[1]  # whose pages have modules to import
    page.goto(f"{web.url}/")
    page.route("**/ws/**", lambda route: route.abort())
    page.context.clear_cookies()
    page.evaluate(
        "import('antiphon/lib/fetch').then((fetch) => fetch.fetchPiece('/conversations/?count=40')).catch(() => {})"
    )
    expect(page).to_have_url(re.compile(r"/accounts/login/\?next=%2F$"))
    assert web.url in page.url
