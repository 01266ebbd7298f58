"""Texts that no catalogue would have: words in templates outside of tags, and sentences in scripts outside of `t()`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from tree_sitter import Node

from config.bundling.modules import parse
from config.translation.extraction import SCRIPTS, is_staff

pytestmark = pytest.mark.unit

ROOT: Path = settings.BASE_DIR
# Names, keys and values: the same in every language.
NAMES = frozenset(
    [
        "Antiphon",
        "UTC",
        "K",
        "V",
        "R",
        "M",
        "P",
        "O",
        "S",
        "Y",
        "nbsp",
        "SVG",
        "PNG",
    ]
)
ATTRIBUTES = r"title|aria-label|aria-description|aria-roledescription|placeholder|alt|label"
WORD = re.compile(r"[A-Za-z][A-Za-z=-]+")
BLOCK = re.compile(
    r"{%\s*comment.*?endcomment\s*%}|{%\s*blocktrans(?:late)?\b.*?endblocktrans(?:late)?\s*%}", re.DOTALL
)
CODE = re.compile(r"<(style|script|svg|code)\b.*?</\1>|<!--.*?-->", re.DOTALL)
CLASSES = re.compile(r"{% block (body_class|body_attributes|sheet_class) %}.*?{% endblock %}")


def unmarked(content: str, *, is_html: bool = True) -> list[str]:
    """The words of a template that a reader would see as they are."""
    content = BLOCK.sub(" ", CLASSES.sub(" ", content))
    loose = [word for text in re.findall(r'\|default(?:_if_none)?:"([^"]*)"', content) for word in WORD.findall(text)]
    content = re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}", " ", content, flags=re.DOTALL)
    seen = [content]
    if is_html:
        content = CODE.sub(" ", content)
        seen = [value for _, value in re.findall(rf'\b({ATTRIBUTES})="([^"]*)"', content)]
        seen.append(re.sub(r"<[^>]*>", " ", content))
    return loose + [word for text in seen for word in WORD.findall(text) if word not in NAMES]


def templates() -> Iterator[Path]:
    for path in sorted((ROOT / "templates").rglob("*")):
        if path.suffix in (".html", ".txt") and not is_staff(path.relative_to(ROOT).as_posix()):
            yield path


def test_templates_have_no_words_of_their_own() -> None:
    found = {path.relative_to(ROOT).as_posix(): unmarked(path.read_text(), is_html=path.suffix == ".html")
             for path in templates()}  # fmt: skip
    assert {name: words for name, words in found.items() if words} == {}


def test_words_of_templates_are_seen() -> None:
    assert unmarked('<p title="Close it">{% translate "Yes" %} Go on</p>') == ["Close", "it", "Go", "on"]
    assert unmarked('{{ title|default:"Nothing" }}') == ["Nothing"]
    assert unmarked('<p class="a b" title="{% translate "Yes" %}">{{ name }}</p><!-- not this -->') == []


# --- scripts ----------------------------------------------------------------------------------------------------------

SENTENCE = re.compile(r"[A-Za-z’']{2,}[,:]? [a-z]{2,}|^[A-Z][a-z’]+( |[….!?]?$)|[a-z]{2,}[.…]$| [a-z]{2,}")
# Where a string is no text for a person: markup's names, selectors, keys of events and of stored values.
CALLS = re.compile(
    r"^(querySelector(All)?|closest|matches|matchMedia|getItem|setItem|removeItem|recall(All)?|remember|startsWith|endsWith"
    r"|includes|has|get|set|getAttribute|setAttribute|createElement|make|element|mark|toggle|add|remove|replace|split|part"
    r"|Error|RegExp|Set|Map|addEventListener|Collator|NumberFormat|DateTimeFormat|Segmenter|parse|slice|join|sign|byId)$"
)
SHOWN_IN = re.compile(r"^(setAttribute|make|element|sign)$")  # of these, the last argument may be shown
KEYS = frozenset(
    (
        "Escape",
        "Enter",
        "Tab",
        "Home",
        "End",
        "PageUp",
        "PageDown",
        "ArrowUp",
        "ArrowDown",
        "ArrowLeft",
        "ArrowRight",
        "Alt",
        "Files",
        "KeyV",
        "KeyR",
        "KeyM",
        "KeyP",
        "Antiphon",
        "Reload",
        "Retry-After",
        "Accept",
        "X-CSRFToken",
        "PushManager",
        "Notification",
        "BroadcastChannel",
        "Segmenter",
        "AudioWorkletNode",
    )
)
# Code and selectors, class names, keys with dots, lists of tags.
NO_WORDS = re.compile(r"[;={}<>\[\]/]|^[.#:&]|^[a-z-]+( [a-z-]+)*$|^[a-z.]+\.$|^\.?[a-z]+(, \.?[a-z]+)+$")
LITERAL = frozenset(("string", "template_string"))


def loose(content: str) -> list[str]:
    """The strings of a script that read like sentences and do not go through the catalogue."""
    found: list[str] = []
    waiting = [parse(content.encode(), "some.js")]
    while waiting:
        node = waiting.pop()
        if node.type in LITERAL and _is_sentence(node) and not _is_known(node):
            found.append(_text(node))
        waiting.extend(child for child in node.children if node.type != "string")
    return sorted(found)


def _is_sentence(node: Node) -> bool:
    bare = re.sub(r"\$\{[^}]*\}", "", _text(node)[1:-1])
    return bool(SENTENCE.search(bare)) and bare not in KEYS and not NO_WORDS.search(bare)


def _is_known(node: Node) -> bool:
    parent = node.parent
    if parent is None or parent.type in ("import_statement", "export_statement", "pair_pattern"):
        return True
    if parent.type == "binary_expression" and any(child.type in ("===", "!==", "in") for child in parent.children):
        return True
    if parent.type == "pair" and parent.child_by_field_name("key") == node:
        return True
    if parent.type in ("pair", "assignment_expression", "variable_declarator"):
        names = [_text(child).rpartition(".")[2] for child in parent.named_children[:1]]
        if names and names[0] in ("className", "key", "cookie", "type", "class"):
            return True
    while parent is not None:
        if parent.type in ("call_expression", "new_expression"):
            function = parent.child_by_field_name("function") or parent.child_by_field_name("constructor")
            name = _text(function).rpartition(".")[2] if function is not None else ""
            if name in ("t", "tn", "tc"):
                return True
            arguments = parent.child_by_field_name("arguments")
            last = arguments.named_children[-1] if arguments is not None and arguments.named_children else None
            is_last = last is not None and last.start_byte <= node.start_byte and len(arguments.named_children) > 1  # type: ignore[union-attr]
            return bool(CALLS.match(name)) and not (SHOWN_IN.match(name) and is_last)
        if parent.type in ("arrow_function", "statement_block", "program"):
            return False
        parent = parent.parent
    return False


def _text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


# Lists of words by which a language is recognised, and what scripts of audio compute.
NO_TEXTS = ("voice/language.js", "lib/morph.js", "recorder-worklet.js")


def test_scripts_show_no_sentences_of_their_own() -> None:
    found = {
        path.name: words
        for path in sorted((ROOT / SCRIPTS).rglob("*.js"))
        if not path.as_posix().endswith(NO_TEXTS) and (words := loose(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        'this.say("The link was created.");', "showNote(`${name} left the room.`);", 'label.textContent = "Saved";',
        'button.setAttribute("aria-label", "Close the list");', 'const GONE = "This is no longer here.";',
        'make("p", "note", "Nothing was found");', 'show({ title: "Delete all?", yes: "Delete" });',
    ],
)  # fmt: skip
def test_sentences_of_scripts_are_seen(line: str) -> None:
    assert loose(line)


@pytest.mark.parametrize(
    "line",
    [
        'this.say(t("The link was created."));', 'if (event.key === "Escape") close();', 'make("p", "note is-open");',
        'list.querySelector("input, select");', 'button.className = "button button-small";', 'import "antiphon/x";',
    ],
)  # fmt: skip
def test_other_strings_of_scripts_are_left_alone(line: str) -> None:
    assert loose(line) == []


@pytest.mark.parametrize("app", ["accounts", "chat", "config", "workers"])
def test_no_text_is_looked_up_within_an_f_string(app: str) -> None:
    """Up to Python 3.11 an f-string is one token, in which `translations update` finds no text."""
    looking_up = {"_", "gettext", "gettext_lazy", "ngettext", "pgettext", "npgettext"}
    found = [
        f"{path.relative_to(ROOT)}:{string.lineno}"
        for path in sorted((ROOT / app).rglob("*.py"))
        for string in ast.walk(ast.parse(path.read_text()))
        if isinstance(string, ast.JoinedStr)
        for node in ast.walk(string)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in looking_up
        if node.args and isinstance(node.args[0], ast.Constant)
    ]
    assert found == []
