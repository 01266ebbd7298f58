"""What `make lock` would run (docs/security.md). Running it needs a package index."""

from __future__ import annotations

import subprocess

import pytest

from tests.stack import ROOT

LOCKED = "var/requirements-locked.txt"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((), "requirements.txt"),
        (("REQUIREMENTS=requirements.txt requirements/ldap.txt",), "requirements.txt requirements/ldap.txt"),
    ],
)
def test_all_that_is_asked_for_is_locked_with_hashes_for_every_python_and_platform(
    arguments: tuple[str, ...], wanted: str
) -> None:
    command = ["make", "--dry-run", "--assume-old=.venv/runtime", "lock", *arguments]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.replace("\\\n", "")
    [compiled] = [line for line in shown.splitlines() if "pip compile" in line]
    assert {"--generate-hashes", "--universal", "--no-build", "--python-version"} <= set(compiled.split())
    assert "--python-version 3.11 " in compiled
    assert compiled.split("--output-file", 1)[1].split() == [LOCKED, *wanted.split()]


def test_the_file_is_not_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files", LOCKED], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    ignored = subprocess.run(["git", "check-ignore", "--quiet", LOCKED], cwd=ROOT, check=False)
    assert (listed, ignored.returncode) == ("", 0)
