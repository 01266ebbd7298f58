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

from chat.views.page_files import TEXTS, script_text, script_urls, stylesheet_urls

register = template.Library()


@register.simple_tag
def stylesheets(page: str) -> SafeString:
    """The style sheets of a kind of page."""
    urls = ((url,) for url in stylesheet_urls(page))
    return format_html_join("\n  ", '<link rel="stylesheet" href="{}">', urls)


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
