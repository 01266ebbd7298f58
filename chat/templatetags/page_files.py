"""Template tags of a page's head: its style sheets, and its modules."""

from __future__ import annotations

import json

from django import template
from django.conf import settings
from django.template.context import Context
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from chat.views.page_files import (
    SEEN_STYLES,
    TEXTS,
    InlinedSheet,
    inlined_sheet,
    script_text,
    script_urls,
    stylesheet_urls,
)

register = template.Library()


@register.simple_tag(takes_context=True)
def stylesheets(context: Context, page: str, *, inline: bool = False) -> SafeString:
    """The style sheets of a kind of page. `inline`: within the page, for a browser that sees such a page for the first
    time and would else wait for one more request before it paints. boot.js notes what it has seen in a cookie.
    """
    if inline and (sheet := _unseen_sheet(context, page)):
        text = mark_safe(sheet.text)  # noqa: S308  # style sheets of ours
        nonce = context["CSP_NONCE"]
        return format_html('<style nonce="{}" data-version="{}">{}</style>', nonce, sheet.version, text)
    urls = ((url,) for url in stylesheet_urls(page))
    return format_html_join("\n  ", '<link rel="stylesheet" href="{}">', urls)


def _unseen_sheet(context: Context, page: str) -> InlinedSheet | None:
    """The style sheet to put into a page; None for a piece of a page that a script asks for, too."""
    request = context.get("request")
    if request is None or "CSP_NONCE" not in context:
        return None
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        return None
    sheet = inlined_sheet(page)
    seen = request.COOKIES.get(SEEN_STYLES, "").split(".")
    return sheet if sheet and sheet.version not in seen else None


@register.simple_tag(takes_context=True)
def modules(context: Context, page: str) -> SafeString:
    """The import map of a page's modules, each by its name, and the preloads of those that it needs at once.

    The page can be painted without them, so they come after what it is painted with.
    """
    imports, first = script_urls(page)
    text = json.dumps({"imports": imports}, separators=(",", ":")).replace("<", "\\u003c")
    preloads = format_html_join(
        "\n  ", '<link rel="modulepreload" href="{}" fetchpriority="low">', ((url,) for url in first)
    )
    nonce = context.get("CSP_NONCE", "")
    json_text = mark_safe(text)  # noqa: S308  # JSON of our own file names
    texts = text_script()
    return format_html('{}<script type="importmap" nonce="{}">{}</script>\n  {}', texts, nonce, json_text, preloads)


@register.simple_tag(takes_context=True)
def inline_script(context: Context, path: str, **data: str) -> SafeString:
    """A short classic script within the page, which would else wait for another request; `data`: its `data-…`.

    By its address in the page of a server error, which has no nonce.
    """
    attributes = format_html_join("", ' data-{}="{}"', data.items())
    if "CSP_NONCE" not in context:
        return format_html('<script src="{}"{}></script>', static(path), attributes)
    text = mark_safe(script_text(path))  # noqa: S308  # a file of ours
    return format_html('<script nonce="{}"{}>{}</script>', context["CSP_NONCE"], attributes, text)


def text_script() -> SafeString:
    """The catalogue of the scripts' texts, which runs before any module; nothing in English."""
    language = get_language() or settings.LANGUAGE_CODE
    if language == "en":
        return SafeString("")
    return format_html('<script src="{}" defer></script>\n  ', static(f"{TEXTS}{language}.js"))
