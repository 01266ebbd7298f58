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
    periods = dict(re.findall(r'(\w+): tc\("period of a quota", "([^"]*)"\)', text))
    assert periods == {key: str(value) for key, value in PERIODS.items()}
    for unit, words in UNITS.items():
        [plain, with_model] = re.findall(rf"^  {unit}: .*$", text, re.MULTILINE)
        shown = "of spending" if unit == Unit.MONEY.value else str(words)  # the script does not know the currency
        assert f"of {{limit}} {shown} left {{period}}." in plain
        assert f"of {{limit}} {shown} with {{model}} left {{period}}." in with_model
