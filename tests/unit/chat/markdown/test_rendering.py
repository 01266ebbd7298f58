"""`chat.markdown.rendering.render`: what people see of an answer, and that nothing in one can run or load anything."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.markdown import rendering
from chat.markdown.rendering import render
from tests.unit.chat.markdown.markup import Reader, read

pytestmark = pytest.mark.unit

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
    rest = 'class="outside-image" target="_blank" rel="noopener noreferrer nofollow">a cat</a>'
    link = f'<a href="https://x.example/cat.png" {rest}'
    assert render("![a cat](https://x.example/cat.png)") == f'<p dir="auto">{link}</p>\n'


def test_an_image_inside_a_link_keeps_its_words() -> None:
    html = render("[![badge](https://x.example/b.svg)](https://y.example)")
    assert "badge" in html
    assert "img" not in read(html).tags


def test_code_is_highlighted_and_carries_its_language() -> None:
    html = render("```python\nprint('<hi>')\n```")
    assert html.startswith('<pre class="code" dir="ltr" data-language="python"><code><span class="nb">print</span>')
    assert "&lt;hi&gt;" in html


def test_code_of_an_unknown_language_is_kept_to_the_letter() -> None:
    assert "  a\n\n  &lt;b&gt;\n" in render("```nonsuch\n  a\n\n  <b>\n```")


@pytest.mark.parametrize("language", ["python", "javascript", "html", "bash", "json", "sql", "console", "diff"])
def test_highlighting_never_changes_code(language: str) -> None:
    code = "\n\n  $ a <b> & 'c'\n\t\n\n"
    html = render(f"```{language}\n{code}```")
    kept: list[str] = []
    reader = Reader()
    reader.handle_data = kept.append  # type: ignore[method-assign,assignment]  # collects the text between tags
    reader.feed(html)
    reader.close()
    assert "".join(kept).removesuffix("\n") == code


def test_tables_scroll_and_keep_their_alignment() -> None:
    html = render("|a|b|\n|:-|-:|\n|1|2|")
    assert html.startswith('<div class="table-scroll" tabindex="0"><table dir="auto">')
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
        '<h1 dir="auto">H</h1>',
        "<s>a</s>",
        "<strong>b</strong>",
        "<em>c</em>",
        '<ol start="3" dir="auto">',
        '<blockquote dir="auto">',
        "<hr>",
    ):
        assert piece in html


def test_nothing_gives_nothing() -> None:
    assert render("") == ""
