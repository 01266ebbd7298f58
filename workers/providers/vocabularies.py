"""Finds and loads the vocabularies at hand: `tokenizer.json` files of the folder TOKENIZERS_DIR, read by the package
`tokenizers`, and the encodings of OpenAI's models in the cache folder of the package `tiktoken`. Both packages are
optional, and nothing is ever fetched.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import structlog

from workers.providers.vocabulary import CountedVocabulary, Vocabularies, Vocabulary, is_failure

FILE_NAME: Final = "tokenizer.json"
MOST_FILES: Final = 16  # in the folder; one takes three to eight times its size of memory
MOST_BYTES: Final = 48 * 1024 * 1024  # of a file; the largest that are in use have 33 MB
DEEPEST: Final = 3  # folders below the folder: the longest names are "provider/maker/model"

# Of each file of tiktoken: the address, whose SHA-1 is its name in the cache, and its SHA-256. tiktoken fetches a file
# that is missing, and removes and fetches one with another hash; so both are looked at before it is asked.
_PLACE: Final = "https://openaipublic.blob.core.windows.net/encodings/"
ENCODINGS: Final = {
    "o200k_base": (f"{_PLACE}o200k_base.tiktoken", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    "cl100k_base": (
        f"{_PLACE}cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}
SAME_FILE: Final = {"o200k_harmony": "o200k_base"}  # they differ in special tokens only

logger = structlog.get_logger(__name__)


def load_vocabularies(folder: str) -> Vocabularies:
    """The vocabularies of the folder, by the names of their folders, and of tiktoken. Blocks for about a second for
    10 MB. What cannot be read is left out and logged.
    """
    began = time.monotonic()
    by_name = dict(_load_folder(Path(folder))) if folder else {}
    encodings = dict(_load_encodings())
    if by_name or encodings:
        logger.info(
            "vocabularies_loaded", models=sorted(by_name), encodings=sorted(encodings),
            seconds=round(time.monotonic() - began, 3),
        )  # fmt: skip
    return Vocabularies(by_name, _finder(encodings) if encodings else _find_nothing)


class _HuggingFace:
    """A `tokenizer.json`."""

    def __init__(self, name: str, text: str) -> None:
        from tokenizers import Tokenizer

        self.name = name
        self._tokenizer: Any = Tokenizer.from_str(text)
        self._tokenizer.no_truncation()  # files come with the limits of what they were made for
        self._tokenizer.no_padding()
        self.count("A file that cannot count fails here.")

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


class _Encoding:
    """An encoding of tiktoken, whose file is in its cache."""

    def __init__(self, name: str) -> None:
        import tiktoken

        self.name = name
        self._encoding = tiktoken.get_encoding(name)

    def count(self, text: str) -> int:
        return len(self._encoding.encode_ordinary(text))


def _load_folder(folder: Path) -> Iterator[tuple[str, CountedVocabulary]]:
    if not folder.is_dir():
        _leave_out(str(folder), "there is no such folder")
        return
    files = [file for depth in range(1, DEEPEST + 1) for file in sorted(folder.glob("*/" * depth + FILE_NAME))]
    if files and importlib.util.find_spec("tokenizers") is None:
        _leave_out(str(folder), "the package tokenizers is not installed: pip install -r requirements/tokenizers.txt")
        return
    for place, file in enumerate(files):
        name = file.parent.relative_to(folder).as_posix()
        if place >= MOST_FILES:
            _leave_out(name, f"there are more than {MOST_FILES} files")
            continue
        loaded = _load(name, lambda name=name, file=file: _HuggingFace(name, _read(file)))  # type: ignore[misc]
        if loaded is not None:
            yield name, loaded


def _read(file: Path) -> str:
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"it has {size} bytes, more than {MOST_BYTES}")
    return file.read_text("utf-8")


def _load_encodings() -> Iterator[tuple[str, CountedVocabulary]]:
    for name, (address, digest) in ENCODINGS.items():
        file = encodings_folder() / hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()
        try:
            data = file.read_bytes() if file.is_file() and file.stat().st_size <= MOST_BYTES else b""
        except OSError as error:
            _leave_out(name, f"{type(error).__name__}: {error}")
            continue
        if not data or importlib.util.find_spec("tiktoken") is None:
            continue
        if hashlib.sha256(data).hexdigest() != digest:
            _leave_out(name, f"{file} is broken")
            continue
        loaded = _load(name, lambda name=name: _Encoding(name))  # type: ignore[misc]
        if loaded is not None:
            yield name, loaded


def encodings_folder() -> Path:
    """The folder in which tiktoken keeps its files."""
    named = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    return Path(tempfile.gettempdir(), "data-gym-cache") if named is None else Path(named or os.devnull)


def _load(name: str, make: Callable[[], Vocabulary]) -> CountedVocabulary | None:
    try:
        return CountedVocabulary(make())
    except BaseException as error:
        if not is_failure(error):
            raise
        _leave_out(name, f"{type(error).__name__}: {error}")
        return None


def _leave_out(name: str, reason: str) -> None:
    logger.warning("vocabulary_left_out", vocabulary=name, reason=reason[:300])


def _finder(encodings: dict[str, CountedVocabulary]) -> Callable[[str], CountedVocabulary | None]:
    from tiktoken.model import encoding_name_for_model

    def find(model: str) -> CountedVocabulary | None:
        try:
            name = encoding_name_for_model(model)
        except KeyError:
            return None
        return encodings.get(SAME_FILE.get(name, name))

    return find


def _find_nothing(_model: str) -> CountedVocabulary | None:
    return None
