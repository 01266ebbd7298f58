"""The table of what model servers really send (`tests/model_servers/FAULTS.md`) names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

TESTS = Path(__file__).resolve().parents[3]
TABLE = (TESTS / "model_servers" / "FAULTS.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", TABLE)))
CASES = [
    (file, case)
    for cases, file in re.findall(r"with ((?:`[^`]+`(?:, )?)+) in `(fakes/[\w.]+)`", TABLE)
    for case in re.findall(r"`([^`]+)`", cases)
]


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_exists(file: str, test: str) -> None:
    assert re.search(rf"^ *(?:async )?def {test}\(", (TESTS / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize(("file", "case"), CASES)
def test_a_named_case_exists(file: str, case: str) -> None:
    assert f'"{case}": ' in (TESTS / file).read_text()


def test_every_kind_names_a_test() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("| input")]
    assert len(rows) > 40
    assert not [row for row in rows if "::" not in row]


def test_a_slow_model_has_minutes_by_default() -> None:
    assert settings.MODEL_FIRST_CHUNK_TIMEOUT >= 600
    assert settings.MODEL_IDLE_TIMEOUT >= 120
    assert settings.MODEL_TOTAL_TIMEOUT >= 3600
