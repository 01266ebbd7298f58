"""Each language that is offered is complete: every text of the pages, every form, nothing broken, compiled."""

from __future__ import annotations

import gettext
import itertools

import pytest
from django.conf import settings

from config.translation.catalogues import compiled, forms_of, read
from config.translation.checks import find_faults
from config.translation.extraction import Text, extract
from config.translation.languages import LANGUAGES

pytestmark = pytest.mark.unit

OFFERED = [code for code, _ in settings.LANGUAGES if code != "en"]
ADMIN = [code for code in settings.ADMIN_LANGUAGES if code != "en"]


@pytest.fixture(scope="module")
def texts() -> list[Text]:
    return extract()


def test_texts_are_found_in_all_places(texts: list[Text]) -> None:
    ends = {name.rpartition(".")[2] for text in texts for name in text.files}
    assert ends == {"html", "js", "py", "txt"}
    assert len(texts) > 1_000


@pytest.mark.parametrize("code", OFFERED)
def test_an_offered_language_is_complete(code: str, texts: list[Text]) -> None:
    language = LANGUAGES[code]
    faults = find_faults(language, read(language), texts)
    assert not faults, f"`manage.py translations check {code}`: {faults[:20]}"


@pytest.mark.parametrize("code", ADMIN)
def test_a_language_of_the_admin_is_complete(code: str) -> None:
    language = LANGUAGES[code]
    faults = find_faults(language, read(language, staff=True), extract(staff=True))
    assert not faults, f"`manage.py translations check {code} --admin`: {faults[:20]}"


@pytest.mark.parametrize("staff", [False, True])
def test_no_catalogue_has_the_texts_of_another(staff: bool) -> None:
    """Whole sentences are the same in no two languages: a file was once put into the wrong catalogue."""
    sentences: dict[str, set[str]] = {}
    for code in ADMIN if staff else OFFERED:
        found = {form for message in read(LANGUAGES[code], staff=staff) if message.id for form in forms_of(message)}
        sentences[code] = {form for form in found if len(form.split()) > 5}
    for one, other in itertools.combinations(sentences, 2):
        shared = sentences[one] & sentences[other]
        assert len(shared) <= 3, (one, other, sorted(shared)[:5])


@pytest.mark.parametrize("code", OFFERED)
def test_compiled_files_are_those_of_the_catalogue(code: str) -> None:
    for path, content in compiled(LANGUAGES[code]).items():
        assert path.read_bytes() == content, f"`manage.py translations compile {code}`"


def test_the_admin_has_no_language_that_the_pages_lack() -> None:
    assert set(settings.ADMIN_LANGUAGES) <= {code for code, _ in settings.LANGUAGES}
    assert set(OFFERED) <= set(LANGUAGES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_plural_forms_are_those_of_gettext(code: str) -> None:
    """The rule that goes into compiled files picks as many forms as there are names."""
    language = LANGUAGES[code]
    rule = gettext.c2py(language.rule)
    assert {rule(number) for number in range(1_000)} == set(range(len(language.plurals)))
