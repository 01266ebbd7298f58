"""What is extracted, what is refused of a translation, and what compiled files contain."""

from __future__ import annotations

import gettext
import io
import json

import pytest
from babel.messages.catalog import Catalog

from config.translation.catalogues import mo_bytes, po_text, script
from config.translation.checks import find_faults
from config.translation.extraction import ExtractionError, Text, is_staff, texts_of, to_catalogue, to_script
from config.translation.languages import LANGUAGES

pytestmark = pytest.mark.unit

JS = "chat/static/chat/js/sidebar/some.js"
DE, AR, JA = LANGUAGES["de"], LANGUAGES["ar"], LANGUAGES["ja"]


def found(name: str, content: str) -> list[tuple[str, str, str]]:
    return [(text.source, text.plural, text.context) for text in texts_of(name, content)]


def test_python_is_read() -> None:
    content = """
a = _("One" " two.")
b = ngettext("%(count)s thing", "%(count)s things", 3)
c = pgettext_lazy("a verb", "Open")
d = _(variable)
e = gettext_noop("Kept.")
"""
    assert found("chat/views/some.py", content) == [
        ("One two.", "", ""), ("%(count)s thing", "%(count)s things", ""), ("Open", "", "a verb"), ("Kept.", "", ""),
    ]  # fmt: skip


def test_templates_are_read() -> None:
    content = """{% load i18n %}<p title="{% translate 'A (title' %}">{{ x|default:_("None") }}</p>
      {% blocktranslate count n=number with who=name trimmed %}
        {{ who }} wrote {{ n }} line
      {% plural %}
        {{ who }} wrote {{ n }} lines
      {% endblocktranslate %}
    {% translate "Open" context "a verb" %} it's <b>"""
    assert found("templates/chat/some.html", content) == [
        ("A (title", "", ""), ("None", "", ""),
        ("%(who)s wrote %(n)s line", "%(who)s wrote %(n)s lines", ""), ("Open", "", "a verb"),
    ]  # fmt: skip


def test_scripts_are_read() -> None:
    content = """import { t, tc, tn } from "antiphon/lib/texts";
say(t("Hello “{name}”", { name }));
say(tn("{count} file", "{count} files", n), tc("a verb", "Open"));
// t("a comment")
other.t(1);
"""
    assert found(JS, content) == [
        ("Hello “%(name)s”", "", ""), ("%(count)s file", "%(count)s files", ""), ("Open", "", "a verb"),
    ]  # fmt: skip


@pytest.mark.parametrize("call", ["t(words)", "t(`Hello ${name}`)", 't("a" + b)', 'tn("one")', 'tc("only a context")'])
def test_a_script_names_its_texts_literally(call: str) -> None:
    with pytest.raises(ExtractionError, match=r"some\.js:1: t[nc]?\(\) needs its text"):
        found(JS, call)


@pytest.mark.parametrize("text", ["100%", "{a} % of {b}", "plain", "{a_b}: done"])
def test_placeholders_of_scripts_come_back(text: str) -> None:
    assert to_script(to_catalogue(text)) == text


def test_what_only_staff_read_is_apart() -> None:
    assert is_staff("templates/admin/base.html")
    assert is_staff("chat/admin/runs.py")
    assert not is_staff("templates/chat/help.html")
    assert not is_staff("chat/views/conversations.py")


def catalogue(text: Text, *forms: str, flags: tuple[str, ...] = ()) -> Catalog:
    made = Catalog(locale="de")
    source = (text.source, text.plural) if text.plural else text.source
    made.add(source, forms if text.plural else forms[0], locations=[(JS, 0)], context=text.context or None, flags=flags)
    return made


@pytest.mark.parametrize(
    ("source", "form", "fault"),
    [
        ("Open", "", "not translated"),
        ("Open", "  ", "not translated"),
        ("%(name)s left.", "Ist gegangen.", "missing: %(name)s"),
        ("%(name)s left.", "%(nam)s ist gegangen.", "does not have: %(nam)s"),
        ("%(done)s %% done", "%(done)s % fertig", "percent sign"),
        ("A <b>bold</b> word", "Ein <b>fettes Wort", "tags"),
        ('<a href="%(url)s">Here</a>', '<a href="%(url)s" class="x">Hier</a>', "tags"),
        ("a&nbsp;b", "a b", "entities"),
        ("End. ", "Ende.", "blanks"),
        ("One\nTwo", "Eins zwei", "line ends"),
    ],
)
def test_a_broken_translation_is_found(source: str, form: str, fault: str) -> None:
    text = Text(source)
    [said] = [one for one in find_faults(DE, catalogue(text, form), [text]) if fault in one]
    assert said.startswith("“")


def test_a_good_translation_has_no_faults() -> None:
    text = Text("%(who)s wrote <b>%(count)s</b> line.", "%(who)s wrote <b>%(count)s</b> lines.")
    made = catalogue(text, "%(who)s schrieb <b>eine</b> Zeile.", "%(who)s schrieb <b>%(count)s</b> Zeilen.")
    assert find_faults(DE, made, [text]) == []


def test_only_forms_for_one_number_may_say_it_in_words() -> None:
    text = Text("%(count)s line", "%(count)s lines")
    assert find_faults(DE, catalogue(text, "eine Zeile", "viele Zeilen"), [text]) == [
        "“%(count)s line”: form “other”: placeholders are missing: %(count)s."
    ]


@pytest.mark.parametrize("forms", [("a",), ("a", "b", "c")])
def test_plural_forms_are_counted(forms: tuple[str, ...]) -> None:
    text = Text("a line", "lines")
    [fault] = find_faults(DE, catalogue(text, *forms), [text])
    assert fault.endswith(f"2 forms are needed, and there are {len(forms)}.")


def test_fuzzy_missing_and_old_texts_are_found() -> None:
    text = Text("Open")
    [fuzzy] = find_faults(DE, catalogue(text, "Öffnen", flags=("fuzzy",)), [text])
    assert "fuzzy" in fuzzy
    [missing, old] = find_faults(DE, catalogue(text, "Öffnen"), [Text("Close")])
    assert "“Close”: not in the catalogue" in missing
    assert "“Open”: no longer used" in old


def test_the_server_reads_what_is_compiled() -> None:
    text = Text("%(count)s line", "%(count)s lines", "in a file")
    forms = ("صفر", "واحد", "اثنان", "%(count)s أسطر", "%(count)s سطرًا", "%(count)s سطر")
    compiled = gettext.GNUTranslations(io.BytesIO(mo_bytes(AR, catalogue(text, *forms))))
    shown = [compiled.npgettext("in a file", text.source, text.plural, number) for number in (0, 1, 2, 5, 50, 100)]
    assert shown == list(forms)


def test_the_script_has_texts_with_all_their_forms() -> None:
    text = Text("%(count)s line", "%(count)s lines")
    made = script(JA, catalogue(text, "%(count)s 行"))
    body = json.loads(made.removeprefix("globalThis.antiphonTexts=").removesuffix(";\n"))
    assert body == {"plurals": ["other"], "texts": {"{count} line": ["{count} 行"]}}
    empty = json.loads(script(DE, catalogue(text, "Zeile", ""))[len("globalThis.antiphonTexts=") : -2])
    assert empty["texts"] == {}


def test_catalogues_have_no_dates_and_no_line_numbers() -> None:
    text = po_text(DE, catalogue(Text("Open"), "Öffnen"))
    assert "Date" not in text
    assert f"#: {JS}\n" in text
    assert '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"' in text
