"""What docs/api.md shows is run as it stands there, but for the site's address, the token and the model's name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.api_tokens import add_token
from tests.integration.chat.api.rest_client import begin, rest
from tests.stack import Stack

pytestmark = pytest.mark.integration

DOCUMENT: Final = (Path(__file__).parents[4] / "docs" / "api.md").read_text()
PYTHON: Final = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
SHELL: Final = [
    block.replace("\n    ", "\n").strip()
    for block in re.findall(r"(?:^    \S.*\n(?:      .*\n)*)+", DOCUMENT, re.MULTILINE)
    if "curl " in block
]
CALLS: Any = [("weather", {"city": "Ulm"}, "call_a")]
SCOPES: Final = ("models.read", "chat", "conversations", "usage.read")


@pytest.fixture(autouse=True)
def fresh(upstream: FakeOpenAI) -> None:
    upstream.reset()


@pytest.fixture
def token(stack: Stack) -> str:
    return add_token(stack, scopes=SCOPES)


def here(snippet: str, stack: Stack, token: str) -> str:
    """The snippet for this site."""
    found = snippet.replace("https://chat.example.org", stack.webs[0].url).replace("ant_…", token)
    return found.replace("gpt-5-mini", "small")


def run_python(*snippets: str) -> str:
    """What the snippets print, as one program."""
    made = subprocess.run(
        [sys.executable, "-c", "\n".join(snippets)], capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


def commands(block: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """The commands of a block, each with the JSON that the document shows below it."""
    lines = block.replace("\\\n", " ").splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith("{"):
            yield line, json.loads(after) if after.startswith("{") else None


def keys(value: Any) -> Any:
    return {name: keys(one) for name, one in value.items()} if isinstance(value, dict) else None


def test_all_snippets_are_found() -> None:
    assert len(PYTHON) == 3
    assert len(SHELL) == 3
    assert sum(block.count("curl ") for block in SHELL) == DOCUMENT.count("    curl ")


def test_the_official_client(stack: Stack, token: str, upstream: FakeOpenAI) -> None:
    upstream.play('text="Hello from here."', times=3)
    upstream.play('text="Ada."')
    said = run_python(here(PYTHON[0], stack, token))
    assert re.fullmatch(r"Hello from here\. \d+\nHello from here\.Ada\.\n", said), said
    asked = upstream.wait_chats(4)[-1].body["messages"]
    assert [one["content"] for one in asked] == ["My name is Ada.", "Hello from here.", "What is my name?"]


def test_functions(stack: Stack, token: str, upstream: FakeOpenAI) -> None:
    upstream.play(Script(text="", calls=CALLS))
    upstream.play('text="It is warm."')
    client = next(line for line in PYTHON[0].splitlines() if line.startswith("client = "))
    said = run_python(here(f"from openai import OpenAI\n{client}", stack, token), here(PYTHON[1], stack, token))
    assert said == "It is warm.\n"
    assert upstream.wait_chats(2)[-1].body["messages"][-1]["content"] == "15 °C in Ulm"


def test_the_socket(stack: Stack, token: str) -> None:
    """It prints what happens until it is ended."""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", here(PYTHON[2], stack, token)], stdout=subprocess.PIPE, text=True
    ) as running:
        watch = threading.Timer(30, running.kill)
        watch.start()
        assert running.stdout is not None
        try:
            seen = [running.stdout.readline().strip()]
            with rest(stack) as client:
                begin(client)
            while seen[-1] and seen[-1] != "conversation.listed":
                seen.append(running.stdout.readline().strip())
        finally:
            watch.cancel()
            running.kill()
    assert (seen[0], seen[-1]) == ("hello", "conversation.listed")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("block", range(len(SHELL)))
def test_commands(stack: Stack, token: str, block: int) -> None:
    """They answer with the fields that the document shows, if it shows any."""
    before, shown = f"export TOKEN={token}", ""
    for command, wanted in commands(here(SHELL[block], stack, token)):
        if command.startswith("export "):
            before += f"\n{command}"
            continue
        command = command.replace("ID-OF-THE-ANSWER", shown).replace("curl ", "curl --silent --fail-with-body ")
        made = subprocess.run(
            ["bash", "-c", f"{before}\n{command}"], capture_output=True, text=True, timeout=60, check=False
        )
        assert made.returncode == 0, (command, made.stdout, made.stderr)
        found = json.loads(made.stdout)
        assert wanted is None or keys(found) == keys(wanted), (command, found)
        shown = (found.get("answer") or {}).get("message_id", "") if "answer" in found else shown
