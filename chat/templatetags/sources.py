"""The sources of an answer, and the citations of them in its text. Must match js/conversation/sources.js."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import template
from django.utils.html import format_html
from django.utils.translation import gettext as _

from accounts.lib.urls import is_http, split_url

register = template.Library()

_TAG: Final = re.compile(r"""(<(?=[a-zA-Z/!])(?:[^<>"']|"[^"]*"|'[^']*')*>)""")
_NAME: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_MARK: Final = re.compile(r"\[(\d{1,3}(?:\s?[,;]\s?\d{1,3}){0,9})\]")
UNTOUCHED: Final = frozenset({"pre", "code", "a", "kbd", "samp", "button", "svg"})  # [1] in these is no citation


@register.filter
def sources_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sources of an answer by their numbers: `n`, `title`, `url` (empty: none to follow), `host`, `passage`; of
    collections also `file`, `position` and `page`, the fragment of its address.
    """
    found: dict[int, dict[str, Any]] = {}
    run = message.get("run") or {}
    for source in run.get("sources") or ():
        found[source["n"]] = _shown(source["n"], source) | _place(source)
    for step in run.get("steps") or ():
        for call in step.get("calls") or ():
            for source in call.get("sources") or ():
                number = source.get("n")
                if isinstance(number, int) and number not in found:
                    found[number] = _shown(number, source)
    return [found[number] for number in sorted(found)]


def _shown(number: int, source: Mapping[str, Any]) -> dict[str, Any]:
    url, host = str(source.get("url") or ""), ""
    try:
        parts = split_url(url)
        host = (parts.hostname or "").removeprefix("www.")
        url = url if is_http(parts) else ""
    except ValueError:
        url = ""
    title = str(source.get("title") or "") or host or _("Source %(number)d") % {"number": number}
    return {"n": number, "title": title, "url": url, "host": host, "passage": str(source.get("passage") or "")}


def _place(source: Mapping[str, Any]) -> dict[str, Any]:
    """Where a passage of a collection is: the label stands where a page of the web has its host."""
    label = str(source.get("label") or "")
    page = f"#page={found[0]}" if (found := re.search(r"\d+", label)) else ""
    return {"file": source.get("file"), "position": source.get("position"), "host": label, "page": page}


def cite(html: str, sources: Sequence[Mapping[str, Any]], prefix: str) -> str:
    """The HTML of an answer in which [1] is a link to source 1, where there is one. Code and links stay as they are.

    `prefix` makes the addresses of the sources differ from those of other answers on the page.
    """
    if not sources or "[" not in html:
        return html
    known = {source["n"]: source for source in sources}
    made, depth = [], 0
    for place, part in enumerate(_TAG.split(html)):
        if place % 2:
            depth += _step(part)
        elif not depth:
            part = _MARK.sub(lambda found: _links(found, known, prefix), part)
        made.append(part)
    return "".join(made)


def _step(tag: str) -> int:
    """How much deeper a tag leads into what is left untouched."""
    found = _NAME.match(tag)
    if found is None or found[2].lower() not in UNTOUCHED or tag.endswith("/>"):
        return 0
    return -1 if found[1] else 1


def _links(found: re.Match[str], known: Mapping[int, Mapping[str, Any]], prefix: str) -> str:
    numbers = [int(one) for one in re.split(r"\D+", found[1])]
    if not all(number in known for number in numbers):
        return found[0]
    return "".join(
        format_html(
            '<a class="citation" href="#source-{}-{}" data-source="{}" title="{}">[{}]</a>',
            prefix, number, number, known[number]["title"][:200], number,
        )
        for number in numbers
    )  # fmt: skip


@register.filter
def passage(source: Mapping[str, Any]) -> str:
    """The start of a source's passage."""
    text = " ".join(str(source["passage"]).split())
    return text if len(text) <= 300 else text[:299] + "…"
