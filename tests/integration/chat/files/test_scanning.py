"""ClamAV: each file goes to clamd while it is joined. clamd here is a server that speaks its protocol."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.models import User
from chat.models import File, Upload
from tests.fixtures.attached import begin, in_storage, put
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading")]


class Clamd(socketserver.StreamRequestHandler):
    """Finds EICAR where a content has that word."""

    def handle(self) -> None:
        assert self.rfile.read(10) == b"zINSTREAM\0"
        content = b""
        while length := struct.unpack("!I", self.rfile.read(4))[0]:
            content += self.rfile.read(length)
        self.wfile.write(b"stream: Eicar-Test-Signature FOUND\0" if b"EICAR" in content else b"stream: OK\0")


@pytest.fixture
def clamd(settings: Any) -> Iterator[socketserver.TCPServer]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Clamd) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        settings.CLAMAV = f"127.0.0.1:{server.server_address[1]}"
        yield server
        server.shutdown()


def finished(alice: User, content: bytes) -> Any:
    browser = logged_in(alice)
    begun = begin(browser, "a.txt", len(content)).json()
    put(browser, begun["id"], 0, content)
    return browser.post(f"/uploads/{begun['id']}/finish/")


@pytest.mark.usefixtures("clamd")
def test_infected_files_are_refused_and_deleted(alice: User, media: Path) -> None:
    assert finished(alice, b"clean").status_code == 200
    kept = in_storage(media)
    refused = finished(alice, b"x" * 300_000 + b"EICAR")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
    assert "Eicar-Test-Signature" in refused.json()["message"]
    assert (File.objects.count(), Upload.objects.count()) == (1, 0)
    assert in_storage(media) == kept


def test_while_clamd_is_away_the_upload_is_kept(
    alice: User, media: Path, clamd: socketserver.TCPServer, settings: Any
) -> None:
    there, settings.CLAMAV = settings.CLAMAV, "127.0.0.1:1"
    refused = finished(alice, b"clean")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert not File.objects.exists()
    settings.CLAMAV = there
    upload = Upload.objects.get()
    assert logged_in(alice).post(f"/uploads/{upload.pk}/finish/").status_code == 200
