"""Twenty files that are made to harm what reads them: each says why it was not read, and the worker stays small."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Final

import pytest
from django.db import connection

from accounts.models import User
from chat.models import Blob
from tests import made_files as made
from tests.fixtures.measurements import measured
from tests.integration.workers.files.conftest import Keep
from workers.files.process import MEMORY_BYTES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]
WORKER_MIB: Final = 80  # that the worker itself may grow by, whatever it has others read

# A worker that has read nothing yet: so its peak is that of these files.
_WORKER: Final = r"""
import json, os, re, resource, sys, uuid
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import django
django.setup()
from django.conf import settings
from django.db import connections
connections["default"].settings_dict["NAME"] = sys.argv[1]
settings.STORAGES["default"] = {
    "BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": sys.argv[2]}
}
from workers.files.reading import read_blob
def peak():  # not `ru_maxrss`, which a process has from the one that started it
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
before = peak()
for name in sys.argv[3:]:
    read_blob(uuid.UUID(name))
print(json.dumps([peak() - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


def text_bomb() -> bytes:
    """A PNG whose comment unpacks to 100 MB."""
    comment = b"Comment\0\0" + zlib.compress(b" " * 100_000_000, 9)
    return made.image()[:33] + made.png_chunk(b"zTXt", comment) + made.image()[33:]


def hostile() -> list[tuple[str, bytes, str, str, str]]:
    """(what it is, content, kind, media type, the reason that its file shows)"""
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'>" + b"<g>" * 100_000
    deep_xml = b"<a>" * 300_000 + b"</a>" * 300_000
    spaces = b"<a>" + b" " * 30_000_000 + b"</a>"
    return [
        ("pixels", made.pixel_bomb(), "image", "image/png", "too_many_pixels"),
        ("comment", text_bomb(), "image", "image/png", "broken"),
        ("cut picture", made.image((900, 900), "JPEG")[:700], "image", "image/jpeg", "broken"),
        ("cut HEIC", made.image((90, 60), "HEIF")[:300], "image", "image/heic", "broken"),
        ("page as picture", b"<html><script>x()</script>", "image", "image/png", "broken"),
        ("picture with a page behind", made.image(kind="GIF") + b"<script>x()</script>", "image", "image/gif", ""),
        ("scripts", svg, "text", "image/svg+xml", ""),
        ("encrypted", made.encrypted_pdf(), "pdf", "application/pdf", "encrypted"),
        ("cut PDF", made.pdf(["Good"])[:60], "pdf", "application/pdf", "broken"),
        ("PDF bomb", made.pdf_bomb(), "pdf", "application/pdf", "too_much_memory"),
        ("pages", made.pdf(["Page"] * 2_001), "pdf", "application/pdf", "too_many_pages"),
        ("laughs", made.laughing_docx(), "document", made.DOCX, "broken"),
        ("zip bomb", made.zipped({"word/document.xml": spaces}), "document", made.DOCX, "unpacks_too_large"),
        ("entries", made.zipped({f"{at}": b"" for at in range(20_001)}), "document", made.PPTX, "unpacks_too_large"),
        ("depth", made.zipped({"content.xml": deep_xml}, stored=["content.xml"]), "document", made.ODT, "no_text"),
        ("book bomb", made.zipped({"META-INF/container.xml": spaces}), "document", made.EPUB, "unpacks_too_large"),
        ("workbook", made.zipped({"xl/workbook.xml": "<nonsense/>"}), "table", made.XLSX, "broken"),
        ("one line", b"x" * 6_000_000, "text", "text/plain", "too_long"),
        ("deep page", b"<div>" * 200_000, "document", "text/html", "no_text"),
        ("program", b"\x7fELF" + bytes(200), "other", "application/octet-stream", "unsupported"),
    ]


def test_twenty_hostile_files_leave_the_worker_small(alice: User, keep: Keep, media: Path) -> None:
    files = hostile()
    blobs = [keep(alice, content, what, kind, media_type).blob for what, content, kind, media_type, _ in files]
    database = str(connection.settings_dict["NAME"])
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, database, str(media), *(str(one.pk) for one in blobs)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    worker, largest = (kib / 1024 for kib in json.loads(done.stdout.splitlines()[-1]))
    measured("20 hostile files", f"worker +{worker:.0f} MiB, its largest child {largest:.0f} MiB")
    reasons = dict(Blob.objects.values_list("pk", "reason"))
    assert [(what, reasons[blob.pk]) for (what, *_), blob in zip(files, blobs, strict=True)] == [
        (what, reason) for what, *_, reason in files
    ]
    assert not Blob.objects.filter(state="pending").exists()
    assert worker < WORKER_MIB
    assert largest * 2**20 <= MEMORY_BYTES
