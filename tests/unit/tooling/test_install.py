"""`.ci/install`, with a Python and a pip that only pretend; and what `make help` says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PIP = '#!/bin/sh\necho "pip $*"\nexit {code}\n'
PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) exit {old} ;;
  *python_version*) echo 3.13.5 ;;
  "-m venv .venv") {venv} ;;
esac
"""
VENV = "mkdir -p .venv/bin && cp pip .venv/bin/pip && cp python .venv/bin/python"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it runs, with a `python` and a `pip` that work."""
    write(tmp_path / "python", PYTHON.format(old=0, venv=VENV))
    write(tmp_path / "pip", PIP.format(code=0))
    (tmp_path / "requirements.txt").touch()
    return tmp_path


def write(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)


def install(folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHON": str(folder / "python"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [ROOT / ".ci/install", "requirements.txt", ".venv/runtime"],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_each_step_is_said_and_only_wheels_are_taken(folder: Path) -> None:
    done = install(folder)
    assert done.returncode == 0, done.stderr
    assert [re.sub(r"^ +\d+ s  ", "", line) for line in done.stdout.splitlines()] == [
        "Creating .venv with Python 3.13.5",
        "Installing requirements.txt (once, about a minute)",
        "pip install --quiet --no-compile --only-binary :all: -r requirements.txt",
        "Installed",
    ]
    assert (folder / ".venv/runtime").exists()
    assert "Creating" not in install(folder).stdout, "a .venv that works is kept"


def test_a_venv_whose_python_is_gone_is_made_again(folder: Path) -> None:
    install(folder)
    (folder / ".venv/bin/python").unlink()
    (folder / ".venv/bin/python").symlink_to("/nowhere/python3.11")
    done = install(folder)
    assert done.returncode == 0, done.stderr
    assert "Removing .venv: its Python is gone" in done.stdout
    assert "Creating .venv" in done.stdout


@pytest.mark.parametrize(
    ("python", "pip", "words"),
    [
        (PYTHON.format(old=1, venv=VENV), 0, "Python 3.11 or newer is needed: install it, or name it"),
        (PYTHON.format(old=0, venv="exit 1"), 0, "install its venv module (Debian: apt install python3-venv)"),
        (PYTHON.format(old=0, venv=VENV), 1, "There are wheels for\nPython 3.11 to 3.14 on Linux (x86-64, arm64)"),
    ],
)
def test_what_is_missing_is_said_and_nothing_counts_as_installed(
    folder: Path, python: str, pip: int, words: str
) -> None:
    write(folder / "python", python)
    write(folder / "pip", PIP.format(code=pip))
    done = install(folder)
    assert done.returncode == 1
    assert words in done.stderr
    assert not (folder / ".venv/runtime").exists()


def test_make_help_names_every_target_and_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    shown = re.findall(r'^\t@echo "make ([\w |-]+)', makefile.split("\nup:")[0], re.MULTILINE)
    named = {word.strip() for line in shown for word in re.split(r"\||  +", line)[: 1 + line.count("|")]}
    assert named == phony - {"help"}
