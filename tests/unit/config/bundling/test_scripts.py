"""Bundles: which modules share a file, what is printed, and what is refused. Node is not needed: Chromium runs them in
tests/e2e.
"""

from __future__ import annotations

import json

import pytest

from chat.views.page_files import HERE, SCRIPTS, VENDOR, module_name, stylesheets
from config.bundling.modules import BundleError, parse
from config.bundling.printing import minify
from config.bundling.scripts import Scripts, bundle
from config.bundling.storage import CONTENTS


def make(**texts: str) -> Scripts:
    """Bundles modules, each by its name with `/` written as `__`."""
    sources = {f"{SCRIPTS}{name.replace('__', '/')}.js": text.encode() for name, text in texts.items()}
    return bundle(sources, {path: module_name(path) for path in sources})


def test_a_page_gets_its_modules_in_one_file_in_the_order_in_which_they_run() -> None:
    made = make(
        main='import { a } from "antiphon/lib/a";\nimport { b as c } from "antiphon/lib/b";\na(c);\n',
        lib__a='/** Comment. */\nimport { b } from "antiphon/lib/b";\nexport function a(x) { return x + b; }\n',
        lib__b="export const b = 1;\n",
    )
    assert made.gone == {"chat/js/lib/a.js", "chat/js/lib/b.js"}
    assert made.files["chat/js/main.js"].splitlines() == [
        "const $0=(()=>{const b=1;",
        "return{b}})();",
        "const $1=(()=>{const {b}=$0;function a(x){return x+b;}",
        "return{a}})();",
        "const $2=(()=>{const {a}=$1;const {b:c}=$0;a(c);",
        "return{}})();",
        "",
        "//# sourceMappingURL=main.js.map",
    ]
    assert made.pages == {"antiphon/main": {"first": ["antiphon/main"], "later": []}}


def test_what_is_imported_later_is_a_file_of_its_own_and_shares_what_the_page_has() -> None:
    made = make(
        main='import { b } from "antiphon/b";\nb(() => import("antiphon/later"));\n',
        b="export const b = (x) => x();\n",
        later='import { b } from "antiphon/b";\nexport class Later { b = b; }\n',
    )
    assert made.pages["antiphon/main"] == {"first": ["antiphon/main"], "later": ["antiphon/later"]}
    assert 'import("antiphon/later")' in made.files["chat/js/main.js"]
    assert "export{$0};" in made.files["chat/js/main.js"]
    later = made.files["chat/js/later.js"]
    assert later.startswith('import{$0}from"antiphon/main";')
    assert "const _0=$2.Later;export{_0 as Later};" in later


def test_what_two_pages_need_at_once_is_one_file_for_all_pages() -> None:
    made = make(
        one='import { both } from "antiphon/both";\nimport { also } from "antiphon/also";\nboth(also);\n',
        two='import { both } from "antiphon/both";\nboth(2);\nimport("antiphon/later");\n',
        three='import { also } from "antiphon/also";\nalso(3);\n',
        both="export const both = String;\n",
        also="export const also = Number;\n",
        later='import { both } from "antiphon/both";\nexport const x = both(3);\n',
    )
    assert made.pages == {
        "antiphon/one": {"first": ["antiphon/one", "antiphon/chunks/pages"], "later": []},
        "antiphon/three": {"first": ["antiphon/three", "antiphon/chunks/pages"], "later": []},
        "antiphon/two": {"first": ["antiphon/two", "antiphon/chunks/pages"], "later": ["antiphon/later"]},
    }
    assert sum("String" in text for name, text in made.files.items() if name.endswith(".js")) == 1


def test_a_module_that_is_imported_at_once_and_later_runs_once() -> None:
    made = make(
        main='import { x } from "antiphon/x";\nx(import("antiphon/x"));\n',
        x="export const x = (y) => y;\n",
    )
    assert made.files["chat/js/x.js"].startswith('import{$0}from"antiphon/main";const _0=$0.x;')


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('import { a } from "antiphon/none";', "there is no such module"),
        ('import { b } from "antiphon/b";', "circle: antiphon/main → antiphon/b → antiphon/main"),
        ('import "antiphon/c";\nexport let x = 1;', r"main.js:2: an exported variable must be a `const`"),
        ('import "antiphon/c";\nawait c();', r"main.js:2: `await` at the top level"),
        ('import "antiphon/c";\nimport(name);', r"`import\(\)` needs a string"),
        ('export * from "antiphon/c";', "an export from another module"),
        ('import "antiphon/c";\nfunction (', "main.js:2: this is no JavaScript"),
    ],
)
def test_what_would_change_its_meaning_is_refused_by_file_and_line(text: str, why: str) -> None:
    with pytest.raises(BundleError, match=why):
        make(
            page='import "antiphon/main";',
            main=text,
            b='import { a } from "antiphon/main";\nexport const b = a;',
            c="c();",
        )


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a = b\n(c)", "a=b\n(c)"),  # a line end that would be read as a call is kept
        ("a = 1;\n// x\nb = 2;", "a=1;b=2;"),
        ("return\n", "return"),
        ("a + +b - -c", "a+ +b- -c"),
        ("a++\nb", "a++\nb"),
        ("`x  ${ a }\n // y`", "`x  ${ a }\n // y`"),
        ("x = /[/]  /g.test(y) / 2", "x=/[/]  /g.test(y)/ 2"),
        ("class A {\n  a = 1\n  b = 2\n}", "class A{a=1\nb=2}"),
        ("/*! Licence */\nx = typeof y in z", "/*! Licence */\nx=typeof y in z"),
        ("\"a  // b\"; 'c'", "\"a  // b\";'c'"),
        ("if (a) b\nelse c", "if(a)b\nelse c"),
    ],
)
def test_white_space_and_comments_go_where_nothing_depends_on_them(text: str, printed: str) -> None:
    source = f"function f() {{ {text} }}" if text.startswith("return") else text
    wanted = f"function f(){{{printed}}}" if text.startswith("return") else printed
    assert minify("x.js", source.encode(), parse(source.encode(), "x.js")).text() == wanted


def test_source_maps_lead_to_the_lines_as_they_were_written() -> None:
    made = make(main='// One.\nimport { b } from "antiphon/b";\n\n\nb("😀"); b();\n', b="\n\nexport const b = 1;\n")
    found = json.loads(made.files["chat/js/main.js.map"])
    assert found["sources"] == ["/chat/js/b.js", "/chat/js/main.js"]
    assert found["sourcesContent"][0] == "\n\nexport const b = 1;\n"
    # Line 1: after `const $0=(()=>{` (15), source 0, line 3, column 7. Line 3: after 15 and `const {b}=$0;` (13).
    assert found["mappings"].split(";")[:3] == ["eAEO", "", "4BCEP"]


def test_all_modules_of_the_site_can_be_bundled() -> None:
    paths = [path.relative_to(HERE).as_posix() for path in (HERE / SCRIPTS).glob("**/*.js")]
    paths += [path for path in VENDOR.values() if module_name(path)]
    made = bundle({path: (HERE / path).read_bytes() for path in paths}, {path: module_name(path) for path in paths})
    assert "antiphon/main" in made.pages
    assert "antiphon/markdown/blocks" in made.pages["antiphon/main"]["later"]
    assert "@license MIT" in made.files["chat/js/markdown/blocks.js"]
    for path, text in made.files.items():
        if path.endswith(".js"):
            parse(text.encode(), path)
    assert CONTENTS not in made.files


def test_every_style_sheet_belongs_to_a_page_or_to_the_staff() -> None:
    shown = {name for names in stylesheets().values() for name in names}
    files = {path.relative_to(HERE).as_posix() for path in (HERE / "chat/css").glob("*.css")}
    assert files - shown == {"chat/css/staff.css", "chat/css/staff-moderation.css"}
    assert shown <= files
