"""Models whose names are paths of files, as the page shows them under an answer: in Python and in its script."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from chat.catalog.model_names import file_name

SCRIPT = Path(__file__).parents[4] / "chat/static/chat/js/conversation/message-marks.js"
NAMES = {
    "/srv/models/Qwen3-4B-Q4_K_M.gguf": "Qwen3-4B-Q4_K_M",
    "C:\\models\\llama.GGUF": "llama",
    "./models/tiny/": "tiny",
    "../tiny.bin": "tiny",
    "~/models/tiny": "tiny",
    "models/tiny.gguf": "tiny",
    "tiny.gguf": "tiny",
    "maker/crow-7b": "maker/crow-7b",
    "qwen2.5:7b": "qwen2.5:7b",
    "gpt-5.1": "gpt-5.1",
    "/": "/",
    ".gguf": ".gguf",
    "": "",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_shown_by_its_last_part(name: str) -> None:
    assert file_name(name) == NAMES[name]


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js")
def test_the_page_shows_the_same() -> None:
    source = SCRIPT.read_text()
    begin = source.index("export function fileName")
    function = source[begin : source.index("\n}", begin) + 2].removeprefix("export ")
    rules = "".join(line + "\n" for line in source.splitlines() if line.startswith(("const FILE", "const PATH")))
    code = f"{rules}{function}\nconsole.log(JSON.stringify({json.dumps(list(NAMES))}.map(fileName)))"
    done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == list(NAMES.values())
