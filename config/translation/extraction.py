"""Finds the texts that are to be translated in Python, templates and JavaScript. Nothing is imported or run.

In JavaScript they are the literal arguments of `t`, `tn` and `tc` (`chat/static/chat/js/lib/texts.js`); elsewhere, what
Django's own `makemessages` finds, without GNU gettext. Catalogues know one way to write a placeholder, Python's: the
`{name}` of a script is `%(name)s` there, so a sentence that pages and scripts share is translated once.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from babel.messages.extract import extract_python
from django.conf import settings
from django.utils.translation.template import templatize
from tree_sitter import Node

from config.bundling.modules import BundleError, parse

KEYWORDS: Final = (
    "_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy",
    "pgettext", "pgettext_lazy", "npgettext", "npgettext_lazy",
)  # fmt: skip
CONTEXTS: Final = frozenset(name for name in KEYWORDS if "pgettext" in name)
PLURALS: Final = frozenset(name for name in KEYWORDS if name.startswith("n"))
BRACES: Final = re.compile(r"\{(\w+)\}")
NAMED: Final = re.compile(r"%\((\w+)\)s")
COMMENT: Final = "Translators:"
FOLDERS: Final = ("accounts", "chat", "config", "workers", "templates")
SCRIPTS: Final = "chat/static/chat/js/"
# What only staff read has a catalogue of its own (`settings.ADMIN_LOCALE`), so that it can be completed later.
STAFF: Final = (
    "templates/admin/", "templates/unfold/", "templates/workers/", "templates/chat/admin/", "accounts/admin/",
    "accounts/staff/", "chat/admin/", "chat/dashboard/", "workers/admin/", "config/staff/", "config/management/",
    "config/translation/",
)  # fmt: skip
# What only staff read, but for some choices, and for what is said of what people enter: classes, functions, constants.
MODELS: Final = ("accounts/models/", "chat/models/", "workers/models/")
OF_PEOPLE: Final = frozenset(
    (
        *("MentionMails", "Effort", "ShareKind", "ShareAudience", "ReportReason", "Role", "ServerKind", "CallStatus"),
        *("PRESET_NAME_TAKEN", "PROMPT_NAME_TAKEN", "NAME_REFUSED", "check_starters", "check_tools"),
        *("check_server_address", "check_headers", "check_server"),
    )
)


@dataclass
class Text:
    """A text to be translated. `files`: where it is, as paths from the repository's root."""

    source: str
    plural: str = ""
    context: str = ""
    files: set[str] = field(default_factory=set)
    comments: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        return self.source, self.context


class ExtractionError(Exception):
    """A call whose text cannot be read without running it, in a sentence that names its file and line."""


def extract(*, staff: bool = False) -> list[Text]:
    """All texts: of pages that users see, or of what only staff read. Raises `ExtractionError`."""
    found: dict[tuple[str, str], Text] = {}
    for path in sorted(_files()):
        name = path.relative_to(settings.BASE_DIR).as_posix()
        content = path.read_text()
        if name.startswith(MODELS):
            content = _of_people(content, left_out=staff)
        elif is_staff(name) != staff:
            continue
        for text in texts_of(name, content):
            known = found.setdefault(text.key, text)
            if known.plural and text.plural and known.plural != text.plural:
                raise ExtractionError(f"{name}: {text.source!r} has two plurals; give one of them a context.")
            known.plural = known.plural or text.plural
            known.files.add(name)
            known.comments += [one for one in text.comments if one not in known.comments]
    return sorted(found.values(), key=lambda text: (min(text.files), text.key))


def is_staff(name: str) -> bool:
    """Whether only staff read what a file says."""
    return name.startswith(STAFF) or name.endswith("/admin.py")


def texts_of(name: str, content: str) -> Iterator[Text]:
    """The texts in a file with this path. Raises `ExtractionError`."""
    if name.startswith(SCRIPTS):
        yield from _in_script(name, content)
    elif name.endswith(".py"):
        yield from _in_python(content)
    else:
        # Parentheses: the rest of the template is no Python, and its indentation means nothing.
        yield from _in_python(f"(\n{templatize(content, origin=name)}\n)")


def _of_people(content: str, *, left_out: bool) -> str:
    """A module with only what `OF_PEOPLE` names, or without that."""
    found = [node for node in ast.parse(content).body if left_out != (_name(node) in OF_PEOPLE)]
    return "\n".join(ast.get_source_segment(content, node) or "" for node in found)


def _name(node: ast.stmt) -> str:
    """Of a class, a function, or a constant with a type."""
    target = node.target if isinstance(node, ast.AnnAssign) else None
    return target.id if isinstance(target, ast.Name) else str(getattr(node, "name", ""))


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in (settings.BASE_DIR / folder).rglob("*"):
            is_template = folder == "templates" and path.suffix in (".html", ".txt", ".js")
            is_script = path.suffix == ".js" and path.relative_to(settings.BASE_DIR).as_posix().startswith(SCRIPTS)
            if is_template or is_script or path.suffix == ".py":
                yield path


def _in_python(content: str) -> Iterator[Text]:
    options: Any = {"encoding": "utf-8"}
    found = extract_python(io.BytesIO(content.encode()), dict.fromkeys(KEYWORDS), [COMMENT], options)
    for _line, function, messages, comments in found:
        given: Any = messages  # one text, several, or None for what is no literal
        arguments: list[Any] = [given] if isinstance(given, str) else list(given or ())
        context = arguments.pop(0) if function in CONTEXTS and arguments else ""
        wanted = arguments[: 2 if function in PLURALS else 1]
        if not wanted or any(not isinstance(one, str) or not one for one in wanted) or context is None:
            continue  # a variable: what it holds is marked where it is written
        notes = [str(one).removeprefix(COMMENT).strip() for one in comments or ()]
        yield Text(str(wanted[0]), str(wanted[1]) if len(wanted) > 1 else "", str(context), comments=notes)


def _in_script(name: str, content: str) -> Iterator[Text]:
    try:
        root = parse(content.encode(), name)
    except BundleError as error:
        raise ExtractionError(str(error)) from error
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting.extend(reversed(node.children))
        function = node.child_by_field_name("function") if node.type == "call_expression" else None
        called = function.text.decode() if function is not None and function.text else ""
        if called in ("t", "tn", "tc") and not name.endswith("/lib/texts.js"):
            yield _call(name, node, called)


def _call(name: str, node: Node, called: str) -> Text:
    arguments = node.child_by_field_name("arguments")
    given = arguments.named_children if arguments is not None else []
    wanted = given[: 1 if called == "t" else 2]
    if len(wanted) < (1 if called == "t" else 2) or any(one.type != "string" for one in wanted):
        raise ExtractionError(f"{name}:{node.start_point.row + 1}: {called}() needs its text as a literal string.")
    values = [to_catalogue(_literal(one)) for one in wanted]
    if called == "tc":
        return Text(values[1], context=values[0])
    return Text(values[0], values[1] if called == "tn" else "")


def to_catalogue(text: str) -> str:
    """A script's text as catalogues have it."""
    return BRACES.sub(r"%(\1)s", text.replace("%", "%%")) if BRACES.search(text) else text


def to_script(text: str) -> str:
    """The reverse of `to_catalogue`."""
    return NAMED.sub(r"{\1}", text).replace("%%", "%") if NAMED.search(text) else text


def _literal(node: Node) -> str:
    assert node.text is not None
    text = node.text.decode()
    value: str = json.loads(text if text[0] == '"' else f'"{text[1:-1]}"')
    return value
