"""Export files that are small and would cost a worker its memory, or its answers their time."""

from __future__ import annotations

import io
import json
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from chat.models import Tag
from chat.models.organising import MAX_TAGS_EACH
from chat.portability import json_stream
from chat.portability.archive import MAX_DIRECTORY
from chat.portability.archived_files import ArchivedFiles
from chat.portability.import_file import read_file
from chat.portability.json_stream import ImportRefusedError, count_values
from tests.integration.chat.portability.imports import TRIP, archive, chatgpt, load, node, tree


def objects(count: int) -> bytes:
    """A list of so many empty objects: 72 bytes of memory for three of the file."""
    return b"[" + b",".join([b"{}"] * count) + b"]"


def one_entry() -> bytes:
    return b'[{"mapping": ' + objects(2_200_000) + b"}]"


def beside_the_lists() -> bytes:
    """Each is below the limit."""
    parts = b", ".join(b'"%d": ' % number + objects(700_000) for number in range(4))
    return b'{"format": "antiphon.export", "version": 1, ' + parts + b', "conversations": []}'


def many_entries() -> bytes:
    return b"[" + b"0," * 1_100_000 + b"0]"


@pytest.mark.parametrize(
    ("make", "why"),
    [(one_entry, "more than 2,000,000 values"), (beside_the_lists, "more than 2,000,000 values"),
     (many_entries, "more than 1,000,000 entries")],
)  # fmt: skip
def test_what_unpacks_to_many_values_is_refused(make: Callable[[], bytes], why: str) -> None:
    packed = archive(("conversations.json", make()))
    assert packed.getbuffer().nbytes < 100_000
    with pytest.raises(ImportRefusedError, match=why):
        read_file(packed)


def test_a_long_entry_is_refused_and_so_is_a_long_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_ENTRY", 2**20)
    long = "x" * 600_000
    for data in ([{"mapping": long * 3}], {str(number): long for number in range(2)}):
        with pytest.raises(ImportRefusedError, match="an entry that is larger than 1 MB"):
            read_file(io.BytesIO(json.dumps(data).encode()))


def test_a_list_of_members_that_is_too_long_is_not_read() -> None:
    """Of 2,000,000 members, which fit into an import of 100 MB, Python made objects of 700 MB in 18 s."""
    whole = archive(("conversations.json", json.dumps([TRIP]).encode())).getvalue()
    at, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    directory = whole[at:end] * (MAX_DIRECTORY // (end - at) + 1)
    packed = whole[:at] + directory + whole[end : end + 12] + struct.pack("<LLH", len(directory), at, 0)
    tracemalloc.start()
    try:
        with pytest.raises(ImportRefusedError, match="more than 100,000 files"):
            read_file(io.BytesIO(packed))
        assert tracemalloc.get_traced_memory()[1] < 2 * MAX_DIRECTORY
    finally:
        tracemalloc.stop()


def test_what_members_claim_to_be_packed_allows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may all lie on the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("files/bomb", b"\0" * 1_000_000)
    raw = bytearray(packed.getvalue())
    struct.pack_into("<L", raw, raw.index(b"PK\x01\x02") + 20, 2**31)
    monkeypatch.setattr("chat.portability.archived_files.MAX_UNPACKED", 500_000)
    with pytest.raises(ImportRefusedError, match="unpack to more than is allowed"):
        ArchivedFiles(io.BytesIO(raw)).find("antiphon.json", "files/bomb")


def test_commas_in_texts_are_no_values(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beside quotation marks and backslashes; a table of numbers has very many."""
    monkeypatch.setattr(json_stream, "MAX_VALUES", 1_000)
    table = 'He said: "1\\",[{2' + ",3" * 5_000
    assert load(alice, [chatgpt(node("q", None, "user", table), name="c-2"), TRIP]) == ["new", "new"]
    assert table in tree()


@pytest.mark.parametrize("value", [1, "a,b", [], {}, [1, 2], {"a": [{}, {}], "b,": "[]"}, [[[[]]]], "half"])
def test_values_are_counted_as_they_are_made(value: Any) -> None:
    def made(of: Any) -> Iterator[Any]:
        yield of
        for one in of.values() if isinstance(of, dict) else of if isinstance(of, list) else ():
            yield from made(one)

    # An opening bracket counts as its first value, so an empty list counts as if it had one.
    empty = sum(1 for one in made(value) if one in ([], {}))
    assert count_values(json.dumps(value) + ', {"the": "next"}]', 0) == sum(1 for _ in made(value)) + empty


def test_an_answer_of_many_steps_that_do_not_end_is_read_at_once(alice: User) -> None:
    """Each was compared with all that follows: this answer took minutes, in which its worker wrote nothing else."""
    begun = '<details type="reasoning" done="true">\n' * 24_000
    messages = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": begun}]
    began = time.monotonic()
    assert load(alice, [{"id": "w", "chat": {"messages": messages}}]) == ["new"]
    assert time.monotonic() - began < 5
    assert tree()[begun.strip()] == "Why?"


def test_many_tags_and_folders_are_not_all_looked_up(alice: User) -> None:
    names = [f"tag {number}" for number in range(5_000)]
    own = {"format": "antiphon.export", "version": 1, "conversations": [{
        "id": "c", "title": "T", "messages": [{"id": "q", "role": "user", "text": "Hello"}],
        "tags": [*(["\ud800", "\x00"] * 50), *names], "folder": [*names, "\x00"],
    }]}  # fmt: skip
    with CaptureQueriesContext(connection) as queries:
        assert load(alice, own) == ["new"]
    assert 0 < Tag.objects.count() <= MAX_TAGS_EACH
    assert len(queries) < 12 * MAX_TAGS_EACH
