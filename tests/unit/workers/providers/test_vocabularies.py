"""Finding and loading vocabularies: files of `tokenizers`, and the cache of tiktoken."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import tiktoken
import tiktoken_ext.openai_public as public
from tiktoken.load import load_tiktoken_bpe
from tokenizers import Tokenizer, models, pre_tokenizers

from workers.providers import vocabularies
from workers.providers.vocabularies import ENCODINGS, encodings_folder, load_vocabularies

TEXT = "aa bb aab"  # aa, blank, bb, blank, aa, b


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "cache"))


def write_tokenizer(folder: Path, *, truncated: bool = False) -> Path:
    """A byte-level BPE of three merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {name: number for number, name in enumerate([*letters, "aa", "bb"])}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[("a", "a"), ("b", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if truncated:
        tokenizer.enable_truncation(2)
        tokenizer.enable_padding(length=64)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as found:
        yield found


def tokens_of(folder: Path, model: str, text: str = TEXT) -> int | None:
    found = load_vocabularies(str(folder)).of(model)
    return None if found is None else found.count(text, 1.0)[0]


def test_a_file_counts(tmp_path: Path, logs: list[MutableMapping[str, Any]]) -> None:
    write_tokenizer(tmp_path / "tiny" / "model-1")
    assert tokens_of(tmp_path, "tiny/model-1") == 6
    assert tokens_of(tmp_path, "tiny/model-1", "中") == 3, "bytes"
    assert logs[0] == {
        "event": "vocabularies_loaded", "log_level": "info", "models": ["tiny/model-1"], "encodings": [],
        "seconds": logs[0]["seconds"],
    }  # fmt: skip


def test_its_own_limits_of_length_do_not_count(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "m", truncated=True)
    assert tokens_of(tmp_path, "m") == 6


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"model": {"type": "BPE", "vocab": {}, "merges": ["a b"]}}',
        b'{"version": "1.0", "model": {"type": "Nonsense"}}',
        b"[" * 100_000,
        json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}}).encode(),
    ],
    ids=["empty", "cut", "list", "object", "bytes", "merges", "type", "nested", "cannot count"],
)
def test_a_broken_file_is_left_out_and_logged_once(
    tmp_path: Path, content: bytes, logs: list[MutableMapping[str, Any]]
) -> None:
    write_tokenizer(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "tokenizer.json").write_bytes(content)
    found = load_vocabularies(str(tmp_path))
    assert found.of("bad") is None
    assert found.of("good") is not None
    assert [(line["event"], line.get("vocabulary")) for line in logs] == [
        ("vocabulary_left_out", "bad"), ("vocabularies_loaded", None)
    ]  # fmt: skip


def test_limits_of_size_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]
) -> None:
    size = write_tokenizer(tmp_path / "a").stat().st_size
    write_tokenizer(tmp_path / "b")
    monkeypatch.setattr(vocabularies, "MOST_FILES", 1)
    found = load_vocabularies(str(tmp_path))
    assert (found.of("a") is not None, found.of("b")) == (True, None)
    monkeypatch.setattr(vocabularies, "MOST_BYTES", size - 1)
    assert load_vocabularies(str(tmp_path)).of("a") is None
    assert [line["reason"] for line in logs if line["event"] == "vocabulary_left_out"] == [
        "there are more than 1 files", f"ValueError: it has {size} bytes, more than {size - 1}",
        "there are more than 1 files",
    ]  # fmt: skip


def test_a_folder_that_is_missing_is_logged(tmp_path: Path, logs: list[MutableMapping[str, Any]]) -> None:
    assert load_vocabularies(str(tmp_path / "nowhere")).of("m") is None
    assert [line["reason"] for line in logs] == ["there is no such folder"]


def test_without_the_package_the_log_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]
) -> None:
    write_tokenizer(tmp_path / "m")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert load_vocabularies(str(tmp_path)).of("m") is None
    assert "pip install -r requirements/tokenizers.txt" in logs[0]["reason"]


def test_nothing_is_loaded_where_nothing_is_at_hand(
    monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]
) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)  # importing it fails
    assert load_vocabularies("").of("gpt-4o") is None
    assert not logs


def cache_file(name: str) -> Path:
    file = encodings_folder() / hashlib.sha1(ENCODINGS[name][0].encode(), usedforsecurity=False).hexdigest()
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def test_tiktoken_is_not_asked_for_a_file_that_it_would_fetch_again(
    monkeypatch: pytest.MonkeyPatch, logs: list[MutableMapping[str, Any]]
) -> None:
    monkeypatch.setattr(tiktoken, "get_encoding", pytest.fail)
    file = cache_file("o200k_base")
    file.write_bytes(b"IQ== 0\n")
    assert load_vocabularies("").of("gpt-4o") is None
    assert file.exists()
    assert [(line["vocabulary"], "is broken" in line["reason"]) for line in logs] == [("o200k_base", True)]


@pytest.mark.parametrize(
    ("model", "found"),
    [("gpt-4o", True), ("openai/gpt-5.1", True), ("gpt-oss-20b", True), ("gpt-4", False), ("qwen3", False)],
)
def test_an_encoding_counts_for_the_models_that_have_it(
    monkeypatch: pytest.MonkeyPatch, model: str, *, found: bool
) -> None:
    file = cache_file("o200k_base")
    file.write_bytes(b"".join(b"%s %d\n" % (word, rank) for rank, word in enumerate((b"YQ==", b"IA==", b"YWE="))))
    address, digest = ENCODINGS["o200k_base"][0], hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(ENCODINGS, "o200k_base", (address, digest))

    def get_encoding(name: str) -> tiktoken.Encoding:
        ranks = load_tiktoken_bpe(
            address, expected_hash=digest
        )  # as the package's own constructor does, from the cache
        return tiktoken.Encoding(name, pat_str=r"\S+|\s", mergeable_ranks=ranks, special_tokens={})

    monkeypatch.setattr(tiktoken, "get_encoding", get_encoding)
    vocabulary = load_vocabularies("").of(model)
    assert (vocabulary is not None) is found
    assert vocabulary is None or vocabulary.count("aa aa", 1.0)[0] == 3


def test_the_addresses_and_hashes_are_tiktokens_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the cache would be looked for under another name, or tiktoken would fetch what seems to be there."""
    asked: list[tuple[str, str | None]] = []

    def note(address: str, expected_hash: str | None = None) -> dict[bytes, int]:
        asked.append((address, expected_hash))
        return {}

    monkeypatch.setattr(public, "load_tiktoken_bpe", note)
    for name in ENCODINGS:
        public.ENCODING_CONSTRUCTORS[name]()
    assert asked == list(ENCODINGS.values())
