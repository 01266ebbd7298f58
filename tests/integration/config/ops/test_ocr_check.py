"""What the doctor says of the recogniser of text in pictures."""

from __future__ import annotations

from typing import Any

import pytest

from chat.models import Blob, Recognition
from config.ops import installation_checks
from config.ops.diagnosis import Finding, Level
from config.ops.installation_checks import check_ocr
from tests.fixtures.recognisers import NAMED

pytestmark = pytest.mark.django_db


def ask() -> Finding:
    level, said, advice = check_ocr("")
    return Finding("ocr", level, said, advice)


def test_without_the_package_it_says_how_to_get_it(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OCR = "auto"
    monkeypatch.setattr(installation_checks, "engine_path", lambda _setting: "")
    found = ask()
    assert found.level is Level.OK, "it is optional"
    assert "pip install -r requirements/ocr.txt" in found.said


def test_switched_off_it_says_so_alone(settings: Any) -> None:
    settings.OCR = "off"
    assert ask().said == "Text in pictures and scans is not recognised: OCR is off."


@pytest.mark.parametrize("name", ["no_such_package.Engine", f"{NAMED}.NoSuchClass"])
def test_one_that_cannot_be_loaded_is_named(settings: Any, name: str) -> None:
    settings.OCR = name
    found = ask()
    assert found.level is Level.WARN
    assert name in found.said


def test_one_that_works_and_how_often_it_did_not(settings: Any) -> None:
    settings.OCR = f"{NAMED}.Reads"
    assert ask().said == f"Text in pictures and scans is recognised by {NAMED}.Reads."
    blob = Blob.objects.create(sha256="a" * 64, size=1, media_type="image/png", kind="image", path="a", state="read")
    Recognition.objects.create(blob=blob, state="failed")
    found = ask()
    assert found.level is Level.OK
    assert "Of 1 contents it could not be" in found.said
