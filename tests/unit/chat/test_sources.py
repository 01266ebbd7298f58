"""Citations in the text of an answer: only of sources that it has, and never in code or links."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import Context, Template

from chat.files.sources import cited_numbers
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


def test_sources_are_listed_and_cited_without_scripts() -> None:
    answer = message(
        {"n": 1, "title": "<b>Trains</b>", "url": "https://www.example.org/a?b=1&c=2", "passage": "<script>x</script>"},
        {"n": 2, "title": "Evil", "url": "javascript:alert(1)"},
    )
    answer |= {"status": "complete", "text": "", "html": "<p>So [1] [2] [3].</p>"}
    template = (
        '{% load chat_page sources %}{{ message|answer }}{% include "chat/sources.html" with sources=message|sources_of'
        " prefix=message.id %}"
    )
    html = Template(template).render(Context({"message": answer}))
    assert '<a class="citation" href="#source-m-1"' in html
    assert "[3].</p>" in html
    assert '<li id="source-m-1" value="1">' in html
    link = '<a href="https://www.example.org/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer nofollow">'
    assert f"{link}&lt;b&gt;Trains&lt;/b&gt;</a>" in html
    assert '<span class="source-host">example.org</span>' in html
    assert "javascript:" not in html
    assert "<script>" not in html


def test_passages_of_collections_lead_to_the_file_at_its_page() -> None:
    source = {"n": 2, "title": "a.pdf", "url": "", "passage": "P", "label": "page 12", "file": "0193", "position": 12}
    gone = {"n": 3, "title": "A deleted file", "url": "", "passage": ""}
    found = sources_of({"run": {"sources": [source, gone], "steps": []}})
    assert [(one["n"], one["file"], one["host"], one["page"]) for one in found] == [
        (2, "0193", "page 12", "#page=12"),
        (3, None, "", ""),
    ]
    assert cited_numbers("So [2], and [3; 4]; [x] and [1234] are none.") == {2, 3, 4}
