"""Reads HTML that the renderer made."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlsplit

from chat.markdown import rendering

TAGS = rendering._TAGS


ATTRIBUTES = {"href", "rel", "target", "class", "start", "data-language", "tabindex", "dir"}


class Reader(HTMLParser):
    """Reads HTML as a browser would and notes what could do harm."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in TAGS:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name not in ATTRIBUTES:
                self.found.append(f"{tag} {name}")
            if name == "href" and urlsplit(value or "").scheme not in ("http", "https", "mailto"):
                self.found.append(f"href {value}")
            if name == "rel" and set((value or "").split()) != {"noopener", "noreferrer", "nofollow"}:
                self.found.append(f"rel {value}")
        if tag == "a" and ("target", "_blank") not in attrs:
            self.found.append("a link that replaces the page")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.found.append(f"declaration {decl}")

    def handle_pi(self, data: str) -> None:
        self.found.append(f"instruction {data}")


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader
