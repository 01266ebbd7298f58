"""Pages of the admin that were made in this process, shown to a browser that has no server."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import Page as Window
from playwright.sync_api import Route, sync_playwright

from tests.e2e.browsing import chromium
from tests.integration.accounts.staff.admin_pages import Page

CATALOG: Final = "/admin/jsi18n/"  # the texts of Django's own scripts
ORIGIN: Final = "http://antiphon.test"
Theme = Literal["light", "dark"]
THEMES: Final[tuple[Theme, ...]] = ("light", "dark")
PHONE: Final = 390  # pixels of CSS, as DESK
DESK: Final = 1440
# Colours that are still changing would be measured.
STILL: Final = "<style>*, ::before, ::after { transition: none !important; animation: none !important }</style></head>"
# The page itself if it scrolls sideways, what a phone's page cuts off at its side, and tables of figures that scroll.
WIDE: Final = """() => {
  const width = document.documentElement.clientWidth;
  const whole = Math.max(document.documentElement.scrollWidth, document.body.scrollWidth);
  const page = whole > width ? [`the page: ${whole}`] : [];
  const out = [...document.querySelectorAll("#main h1, #main h2, #main h3, #main p, #main label, #main button, #main input, #main select, #main textarea")].filter((one) => {
    const { left, right, width: own } = one.getBoundingClientRect();
    const scrolls = one.closest(".staff-scroll, .staff-help table, pre, .sr-only, .overflow-x-auto, .simplebar-horizontal-scrollbar-top");
    const isShown = own && one.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    return isShown && !scrolls && (left < -1 || right > width + 1);
  });
  const tables = [...document.querySelectorAll(".staff-scroll")].filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1);
  const name = (one) => `${one.tagName} ${one.id} ${one.textContent.trim().replace(/\\s+/g, " ").slice(0, 40)}`;
  return [...page, ...out.map(name), ...tables.map(name)];
}"""  # noqa: E501


@contextmanager
def shown(made: Mapping[str, Page], staff: Client) -> Iterator[Callable[..., Window]]:
    """A function that opens the page of an address, in a theme and at a width."""
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

    with sync_playwright() as playwright, chromium(playwright) as browser:
        page = browser.new_page(reduced_motion="reduce")
        page.route(f"{ORIGIN}/**", serve)
        page.set_default_timeout(120_000)

        def open_page(path: str, theme: Theme = "light", width: int = 1280) -> Window:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=theme)
            page.goto(f"{ORIGIN}{path}")
            page.evaluate("() => new Promise(done => setTimeout(done))")  # after those of the page's own scripts
            return page

        yield open_page


def wide_parts(page: Window) -> list[str]:
    """What makes the page, a part of it or a table of figures scroll sideways on a phone or at a desk: a line each.

    `PICTURES` in the environment names a folder for pictures of it in both themes.
    """
    wide: list[str] = []
    for width in (PHONE, DESK):
        page.set_viewport_size({"width": width, "height": 800})
        wide += [f"{width}: {one}" for one in page.evaluate(WIDE)]
        if folder := os.environ.get("PICTURES"):
            for theme in THEMES:
                page.evaluate("dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark")
                name = f"{urlsplit(page.url).path.strip('/').replace('/', '-')[:80]}-{width}-{theme}.png"
                page.screenshot(path=str(Path(folder) / name), full_page=True)
    return wide
