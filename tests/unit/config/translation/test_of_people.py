"""Which texts of models belong to the catalogue of people's pages: choices, and what is said of what people enter."""

from __future__ import annotations

import pytest

from config.translation.extraction import OF_PEOPLE, extract

pytestmark = pytest.mark.unit


def test_texts_of_models_are_in_the_catalogue_of_their_readers() -> None:
    pages, staff = ({text.source for text in extract(staff=one)} for one in (False, True))
    for said in ("You already have a preset with this name.", "Use only letters, digits, hyphens and underscores.",
                 "Starters must be non-empty texts.", "The address must not contain #.", "Denied"):  # fmt: skip
        assert said in pages
    for said in ("A preset with this name already exists.", "Can decide cases", "Case %(id)s"):
        assert said in staff
        assert said not in pages


def test_everything_that_is_named_exists() -> None:
    from django.apps import apps

    modules = {model.__module__ for model in apps.get_models()} | {"accounts.models.choices", "chat.models.statuses"}
    defined = {name for module in modules if module.split(".")[1:2] == ["models"] for name in vars(__import__(
        module, fromlist=["_"]))}  # fmt: skip
    assert set(OF_PEOPLE) <= defined
