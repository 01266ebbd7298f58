"""Which recogniser there is: the optional package, or a class of the operator's own (setting `OCR`)."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Final

from workers.files.recognition.lines import Recogniser

RAPID: Final = "workers.files.recognition.rapid.RapidRecogniser"
PACKAGES: Final = ("rapidocr", "onnxruntime")  # of requirements/ocr.txt


def engine_path(setting: str) -> str:
    """The class that `setting` chooses; empty: text in pictures is not recognised. `auto`: RapidOCR, if installed."""
    if setting == "off":
        return ""
    if setting != "auto":
        return setting
    return RAPID if all(importlib.util.find_spec(one) is not None for one in PACKAGES) else ""


def load_engine(path: str) -> Recogniser:
    """Makes the recogniser. Raises `ImportError`, `AttributeError`, `TypeError`, and what its packages raise."""
    module, _, name = path.rpartition(".")
    made: Recogniser = getattr(importlib.import_module(module), name)()
    return made
