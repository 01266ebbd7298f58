"""Accessibility rules that are checked by axe-core (https://github.com/dequelabs/axe-core) in the page itself."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from playwright.sync_api import Page

# WCAG 2.2 up to AA, and what axe counts as good practice.
TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN: Final = """
async ([tags, within]) => {
  const { violations } = await axe.run(within ?? document, { runOnly: { type: "tag", values: tags } });
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target, failureSummary }) =>
    `${id} (${help}): ${target.join(" ")}: ${failureSummary.replace(/\\s+/g, " ").slice(0, 300)}`));
}
"""


def violations(page: Page, within: str | None = None) -> list[str]:
    """What breaks a rule on the page, or in the element that `within` selects: a sentence for each element."""
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(_RUN, [TAGS, within])
    return found
