"""Short names of models whose own name is the path of a file, as llama.cpp's server has them. Pure: no I/O."""

from __future__ import annotations

import re
from typing import Final

_EXTENSION: Final = re.compile(r"\.(?:gguf|ggml|bin|safetensors|onnx|pth?|llamafile)\Z", re.IGNORECASE)
_PATH: Final = re.compile(r"(?:[/\\~]|\.{1,2}[/\\]|[A-Za-z]:[/\\])")


def last_part(name: str) -> str:
    """The last part of a name without a file's extension; the name where nothing is left."""
    return _EXTENSION.sub("", re.split(r"[/\\]", name.rstrip("/\\"))[-1]) or name


def file_name(name: str) -> str:
    """`last_part` of a path or of a file's name; any other name as it is: its first part says who made the model.

    Must match `fileName` in message-marks.js.
    """
    return last_part(name) if _PATH.match(name) or _EXTENSION.search(name) else name
