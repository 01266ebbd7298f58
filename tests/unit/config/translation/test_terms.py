"""One word for one thing in each language: the admin calls things what people's own pages call them."""

from __future__ import annotations

from typing import Final

import pytest
from babel.messages.catalog import Catalog

from config.translation.catalogues import read
from config.translation.languages import LANGUAGES, Language

pytestmark = pytest.mark.unit
# What the pages and what the admin say in English.
TERMS: Final = (
    ("Usage entries", "usage entries"),
    ("Daily usage", "Daily usage"),
    ("Top-ups", "top-ups"),
    ("Erased", "Erased"),
    ("%(user)s is scheduled for erasure. Cancel that first.",) * 2,
)


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_the_ledger_and_erasure_have_the_names_of_the_pages(language: Language) -> None:
    pages, admin = read(language), read(language, staff=True)
    named = {ours: (_said(pages, theirs), _said(admin, ours)) for theirs, ours in TERMS}
    assert {ours: said for ours, said in named.items() if said[0].casefold() != said[1].casefold()} == {}


def _said(catalogue: Catalog, text: str) -> str:
    found = catalogue.get(text)
    assert found is not None, text
    return str(found.string)
