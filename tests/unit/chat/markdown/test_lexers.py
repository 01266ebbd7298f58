"""The lexers that are allowed: each is tried with the input that makes lexers slow, and stops at its deadline."""

from __future__ import annotations

import time

import pytest

from chat.markdown import lexers, rendering

DEADLINE = 0.005  # seconds; a step between two tokens that takes long would go beyond it
SLACK = 2.0  # a lexer that backtracks takes many seconds; the rest is for a slow machine and a full collection
LINE = lexers.MAX_LINE_CHARS

UNITS = (
    "(", ")", "[", "]", "{", "<", ">", "{{", "{%", "((", "<<", "/*", "//", "#", "--", "'", '"', "`", '"""', "\\", '\\"',
    "\\'", "a", "0", "_", "a.", "a:", "a=", "=", "a(", "a<", "a b", "$", "${", "@", "&", "|", "!", "%", "-", "<!--",
    "<a b=", "\t", "\n", "\r", "\n ", "a\n", "#{", "`${", "$a$", "?", "class a<", "public ", "key: ", "/a/", "*a*",
    "/*a", "(*", "{-", "--[[", "<<a\n", "x='", "é", "<?php ", "\\begin{a}", "a::", "1.", "#|", "=begin\n",
)  # fmt: skip


def fill(unit: str, length: int) -> str:
    """`unit` repeated, in lines and runs as long as a coloured block may have."""
    code = (unit * (length // len(unit) + 1))[:length]
    if code.isspace():
        return (code[: lexers.MAX_BLANK_CHARS - 1] + "x\n") * (length // (lexers.MAX_BLANK_CHARS + 1))
    return code if "\n" in unit else "\n".join(code[start : start + LINE] for start in range(0, length, LINE))


@pytest.mark.parametrize("unit", UNITS)
def test_what_the_lexers_are_tried_with_may_be_coloured(unit: str) -> None:
    assert lexers.is_plain_enough(fill(unit, lexers.MAX_HIGHLIGHT_CHARS - 20))


@pytest.mark.parametrize("language", sorted(lexers.ALLOWED))
def test_no_step_of_an_allowed_lexer_takes_long(language: str) -> None:
    lexer = lexers.find_lexer(language)
    assert lexer is not None
    for unit in UNITS:
        code = fill(unit, lexers.MAX_HIGHLIGHT_CHARS - 20)
        started = time.thread_time()
        try:
            for _ in rendering._until(time.thread_time() + DEADLINE, lexer.get_tokens(code)):
                pass
        except TimeoutError:
            pass
        assert time.thread_time() - started < DEADLINE + SLACK, f"{language}: {unit!r}"


@pytest.mark.parametrize(
    "language",
    ["html+ng2", "html+handlebars", "console", "sqlite3", "postgresql", "matlab", "ocaml", "ini", "text", ""],
)
def test_other_languages_have_no_lexer(language: str) -> None:
    assert lexers.find_lexer(language) is None


@pytest.mark.parametrize(("name", "allowed"), [("py", "python"), ("JS", "javascript"), ("sh", "bash"), ("r", "splus")])
def test_a_language_is_found_by_any_of_its_names(name: str, allowed: str) -> None:
    lexer = lexers.find_lexer(name)
    assert lexer is not None
    assert lexer.aliases[0] == allowed


@pytest.mark.parametrize("outer", ["markdown", "rst"])
def test_code_within_a_document_uses_no_other_lexer(outer: str) -> None:
    block = {
        "markdown": "~~~html+ng2\n{}\n~~~\n```html+ng2\n{}\n```\n",
        "rst": ".. code-block:: html+ng2\n\n   {}\n\n",
    }[outer].replace("{}", "(" * 1_900)
    lexer = lexers.find_lexer(outer)
    assert lexer is not None
    started = time.thread_time()
    list(lexer.get_tokens(block))
    assert time.thread_time() - started < 0.3


@pytest.mark.parametrize("code", ["a" * 20_001, "a" * 2_001, "a\n" * 2 + "\n" * 201, " " * 201])
def test_long_code_is_not_coloured(code: str) -> None:
    assert not lexers.is_plain_enough(code)
