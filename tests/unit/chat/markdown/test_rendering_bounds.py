"""How much work a text may cost, and what is shown where it would cost more."""

from __future__ import annotations

import time

import pytest

from chat.markdown import rendering
from chat.markdown.plain import NOTE, plain
from chat.markdown.rendering import render
from tests.unit.chat.markdown.markup import read

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "text",
    [
        ">" * 10_000,
        "> " * 10_000 + "end",
        "- " * 5_000 + "end",
        "".join("  " * i + "- a\n" for i in range(300)) + "end",
    ],
    ids=["quotes", "spaced quotes", "lists", "indented lists"],
)
def test_what_is_nested_too_deep_is_shown_as_written(text: str) -> None:
    html = render(text)
    assert html.startswith('<div class="plain">')
    assert html.count("&gt;") == text.count(">")
    assert ("end" in html) == ("end" in text)


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "![",
        "*a ",
        "**a **b",
        "](",
        "[a][b",
        "`",
        "<",
        "&",
        "a\n",
        "- a\n\n",
        "|a",
        "http://",
        "`a` ",
        "*_",
        "![](",
        "\n",
        "$",
        "$$",
        "$$a ",
        "$a",
        "\\(a",
        "\\[",
        "\\[a\n",
        "\\begin{align}\n",
        "$$\na\n",
        "[^a]",
        "[^a]:",
        "[^a]: b[^a]\n\n",
        "<br>",
        "**重：",
    ],
)
def test_hostile_input_takes_bounded_time(unit: str) -> None:
    text = unit * (50_000 // len(unit))
    started = time.process_time()
    assert read(render(text)).found == []
    assert time.process_time() - started < 10  # linear takes under a second; quadratic would take minutes


def test_a_megabyte_is_shown_as_written() -> None:
    html = render("**word** " * 120_000)
    assert html.startswith('<div class="plain">**word** ')


def test_highlighting_stops_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "HIGHLIGHT_SECONDS", -1)
    assert (
        render("```python\nx = 1\n```")
        == '<pre class="code" dir="ltr" data-language="python"><code>x = 1\n</code></pre>\n'
    )


def test_a_failing_parser_loses_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(rendering, "_parser", fail)
    assert render("a < b") == f'<div class="plain">a &lt; b</div><p class="plain-note">{NOTE}</p>'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("![" * 30_000, id="images"),
        pytest.param("(" * 10_000 + "\n" + "[" * 10_000, id="brackets"),
        pytest.param("a\n" * 60_000, id="lines"),
        pytest.param("*a_ " * 40_000, id="emphasis"),
        pytest.param("http://a." * 20_000, id="addresses"),
        pytest.param("://" * 10_000, id="schemes"),
        pytest.param("http://a/(((" * 5_000, id="brackets in addresses"),
        pytest.param("mailto:a" * 5_000, id="mail addresses"),
    ],
)
def test_what_costs_too_much_is_shown_as_written_and_says_so(text: str) -> None:
    started = time.process_time()
    html = render(text)
    assert time.process_time() - started < 2
    assert html == f'{plain(text)}<p class="plain-note">{NOTE}</p>'
    assert plain("a < b\nc") == '<div class="plain">a &lt; b\nc</div>'


@pytest.mark.parametrize(
    ("language", "unit", "times"),
    [("html+ng2", "(", 10_000), ("html+ng2", "(", 20_000), ("html+handlebars", "{{", 10_000)],
)
def test_a_language_whose_lexer_backtracks_is_not_coloured(language: str, unit: str, times: int) -> None:
    started = time.process_time()
    html = render(f"```{language}\n{unit * times}\n```")
    assert time.process_time() - started < 2
    assert html == f'<pre class="code" dir="ltr" data-language="{language}"><code>{unit * times}\n</code></pre>\n'


def test_brackets_in_code_do_not_count() -> None:
    assert "plain-note" not in render("```json\n" + "[1, 2],\n" * 9_000 + "```")
