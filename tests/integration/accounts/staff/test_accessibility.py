"""Every page of the admin: it asks the database little, and keeps the rules of accessibility that axe checks.

For axe the pages are made in this process and shown to a browser that has no server, in the light and in the dark.
"""

from __future__ import annotations

import json
import mimetypes
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import Route, sync_playwright

from tests.e2e.axe import violations
from tests.e2e.browsing import chromium
from tests.fixtures.people import logged_in
from tests.integration.accounts.staff.admin_pages import Page, pages, superuser

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(240), pytest.mark.usefixtures("clean_redis")]

MOST_QUERIES: Final = 12
# Pages that count table by table what a deletion takes along; a model's page reads four lists twice.
MORE_QUERIES: Final = {"/delete/": 20, "/erase/": 20, "/chat/knownmodel/": 14}
# The dashboard, users, a user, runs, conversations.
MOST_USED: Final = re.compile(r"/admin/(accounts/user/([^/]+/change/)?|chat/(run|conversation)/)?")
CATALOG: Final = "/admin/jsi18n/"  # the texts of Django's own scripts
ORIGIN: Final = "http://antiphon.test"
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
# Colours that are still changing would be measured.
STILL: Final = "<style>*, ::before, ::after { transition: none !important; animation: none !important }</style></head>"


def test_admin_pages_ask_the_database_little() -> None:
    made = pages(logged_in(superuser()))
    assert len(made) > 100, "the list of addresses is not read as it was"
    assert {path: page.queries for path, page in made.items() if len(page.queries) > _most(path)} == {}


def test_the_most_used_pages_keep_the_rules_of_accessibility() -> None:
    staff = logged_in(superuser())
    made = pages(staff, only=MOST_USED)
    assert len(made) == 5, sorted(made)
    assert _broken(made, staff) == {}


@pytest.mark.timeout(3600)
@pytest.mark.skipif("AXE" not in os.environ, reason="takes minutes of a browser: make test-axe")
def test_admin_pages_keep_the_rules_of_accessibility() -> None:
    staff = logged_in(superuser())
    only = os.environ["AXE"]  # 1, or a pattern that addresses have in them
    broken = _broken(pages(staff, only=None if only == "1" else re.compile(f".*({only}).*")), staff)
    assert not broken, json.dumps(broken, indent=1)


def _broken(made: Mapping[str, Page], staff: Client) -> dict[str, list[str]]:
    """What axe finds, by address and theme."""
    catalog = staff.get(CATALOG).content

    def serve(route: Route) -> None:
        path = unquote(urlsplit(route.request.url).path)  # some ids have spaces
        if path.startswith("/static/"):
            found = finders.find(path.removeprefix("/static/"))
            assert isinstance(found, str), path
            kind = mimetypes.guess_type(found)[0] or "application/octet-stream"
            route.fulfill(body=Path(found).read_bytes(), content_type=kind)
        elif path == CATALOG:
            route.fulfill(body=catalog, content_type="text/javascript")
        elif path in made and route.request.is_navigation_request():
            html = made[path].html.replace("</head>", STILL, 1)
            route.fulfill(body=html, content_type="text/html; charset=utf-8")
        else:
            route.fulfill(status=404, body="")

    broken: dict[str, list[str]] = {}
    with sync_playwright() as playwright, chromium(playwright) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        page.route(f"{ORIGIN}/**", serve)
        page.set_default_timeout(120_000)
        for path in made:
            for theme in THEMES:
                page.emulate_media(color_scheme=theme)
                page.goto(f"{ORIGIN}{path}")
                page.evaluate("() => new Promise(done => setTimeout(done))")  # after those of the page's own scripts
                if found := violations(page):
                    broken[f"{path} ({theme})"] = found
                    print(path, theme, *found, sep="\n  ")  # shown even if the time limit ends the test
    return broken


def _most(path: str) -> int:
    return next((most for part, most in MORE_QUERIES.items() if part in path), MOST_QUERIES)
