"""Which scripts and style sheets the pages load.

Where static files were collected with hashed names (`config/bundling`), they are bundles. Else they are the files as
they were written: a browser finds each module by the page's import map, and a change is seen at the next load. Nothing
has to be listed here for a new module, nor for a new style sheet of the conversation page.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin

from django.contrib.staticfiles.storage import staticfiles_storage
from django.templatetags.static import static

HERE: Final = Path(__file__).parents[1] / "static"
SCRIPTS: Final = "chat/js/"
STYLES: Final = "chat/css/"
TEXTS: Final = "chat/texts/"
VENDOR: Final = {  # by the names that modules use. The last two are no modules: formulas.js adds them to the page
    "markdown-it": "chat/vendor/markdown-it.js",
    "temml": "chat/vendor/temml.js",
    "temml.css": "chat/vendor/temml.css",
}
ADDED: Final = ("temml", "temml.css")

# An address in a style sheet that is relative to it: `url("../vendor/fonts/inter.woff2")`.
_ADDRESS: Final = re.compile(r"""url\((["']?)(?!data:|["']|#)([^)"']+)\1\)""")
SEEN_STYLES: Final = "styles"  # the cookie: versions of the style sheets that a browser was given inside of pages

EVERYWHERE: Final = ("tokens", "base", "branding")
LAST: Final = ("touch",)
PAGES: Final = ("pages", "settings-parts", "settings", "library", "shared", "print")
STAFF: Final = ("staff", "staff-moderation")
CALL: Final = ("call",)  # loaded with the first call
DIALOGS: Final = ("parameter-fields", "parameters", "people", "shares", "tools")  # loaded with the first of them
FILES: Final = ("files", "message-files", "file-parts", "file-viewer", "knowledge")  # loaded with the first file
ANSWERS: Final = ("prose", "code", "answer-parts", "messages", "sources", "thinking", "steps")  # beyond their page
SHEETS: Final = (  # of the conversation page, in the order of the cascade; others that are its own follow by name
    "sources",
    *(
        "prose",
        "code",
        "answer-parts",
        "sidebar",
        "order",
        "overlays",
        "chat",
        "messages",
        "moderation",
        "thinking",
        "side-by-side",
    ),
    *("context", "steps", "step-viewer"),
    *("composer", "queue", "prompts", "picker", "choices", "start", "voice", "temporary"),
    *("presence", "asking", "reading", "report"),
    *("message-marks", "approvals", "search"),
)


class InlinedSheet(NamedTuple):
    """`version` changes with the text."""

    version: str
    text: str


@functools.cache
def stylesheets() -> dict[str, list[str]]:
    """The paths of the style sheets of each kind of page, in the order of the cascade."""
    known = {*EVERYWHERE, *PAGES, *STAFF, *SHEETS, *FILES, *CALL, *DIALOGS, *LAST}
    new = sorted(path.stem for path in (HERE / STYLES).glob("*.css") if path.stem not in known)
    names = {
        "pages": (*EVERYWHERE, "pages", "settings-parts", *LAST),
        "settings": (*EVERYWHERE, "pages", "settings-parts", "settings", "library", *LAST),
        # The conversation page adds it when the settings are opened.
        "settings-sheet": ("settings-parts", "settings", "library"),
        "files": FILES,
        "dialogs": DIALOGS,
        "call": CALL,
        "conversation": (*EVERYWHERE, *SHEETS, *new, *LAST),
        "share-pages": (*EVERYWHERE, "pages", "settings-parts", "shared", *LAST),
        "print": (*EVERYWHERE, *ANSWERS, "shared", "files", "message-files", "print"),
        "share": (*EVERYWHERE, *ANSWERS, "step-viewer", "shared", "files", "message-files", "file-parts", *LAST),
    }
    return {page: [f"{STYLES}{name}.css" for name in files] for page, files in names.items()}


def bundled_sheet(page: str) -> str:
    """The path of the one style sheet of a kind of page, beside those that are in it: addresses in them stay right."""
    return f"{STYLES}{page}.bundle.css"


def stylesheet_urls(page: str) -> list[str]:
    """The addresses of the style sheets of a kind of page."""
    return [static(name) for name in ([bundled_sheet(page)] if _bundles() else stylesheets()[page])]


def inlined_sheet(page: str) -> InlinedSheet | None:
    """The bundled style sheet of a kind of page as it stands in the page itself, for a browser that has not got it yet.

    None where files are served as they were written, which are many.
    """
    if not _bundles():
        return None
    return _inlined_sheet(page, static(bundled_sheet(page)))


@functools.cache
def _inlined_sheet(page: str, url: str) -> InlinedSheet:
    storage: Any = staticfiles_storage  # the one with bundles
    name = storage.stored_name(bundled_sheet(page))
    with storage.open(name) as file:
        text = file.read().decode()
    text = _ADDRESS.sub(lambda found: f"url({found[1]}{urljoin(url, found[2])}{found[1]})", text)
    return InlinedSheet(Path(name).name.split(".")[-2], text)


def module_name(path: str) -> str:
    """By which name a module is imported; empty for what is no module."""
    if path.startswith(SCRIPTS):
        return f"antiphon/{path.removeprefix(SCRIPTS).removesuffix('.js')}"
    return next((name for name, file in VENDOR.items() if file == path and name not in ADDED), "")


def script_urls(page: str) -> tuple[dict[str, str], list[str]]:
    """The import map of a page, and the addresses of what it loads at once. `page`: the name of its entry."""
    bundles = _bundles()
    if bundles is None:
        return {name: static(path) for name, path in _modules().items()}, []
    needed = bundles["pages"][page]
    urls = {name: static(bundles["chunks"][name]) for name in (*needed["first"], *needed["later"])}
    first = [urls[name] for name in needed["first"]]
    return urls | {name: static(VENDOR[name]) for name in ADDED}, first


def script_text(path: str) -> str:
    """A script's text, to be put into a page: as it was collected, without its source map."""
    collected: Callable[[str], str] | None = getattr(staticfiles_storage, "script_text", None)
    return collected(path) if collected else (HERE / path).read_text()


@functools.cache
def _modules() -> dict[str, str]:
    """The path of each module, by its name."""
    files = sorted(path.relative_to(HERE).as_posix() for path in (HERE / SCRIPTS).glob("**/*.js"))
    return {module_name(path): path for path in files} | VENDOR


def _bundles() -> Mapping[str, Any] | None:
    """What is in the bundles; None where files are served as they were written."""
    found: Mapping[str, Any] | None = getattr(staticfiles_storage, "bundles", None)
    return found
