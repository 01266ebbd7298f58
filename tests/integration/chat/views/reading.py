"""A page of a conversation, as its tests read it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """Reads a page: its messages, and what a strict policy would refuse."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.messages: list[dict[str, str | None]] = []
        self.refused: list[str] = []
        self.nonces: set[str] = set()
        self.text = response.content.decode()
        self._blanks = 0
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._blanks += tag == "template"
        if "message" in (values.get("class") or "").split() and not self._blanks:
            self.messages.append(values)
        self.refused += [f"{tag} {name}" for name in values if name == "style" or name.startswith("on")]
        if tag == "style" or (values.get("href") or "").startswith("javascript:"):
            self.refused.append(tag)
        if tag == "script" and values.get("type") != "application/json":
            if values.get("nonce"):
                self.nonces.add(str(values["nonce"]))
            elif "src" not in values:
                self.refused.append("an inline script")

    def handle_endtag(self, tag: str) -> None:
        self._blanks -= tag == "template"

    @property
    def ids(self) -> list[str]:
        return [str(message["data-id"]) for message in self.messages]
