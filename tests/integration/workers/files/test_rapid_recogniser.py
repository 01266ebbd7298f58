"""RapidOCR with the models of its wheel, in the real child. Skipped where requirements/ocr.txt is not installed."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from accounts.models import User
from chat.models import FileText
from tests.integration.workers.files.conftest import Keep
from workers.files.reading import read_blob
from workers.files.recognising import recognise_blob
from workers.files.recognition.engines import engine_path

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not engine_path("auto"), reason="requirements/ocr.txt is not installed"),
]


@pytest.fixture(autouse=True)
def recogniser(settings: Any) -> None:
    settings.OCR = "auto"


def drawn(kind: str, size: tuple[int, int], *lines: str) -> bytes:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for at, text in enumerate(lines):
        draw.text((40, 40 + 60 * at), text, font=ImageFont.load_default(36), fill="black")
    made = io.BytesIO()
    image.save(made, kind)
    return made.getvalue()


def test_a_picture_and_a_scan(alice: User, keep: Keep) -> None:
    """Within the child's own limits of memory and time."""
    picture = keep(alice, drawn("PNG", (600, 160), "Invoice 2026"), "a.png", "image", "image/png").blob
    lines = ["The heron came to the pond", "and left again.", "Total 1,204.50"]
    scan = keep(alice, drawn("PDF", (1240, 1754), *lines), "a.pdf", "pdf", "application/pdf").blob
    for blob in (picture, scan):
        assert read_blob(blob.pk)
        assert recognise_blob(blob.pk)
    assert FileText.objects.get(blob=picture).text == "Invoice 2026"
    said = FileText.objects.get(blob=scan)
    assert said.text.splitlines()[:3] == lines
    assert said.label == "page 1, recognised text"
