"""The page's script names quotas with the same words as the server."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import Unit
from accounts.quotas.balance import Balance
from accounts.quotas.wording import PERIODS, UNITS, left_sentence, quota_name

pytestmark = pytest.mark.unit


def test_the_script_has_the_words_of_the_server() -> None:
    [script] = (Path(settings.BASE_DIR) / "chat" / "static" / "chat" / "js").rglob("allowance.js")
    text = script.read_text()
    periods = dict(re.findall(r'(\w+): tc\("period of a quota", "([^"]*)"\)', text))
    assert periods == {key: str(value) for key, value in PERIODS.items()}
    for unit, words in UNITS.items():
        [plain, with_model] = re.findall(rf"^  {unit}: .*$", text, re.MULTILINE)
        if unit == Unit.MONEY.value:
            assert "{left} of {limit} left to spend {period}." in plain
            assert "{left} of {limit} left to spend on {model} {period}." in with_model
            continue
        assert f"of {{limit}} {words} left {{period}}." in plain
        assert f"of {{limit}} {words} with {{model}} left {{period}}." in with_model


def test_what_is_left_is_one_sentence() -> None:
    one = Balance(1, "", "messages", "day", Decimal(1), True, None, Decimal(1), Decimal(0))
    many = replace(one, limit=Decimal("1E+3"), used=Decimal(3), model="gpt-5", unit="output_tokens", period="month")
    money = replace(one, limit=Decimal("2.50"), used=Decimal("0.25"), unit="money", period="fixed")
    assert left_sentence(one) == "0 of 1 message left today."
    assert left_sentence(many).replace(",", "") == "997 of 1000 output tokens with gpt-5 left this month."
    assert (
        left_sentence(money) == f"2.25\u202f{settings.CURRENCY} of 2.5\u202f{settings.CURRENCY} left to spend in total."
    )


def test_the_label_of_a_quota_has_all_that_tells_it_from_others() -> None:
    shared = Balance(1, "gpt-5", "messages", "day", Decimal(1), True, None, Decimal(0), Decimal(0), "Research")
    assert quota_name(shared) == "messages · today · gpt-5 · shared by Research"
