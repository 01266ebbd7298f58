"""The page's script names quotas with the same words as the server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import Unit
from accounts.quotas.wording import PERIODS, UNITS

pytestmark = pytest.mark.unit


def test_the_script_has_the_words_of_the_server() -> None:
    [script] = (Path(settings.BASE_DIR) / "chat" / "static" / "chat" / "js").rglob("allowance.js")
    text = script.read_text()
    for name, words in (("UNITS", UNITS), ("PERIODS", PERIODS)):
        found = re.search(rf"const {name} = \{{(.*?)\}}", text, re.DOTALL)
        assert found is not None
        shown = dict(re.findall(r'(\w+): "([^"]*)"', found.group(1)))
        shown.pop(Unit.MONEY.value, None)  # the script does not know the currency
        assert shown == {key: str(value) for key, value in words.items() if key != Unit.MONEY.value}
