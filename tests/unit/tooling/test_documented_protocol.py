"""docs/protocol.md and docs/operations.md name what the code has: commands and fields, features, codes, log events."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from chat.protocol import errors
from chat.protocol.commands import AnyCommand
from chat.protocol.limits import FEATURES

ROOT = Path(__file__).parents[3]
PROTOCOL = (ROOT / "docs/protocol.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()


def section(text: str, heading: str) -> str:
    return text.partition(heading)[2].partition("\n## ")[0].partition("\n### ")[0]


def first_cells(table: str) -> set[str]:
    """The names in backticks in the first column."""
    return {
        name for cell in re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`([^`]+)`", cell)
    }


def test_commands() -> None:
    told = first_cells(section(PROTOCOL, "### Commands (client → server)"))
    tags = {str(command.__struct_config__.tag) for command in get_args(AnyCommand)}
    assert told == tags - {"pong"}  # a notice answers it


@pytest.mark.parametrize("command", get_args(AnyCommand), ids=lambda command: str(command.__struct_config__.tag))
def test_fields_of_commands(command: type) -> None:
    tag = str(command.__struct_config__.tag)  # type: ignore[attr-defined]  # msgspec sets it
    [row] = re.findall(
        rf"^\|[^|]*`{re.escape(tag)}`.*", section(PROTOCOL, "### Commands (client → server)"), re.MULTILINE
    ) or [""]
    fields = set(command.__struct_fields__) - {"ref", "traceparent"}  # type: ignore[attr-defined]  # as above
    assert [name for name in sorted(fields) if not re.search(rf"\b{name}\b", row)] == []


def test_features() -> None:
    [row] = re.findall(r"^\| `hello` .*", PROTOCOL, re.MULTILINE)
    assert [name for name in (*FEATURES, "voice", "speech") if f"`{name}`: " not in row] == []


def test_error_codes() -> None:
    told = section(PROTOCOL, "## 5. Error codes")
    known = {one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.ChatError)}
    assert [code for code in sorted(known) if f"`{code}`" not in told] == []


def test_log_events() -> None:
    told = {
        name for name in first_cells(section(OPERATIONS, "## Log lines")) if re.fullmatch(r"[a-z]+(_[a-z]+)+", name)
    }
    folders = ("accounts", "chat", "config", "workers")
    code = "\n".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert len(told) > 60
    assert [name for name in sorted(told) if f'"{name}"' not in code] == []
