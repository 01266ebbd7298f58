"""A page with the site's modules and style sheets and nothing else, which needs no server.

Its files come from the source tree, under the site's own Content-Security-Policy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, Route

STATIC: Final = Path(__file__).parents[2] / "chat/static"
ORIGIN: Final = "http://antiphon.test"
POLICY: Final = "default-src 'self'; script-src 'self' 'nonce-n'; style-src 'self' 'nonce-n'; img-src 'self' data:"
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}
VENDOR: Final = {"markdown-it": "markdown-it.js", "temml": "temml.js", "temml.css": "temml.css"}


def open_bare_page(browser: Browser) -> Page:
    page = browser.new_page()
    page.route(f"{ORIGIN}/**", _serve)
    page.goto(f"{ORIGIN}/")
    return page


def _serve(route: Route) -> None:
    name = route.request.url.removeprefix(f"{ORIGIN}/")
    if name:
        path = STATIC / name
        route.fulfill(body=path.read_bytes(), content_type=TYPES[path.suffix])
        return
    modules = {f"antiphon/{path.relative_to(STATIC / 'chat/js').with_suffix('').as_posix()}": path
               for path in (STATIC / "chat/js").glob("**/*.js")}  # fmt: skip
    urls = {name: f"/{path.relative_to(STATIC).as_posix()}" for name, path in modules.items()}
    imports = json.dumps({"imports": urls | {name: f"/chat/vendor/{file}" for name, file in VENDOR.items()}})
    html = (
        f'<!doctype html><script type="importmap" nonce="n">{imports}</script>'
        '<link rel="stylesheet" href="/chat/css/tokens.css"><link rel="stylesheet" href="/chat/css/prose.css"><body>'
    )
    headers = {"Content-Security-Policy": POLICY}
    route.fulfill(body=html, content_type="text/html; charset=utf-8", headers=headers)
