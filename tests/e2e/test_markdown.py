"""One dialect of Markdown: the page writes an answer in progress exactly as the server writes it when it is finished.

A corpus of texts (tests/corpus/markdown) runs through both in one page, which needs no server: its modules come from
the source tree, under the site's own Content-Security-Policy.
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from playwright.sync_api import Page

from chat.markdown.rendering import render
from tests.corpus import markdown_snippets
from tests.unit.chat.markdown.test_directions import MANY_PARTS
from tests.unit.chat.markdown.test_rendering import HOSTILE

pytestmark = pytest.mark.timeout(120)

# Writes each text in steps; what stands there before the end, and after it, as the server's HTML is compared with it.
COMPARE = """async (cases) => {
    const { LiveText } = await import("antiphon/conversation/live-text");
    const { fromServer } = await import("antiphon/lib/morph");
    const asText = (root) => {
        for (const math of root.querySelectorAll("[data-tex]")) {
            math.textContent = math.dataset.tex;
            math.removeAttribute("data-tex");
        }
        for (const code of root.querySelectorAll("pre code")) code.textContent = code.textContent; // not its colours
        root.normalize();
        const box = document.createElement("div");
        box.append(...[...root.childNodes].map((node) => node.cloneNode(true)));
        for (const element of box.querySelectorAll("*")) {
            const attributes = [...element.attributes].sort((one, other) => (one.name < other.name ? -1 : 1));
            for (const { name } of attributes) element.removeAttribute(name);
            for (const { name, value } of attributes) element.setAttribute(name, value);
        }
        return box.innerHTML;
    };
    const found = [];
    for (const { name, text, html } of cases) {
        const body = document.createElement("div");
        document.body.append(body);
        const live = new LiveText(body, () => {});
        await live.ready;
        for (let at = 0; at < text.length; at += 5) {
            live.write(text.slice(at, at + 5));
            live.show();
        }
        const before = asText(body);
        live.end();
        found.push({ name, server: asText(fromServer(html)), page: asText(body), before });
        body.remove();
    }
    return found;
}"""

# What the end of an answer changes: what is defined below its use, and marks that were never closed.
CHANGED_AT_THE_END: Final = {
    "commonmark: unclosed bold",
    "commonmark: unclosed inline code",
    "commonmark: reference before its definition, far away",
    "commonmark: only definitions",
    "commonmark: only blanks",
    "habits: file names",
    "cjk: unclosed",
    "habits: half a mark at the end",
}

# How long a block takes to appear, in ms; the same without `dir="auto"` is what it has to take.
DRAW = """async (html) => {
    const { fromServer } = await import("antiphon/lib/morph");
    const took = (markup) => {
        const began = performance.now();
        const box = document.createElement("div");
        box.append(fromServer(markup));
        document.body.append(box);
        box.getBoundingClientRect();
        box.remove();
        return performance.now() - began;
    };
    return [took(html), took(html.replaceAll(' dir="auto"', "").replace(' dir="ltr"', ""))];
}"""
PIECES: Final = "`|` " * 6_000


def test_the_page_writes_what_the_server_writes(bare_page: Page) -> None:
    texts = markdown_snippets()
    assert len(texts) > 200
    texts |= {f"hostile {number}": text for number, text in enumerate(HOSTILE)}
    texts |= {f"many parts {number}": text for number, text in enumerate(MANY_PARTS)}
    cases = [{"name": name, "text": text, "html": render(text)} for name, text in texts.items()]
    found: list[dict[str, Any]] = bare_page.evaluate(COMPARE, cases)
    differing = [(one["name"], one["server"], one["page"]) for one in found if one["server"] != one["page"]]
    assert differing == []
    early = {one["name"] for one in found if one["before"] != one["page"]}
    assert early == CHANGED_AT_THE_END


@pytest.mark.parametrize("text", [PIECES, f"a {PIECES}", "1\n" * 6_000], ids=["code", "code after a letter", "lines"])
def test_a_block_of_many_parts_appears_at_once(bare_page: Page, text: str) -> None:
    """Chromium took a time that grew with the square: a minute for 15,000 pieces of code."""
    took, least = bare_page.evaluate(DRAW, render(text))
    assert took < 5 * least + 500
