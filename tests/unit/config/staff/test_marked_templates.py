"""The texts of the admin's templates are marked for translation."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings
from django.template.base import Lexer, TokenType

TEMPLATES = Path(settings.BASE_DIR) / "templates"
FOLDERS = ("admin", "chat/admin", "workers", "unfold")
ATTRIBUTES = ("alt", "aria-description", "aria-label", "placeholder", "title")
UNREAD = ("code", "kbd", "script", "style")  # not read as English
NAMES = {"UTC", "ms"}  # the same in every language
WORD = re.compile(r"[A-Za-z]{2,}")
CONSTANT = re.compile(r"""(?<!_\()(?:default(?:_if_none)?:|\b(?:title|text|message|label)=)(["'])(.*?)\1""")


class Texts(HTMLParser):
    """Collects what a reader sees or hears of a page: text nodes and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNREAD:
            self._open.append(tag)
        self.found += [value for name, value in attrs if name in ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._open:
            self.found.append(data)


def unmarked(source: str) -> list[str]:
    """The English texts of a template outside `translate` and `blocktranslate`."""
    html, constants, hidden = "", [], False
    for token in Lexer(source).tokenize():
        word = token.contents.split()[0] if token.contents.split() else ""
        if token.token_type == TokenType.BLOCK and word in ("blocktranslate", "comment"):
            hidden = True
        elif token.token_type == TokenType.BLOCK and word in ("endblocktranslate", "endcomment"):
            hidden = False
        elif token.token_type in (TokenType.BLOCK, TokenType.VAR) and word not in ("translate", "extends", "load"):
            constants += [text for _, text in CONSTANT.findall(token.contents)]
        elif token.token_type == TokenType.TEXT and not hidden:
            html += token.contents
    parser = Texts()
    parser.feed(html)
    parser.close()
    texts = (" ".join(text.split()) for text in (*parser.found, *constants))
    return [text for text in texts if WORD.search(text) and text not in NAMES]


def templates() -> list[str]:
    return sorted(
        str(path.relative_to(TEMPLATES)) for folder in FOLDERS for path in (TEMPLATES / folder).rglob("*.html")
    )


@pytest.mark.parametrize("name", templates())
def test_texts_are_marked(name: str) -> None:
    assert unmarked((TEMPLATES / name).read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Members</p>", ["Members"]),
        ('<p>{% translate "Members" %}</p>', []),
        ("<p>{% blocktranslate %}Page {{ number }}{% endblocktranslate %}</p>", []),
        ("<p>Page {{ number }}</p>", ["Page"]),
        ('<nav aria-label="Period"></nav>', ["Period"]),
        ("""<nav aria-label="{% translate 'Period' %}"></nav>""", []),
        ('<input placeholder="tokens" title="Tokens">', ["tokens", "Tokens"]),
        ('{% component "card.html" with title="Members" %}{% endcomponent %}', ["Members"]),
        ('{% component "card.html" with title=_("Members") %}{% endcomponent %}', []),
        ('{{ plan|default:"No plan" }}', ["No plan"]),
        ('{{ plan|default:_("No plan") }}', []),
        ("{# A comment #}{% comment %}another{% endcomment %}<style>a{}</style><code>make up</code>", []),
    ],
)
def test_the_parser_finds_what_is_unmarked(source: str, found: list[str]) -> None:
    assert unmarked(source) == found
