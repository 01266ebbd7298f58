"""Backups as sets in a folder: dump, stored files and checksums; how many are kept, and whether they are whole."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.config.ops.operating import run
from tests.stack import Stack

pytestmark = pytest.mark.timeout(180)
LOCATION = "from django.core.files.storage import default_storage; print(default_storage.location)"


def test_sets_are_written_kept_and_checked(live: Callable[..., Stack], tmp_path: Path) -> None:
    stack = live(web=0, workers=0)
    root = Path(stack.manage("shell", "--no-imports", "-c", LOCATION).strip())
    (root / "speech" / "ab").mkdir(parents=True, exist_ok=True)
    (root / "speech" / "ab" / "one.wav").write_bytes(b"sound" * 1000)
    (root / "exports").mkdir(exist_ok=True)
    (root / "exports" / "left-out.zip").write_bytes(b"x")
    folder = tmp_path / "backups"
    folder.mkdir()
    for number in (1, 2, 3):  # older sets, and a file of somebody else
        for end in ("dump", "tar", "sha256"):
            (folder / f"antiphon-2026010{number}-000000.{end}").write_text("old")
    (folder / "notes.txt").write_text("mine")

    code, text = run(stack, "backup", str(folder), "--files", "--keep", "2", "--json")
    assert code == 0, text
    made = json.loads(text)
    assert made["stored"] == 1
    assert len(made["removed"]) == 6
    names = sorted(file.name for file in folder.iterdir())
    assert [name for name in names if "20260103" in name]
    assert not [name for name in names if "20260102" in name]
    assert "notes.txt" in names
    assert len(names) == 7
    dump, archive = Path(made["file"]), Path(made["archive"])
    assert dump.stat().st_mode & 0o777 == archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as read:
        assert read.getnames() == ["speech/ab/one.wav"]

    code, text = run(stack, "backup", "--check", str(dump))
    assert (code, text.strip()) == (0, f"{dump} is whole.")
    data = bytearray(archive.read_bytes())
    data[2000] ^= 1
    archive.write_bytes(bytes(data))
    code, text = run(stack, "backup", "--check", str(dump))
    assert code == 1
    assert f"{archive} has changed" in text
    archive.unlink()
    assert "is missing" in run(stack, "backup", "--check", str(dump))[1]


def test_what_is_refused(live: Callable[..., Stack], tmp_path: Path) -> None:
    stack = live(web=0, workers=0)
    code, text = run(stack, "backup", str(tmp_path / "a.dump"), "--keep", "3")
    assert code == 1
    assert "need a folder" in text
    (tmp_path / "b.dump").write_text("no dump")
    code, text = run(stack, "backup", "--check", str(tmp_path / "b.dump"))
    assert code == 1
    assert "pg_restore" in text
    assert list(tmp_path.iterdir()) == [tmp_path / "b.dump"]
