"""A finished answer's Markdown as sanitised HTML.

Two independent layers keep hostile text harmless: markdown-it-py runs with raw HTML off, and nh3 then keeps only the
elements and attributes named here. Nothing in the result can load anything: images become links that name them.
`render` never raises. Its limits keep its time short for every input that is known; what is not known is stopped by the
deadline of the process that it runs in (`chat.markdown.pool`). Only that process and the handbook import this module.
"""

from __future__ import annotations

import functools
import html
import itertools
import re
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments.token import STANDARD_TYPES

from chat.markdown.dialect import build_parser
from chat.markdown.events import log
from chat.markdown.lexers import find_lexer, is_plain_enough
from chat.markdown.limits import TooCostlyError, check_text
from chat.markdown.plain import plain, plain_with_note

HIGHLIGHT_SECONDS: Final = 0.5  # of CPU time, for all code blocks of a text together

_LANGUAGE: Final = re.compile(r"[A-Za-z0-9+#._-]{1,30}")

_TAGS: Final = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "blockquote", "pre", "code", "span"),
    *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "a", "div", "sup"),
}
_AUTO: Final = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table")
_ALIGNED: Final = {"align-left", "align-center", "align-right"}
_cleaner: Final = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags={"script", "style", "iframe", "object", "embed", "svg", "math", "template", "noscript"},
    attributes={"*": set(), "a": {"href"}, "ol": {"start"}, "pre": {"data-language"}},
    tag_attribute_values={
        "div": {"tabindex": {"0"}, "dir": {"ltr"}},
        **{tag: {"dir": {"auto", "ltr", "rtl"}} for tag in _AUTO},
        **{tag: {"dir": {"ltr"}} for tag in ("pre", "code", "span")},
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    allowed_classes={
        "a": {"outside-image"},
        "pre": {"code"},
        "span": {name for name in STANDARD_TYPES.values() if name} | {"math", "display"},
        "div": {"table-scroll", "plain", "math", "display"},
        "sup": {"footnote"},
        "ol": {"footnotes"},
        "li": {"task-item"},
        "th": _ALIGNED,
        "td": _ALIGNED,
    },
    link_rel="noopener noreferrer nofollow",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
)


def render(text: str) -> str:
    """The HTML of an answer: a string that may stand in a page as it is. Never raises; an empty text gives ''.

    A text beyond the limits is shown as it was written, with a note that says so.
    """
    try:
        check_text(text)
        parser = _parser()
        env = {"deadline": time.thread_time() + HIGHLIGHT_SECONDS}
        made = _cleaner.clean(parser.renderer.render(parser.parse(text, env), parser.options, env))
        return made or plain(text)  # of link definitions alone, say: an answer with text has HTML
    except TooCostlyError as error:
        log("info", "formatting_skipped", limit=str(error), length=len(text))
    except Exception as error:  # noqa: BLE001 -- a bug in the parser must not lose an answer
        # Not the exception's own words, which may quote the text.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename}:{frame.lineno}"
        log("error", "markdown_failed", error=type(error).__name__, place=place, length=len(text))
    return plain_with_note(text)


class _Renderer(RendererHTML):
    """markdown-it's renderer with our code blocks, tables, and links in place of images."""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[idx]
        alt = self.renderInlineAsText(token.children, options, env) if token.children else ""
        source = str(token.attrs.get("src", ""))
        label = html.escape(alt or source or "image")
        if token.meta.get("linked"):
            return label
        return f'<a href="{html.escape(source)}" class="outside-image">{label}</a>'

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        info = _LANGUAGE.match(tokens[idx].info.strip())
        return _code(tokens[idx].content, info.group() if info else "", float(env["deadline"]))

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return _code(tokens[idx].content, "", 0)

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<div class="table-scroll" tabindex="0"><table{self.renderAttrs(tokens[idx])}>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def code_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<code dir="ltr">{html.escape(tokens[idx].content, quote=False)}</code>'

    def math(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """The TeX; the page sets it (js/conversation/formulas.js)."""
        name = "math display" if tokens[idx].meta["display"] else "math"
        return f'<span class="{name}" dir="ltr">{html.escape(tokens[idx].content, quote=False)}</span>'

    def math_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<div class="math display" dir="ltr">{html.escape(tokens[idx].content, quote=False)}</div>\n'

    def footnote_ref(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f'<sup class="footnote">{tokens[idx].content}</sup>'


@functools.cache
def _parser() -> MarkdownIt:
    return build_parser(_Renderer)


def _code(code: str, language: str, deadline: float) -> str:
    lexer = find_lexer(language) if is_plain_enough(code) else None
    body = html.escape(code, quote=False)
    if lexer:
        try:
            body = _paint(_until(deadline, lexer.get_tokens(code)))
        except TimeoutError:
            log("info", "highlighting_timed_out", language=language, length=len(code))
    label = f' data-language="{html.escape(language)}"' if language else ""
    return f'<pre class="code" dir="ltr"{label}><code>{body}</code></pre>\n'


def _until(deadline: float, tokens: Iterator[tuple[Any, str]]) -> Iterator[tuple[Any, str]]:
    for token in tokens:
        if time.thread_time() > deadline:
            raise TimeoutError
        yield token


def _paint(tokens: Iterator[tuple[Any, str]]) -> str:
    """Tokens as spans with Pygments' short class names; neighbours of one kind share a span."""
    spans: list[str] = []
    for name, run in itertools.groupby(tokens, lambda token: _class_of(token[0])):
        text = html.escape("".join(value for _, value in run), quote=False)
        spans.append(f'<span class="{name}">{text}</span>' if name else text)
    return "".join(spans)


@functools.cache
def _class_of(kind: Any) -> str:
    while kind not in STANDARD_TYPES:
        kind = kind.parent
    return str(STANDARD_TYPES[kind])
