"""A person in Chromium through each proxy: it speaks HTTP/2 with them where it can, for the socket, too."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.client import PASSWORD
from tests.deployment.sites import Site
from tests.e2e.attaching import chips, choose, notes, picture, uploaded
from tests.e2e.browsing import STREAMING, Watch, chromium, ended, send

pytestmark = pytest.mark.timeout(180)
PROTOCOL = "performance.getEntriesByType('navigation')[0].nextHopProtocol"


def test_a_person_logs_in_chats_and_attaches_files(site: Site) -> None:
    with sync_playwright() as playwright, chromium(playwright) as browser:
        context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800})
        context.set_default_timeout(20_000)
        page = context.new_page()
        watch = Watch(page, site.url)
        page.goto(f"{site.url}/accounts/login/")
        page.get_by_label("Email").fill("alice@example.org")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url(f"{site.url}/")
        assert page.evaluate(PROTOCOL) == "h2"
        choose(page, picture(), notes())
        uploaded(page, 2)
        send(page, "What is in them? [[tokens=80 rate=40]]")
        expect(page.locator(STREAMING)).to_contain_text("tok5 ")
        expect(chips(page)).to_have_count(0)
        expect(ended(page)).to_contain_text(re.compile(r"tok0 .* tok79"))
        page.reload()
        expect(ended(page)).to_contain_text("tok79")
        assert watch.foreign == []
        complaints = [line for line in watch.complaints if "certificate" not in line]  # of the service worker
        assert complaints == []
        context.close()
