"""The settings that the documentation names exist, its tables have their defaults, and none is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAME = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`")
# Read by something else than `config.settings`: OpenTelemetry, HTTP clients, `manage.py up`, Linux.
ELSEWHERE = re.compile(r"OTEL_\w+|HTTPS_PROXY|ADMIN_EMAIL|ADMIN_PASSWORD|ANTIPHON_USER|CAP_\w+|TIKTOKEN_CACHE_DIR")
# For benches, and a former name that is refused.
UNDOCUMENTED = {"TIMING_STAMPS", "SIGNUP_OPEN"}
# Whose default a table says in words.
IN_WORDS = {
    "SYSTEM_PROMPT", "HTTPS", "EMAIL_PORT", "DEEPGRAM_URL", "ASSEMBLYAI_URL", "SPEECHMATICS_URL", "OPENAI_REALTIME_URL",
}  # fmt: skip


def read_settings() -> dict[str, Any]:
    """The variables that `config` reads, each with the default in its call; None where that is computed."""
    found: dict[str, Any] = {}
    for path in (ROOT / "config").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (named := _variable(node)):
                name, default = named
                found[name] = found.get(name) if default is None else default
    return found


def _variable(call: ast.Call) -> tuple[str, Any] | None:
    """`env.int("NAME", default, …)` or `count_or_off(env, "NAME", default)`."""
    given = call.args
    if isinstance(call.func, ast.Attribute):
        if not isinstance(call.func.value, ast.Name) or call.func.value.id != "env":
            return None
    elif given and isinstance(given[0], ast.Name) and given[0].id == "env":
        given = given[1:]
    else:
        return None
    if not given or not isinstance(given[0], ast.Constant) or not isinstance(given[0].value, str):
        return None
    default = given[1] if len(given) > 1 else None
    return given[0].value, default.value if isinstance(default, ast.Constant) else None


SETTINGS = read_settings()


def documented_defaults(text: str) -> dict[str, str]:
    """The defaults in tables with the columns setting, default, meaning; several settings of a row are in its order."""
    found = {}
    for names, defaults in re.findall(r"^\| (`[A-Z_`, ]+`) \| ([^|]*) \| ", text, re.MULTILINE):
        each = [name.strip("` ") for name in names.split(",")]
        values = [value.strip("` ") for value in re.split(r"[;,] ", defaults)]
        if len(each) == 1:
            found[each[0]] = defaults.strip("` ")
        elif len(each) == len(values):
            found |= dict(zip(each, values, strict=True))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_setting_that_is_named_exists(document: Path) -> None:
    named = {name for name in NAME.findall(document.read_text()) if not ELSEWHERE.fullmatch(name)}
    assert sorted(named - SETTINGS.keys()) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_defaults_in_tables_are_those_of_the_code(document: Path) -> None:
    told = documented_defaults(document.read_text())
    wrong = {
        name: (said, SETTINGS[name])
        for name, said in told.items()
        if name not in IN_WORDS and SETTINGS.get(name) not in (None, "") and _plain(said) != _plain(SETTINGS[name])
    }
    assert wrong == {}


def _plain(value: Any) -> str:
    """`200_000`, `200000.0` and "200000" are the same."""
    text = str(value).lower()
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def test_the_tables_were_read() -> None:
    counts = {path.name: len(documented_defaults(path.read_text())) for path in DOCUMENTS}
    assert counts["limits.md"] > 20
    assert counts["README.md"] > 40
    assert counts["sharing.md"] >= 5
    assert len(SETTINGS) > 140


def test_each_setting_is_documented() -> None:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    families = re.findall(r"`([A-Z_]+)_URL`, `_MODEL`, `_API_KEY`", text)  # written short
    text += "".join(f" {family}_MODEL {family}_API_KEY" for family in families)
    missing = {name for name in SETTINGS if not re.search(rf"\b{name}\b", text) and not ELSEWHERE.fullmatch(name)}
    assert sorted(missing - UNDOCUMENTED) == []
