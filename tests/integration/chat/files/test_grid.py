"""Everybody who might read a file, by everything that is kept of it, by everything that can be done with it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from accounts.lib.link_secrets import new_secret
from accounts.models import User
from chat.models import Blob, File, FileText, Member, Role, ShareLink
from tests.conftest import make_user
from tests.fixtures.attached import PNG, in_storage, stored
from tests.fixtures.people import logged_in, staff_client
from tests.fixtures.run_rows import say

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading"),
]  # fmt: skip

THUMBNAIL: Final = b"RIFF\0\0\0\0WEBP"
TEXT: Final = "Crocodiles wait."
PARTS: Final = {"original": "", "thumbnail": "thumbnail/", "text": "text/"}
NOTHING: Final = {"see": False, "download": False, "delete": False}
READS: Final = {"see": True, "download": True, "delete": False}
ALL: Final = {"see": True, "download": True, "delete": True}
# Staff have no page that shows a file: in the admin they download the original, and delete the file with its parts.
GRID: Final = {
    "owner": {"original": ALL, "thumbnail": ALL, "text": ALL},
    "editor": {"original": READS, "thumbnail": READS, "text": READS},
    "viewer": {"original": READS, "thumbnail": READS, "text": READS},
    "stranger": {"original": NOTHING, "thumbnail": NOTHING, "text": NOTHING},
    "share": {"original": READS, "thumbnail": READS, "text": READS},
    "staff": {
        "original": {"see": False, "download": True, "delete": True},
        "thumbnail": {"see": False, "download": False, "delete": True},
        "text": {"see": False, "download": False, "delete": True},
    },
}


@pytest.fixture
def file(alice: User) -> File:
    """Alice's picture in a conversation of hers, with a thumbnail and a text that was recognised in it."""
    made = stored(alice, "a.png", PNG)
    say(alice, "See", attachments=[made.pk], ask=False)
    Blob.objects.update(state="read", thumbnail=default_storage.save("thumb.webp", ContentFile(THUMBNAIL)))
    FileText.objects.create(blob=made.blob, position=0, label="", text=TEXT)
    made.refresh_from_db()
    return made


def member(file: File, role: Role) -> Client:
    user = make_user("Bea")
    assert file.conversation is not None
    Member.objects.create(conversation=file.conversation, user=user, role=role)
    return logged_in(user)


def shared(file: File) -> str:
    """The address of a file below a share link that shows files."""
    assert file.conversation is not None
    assert file.owner is not None
    secret, token_hash = new_secret()
    ShareLink.objects.create(
        conversation=file.conversation, created_by=file.owner, token_hash=token_hash, kind="live", audience="anyone",
        expires_at=timezone.now() + timedelta(days=1), show_files=True,
    )  # fmt: skip
    return f"/s/{secret}/files/{file.pk}/"


def got(browser: Client, url: str) -> tuple[int, bytes, bool]:
    """(status, body, whether a browser shows it instead of saving it)"""
    answer: Any = browser.get(url)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    answer.close()
    return answer.status_code, body, not str(answer.headers.get("Content-Disposition", "")).startswith("attachment")


def is_part(part: str, body: bytes) -> bool:
    """Whether a body has what is stored."""
    if part == "text":
        return [one["text"] for one in json.loads(body)["parts"]] == [TEXT]
    return body == {"original": PNG, "thumbnail": THUMBNAIL}[part]


def left(file: File, media: Path) -> dict[str, bool]:
    """What there still is of a file, in the database and in the storage."""
    assert file.blob.thumbnail is not None
    return {
        "original": file.blob.path in in_storage(media) and File.objects.exists(),
        "thumbnail": file.blob.thumbnail in in_storage(media),
        "text": FileText.objects.exists(),
    }


@pytest.mark.parametrize("who", GRID)
def test_see_download_delete(file: File, alice: User, mallory: User, media: Path, settings: Any, who: str) -> None:
    settings.SHARE_WITH_ANYONE = True
    base, admin = f"/attachments/{file.pk}/", f"/admin/chat/file/{file.pk}/"
    match who:
        case "owner":
            browser = logged_in(alice)
        case "editor":
            browser = member(file, Role.EDITOR)
        case "viewer":
            browser = member(file, Role.VIEWER)
        case "stranger":
            browser = logged_in(mallory)
        case "share":
            browser, base = Client(), shared(file)
        case _:
            browser = staff_client("view_file", "delete_file", "read_message_body")
    found: dict[str, dict[str, bool]] = {part: {} for part in PARTS}
    for part, way in PARTS.items():
        status, body, shown = got(browser, f"{base}{way}?view=1")
        found[part]["see"] = status == 200 and shown and is_part(part, body)
        status, body, _ = got(browser, f"{admin}content/" if (who, part) == ("staff", "original") else base + way)
        found[part]["download"] = status == 200 and is_part(part, body)
    for way in ("thumbnail/", "text/"):  # not one by one: they go with the original
        assert browser.delete(base + way).status_code in (403, 404, 405)
    assert left(file, media) == dict.fromkeys(PARTS, True)
    if who == "staff":
        browser.post(f"{admin}delete/", {"post": "yes"})
    else:
        browser.delete(base)
    for part, stays in left(file, media).items():
        found[part]["delete"] = not stays
    assert found == GRID[who]
    if found["original"]["delete"]:
        assert [got(logged_in(alice), f"/attachments/{file.pk}/{way}")[0] for way in PARTS.values()] == [404] * 3
