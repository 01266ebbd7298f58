"""Citations in the text of an answer: only of sources that it has, and never in code or links."""

from __future__ import annotations

from typing import Any

import pytest

from chat.templatetags.sources import cite, sources_of

SOURCES = [{"n": 1, "title": 'A "title" <b>'}, {"n": 2, "title": "B"}, {"n": 12, "title": "L"}]


def link(number: int, title: str) -> str:
    return f'<a class="citation" href="#source-m-{number}" data-source="{number}" title="{title}">[{number}]</a>'


ONE, TWO = link(1, "A &quot;title&quot; &lt;b&gt;"), link(2, "B")


@pytest.mark.parametrize(
    ("html", "cited"),
    [
        ("<p>So [1].</p>", f"<p>So {ONE}.</p>"),
        ("<p>So [1][2] and [1, 2].</p>", f"<p>So {ONE}{TWO} and {ONE}{TWO}.</p>"),
        (
            "<p>[12] [3] [0] [1, 3] [x] [1a] [] [-1] [1234]</p>",
            f"<p>{link(12, 'L')} [3] [0] [1, 3] [x] [1a] [] [-1] [1234]</p>",
        ),
        ("<p><code>a[1]</code> [1]</p>", f"<p><code>a[1]</code> {ONE}</p>"),
        ("<pre><code>a[1]<span>b[2]</span></code></pre>[2]", f"<pre><code>a[1]<span>b[2]</span></code></pre>{TWO}"),
        ('<a href="https://x.example/">see [1]</a>', '<a href="https://x.example/">see [1]</a>'),
        ('<img alt="[1] > [2]"> [1]', f'<img alt="[1] > [2]"> {ONE}'),
        ("a < b [1] > c", f"a < b {ONE} > c"),
        ("", ""),
    ],
)
def test_numbers_of_sources_become_links(html: str, cited: str) -> None:
    assert cite(html, SOURCES, "m") == cited


def test_without_sources_nothing_changes() -> None:
    assert cite("<p>[1]</p>", [], "m") == "<p>[1]</p>"


def message(*sources: Any) -> dict[str, Any]:
    return {"id": "m", "run": {"steps": [{"step": 1}, {"step": 2, "calls": [{"sources": list(sources)}, {}]}]}}


def test_the_sources_of_all_calls_are_listed_once() -> None:
    found = sources_of(
        message(
            {"n": 2, "title": "", "url": "https://www.example.org/a", "passage": "P"},
            {"n": 1, "title": "Evil", "url": "javascript:alert(1)"},
            {"n": 2, "title": "Again", "url": "https://b.example/"},
            {"title": "No number", "url": "https://c.example/"},
            {"n": 3, "title": "", "url": "https://[broken"},
        )
    )
    assert found == [
        {"n": 1, "title": "Evil", "url": "", "host": "", "passage": ""},
        {"n": 2, "title": "example.org", "url": "https://www.example.org/a", "host": "example.org", "passage": "P"},
        {"n": 3, "title": "Source 3", "url": "", "host": "", "passage": ""},
    ]


@pytest.mark.parametrize("run", [None, {}, {"steps": None}, {"steps": [{"step": 1}]}])
def test_answers_without_sources(run: Any) -> None:
    assert sources_of({"id": "m", "run": run}) == []
