"""Addresses of the pages with values that no page sends: whatever they are, it is no fault of the server, and whoever
sent them is told something.

Fixed trials, a sample of all; `FUZZ=all` runs every one. Pages of a conversation are in `test_junk_conversations`: they
read on other connections, which do not see the transaction of a test.
"""

from __future__ import annotations

import itertools
import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.db import connection, transaction
from django.http import QueryDict
from django.test import Client
from django.utils.datastructures import MultiValueDict

from accounts.models import User
from tests.fuzzing import some
from tests.integration.config.web import test_every_address
from tests.integration.config.web.test_others_things import SENT, addresses, client_of, things

pytestmark = [
    pytest.mark.usefixtures("clean_redis", "db", "one_model", things.__name__), pytest.mark.timeout(1200),
]  # fmt: skip

ALONE = ("a\x00b", "9" * 400, "\u0663\u00b2", "[" * 3_000, "http://[::1")  # in one field, the others are good
TOGETHER = (
    *ALONE, "", "\u202eexe.gpj\u200b\x1b[31m\x85", "-1", "1e400", "[null, 1, {}]", '{"a": [1, {"\\ud800": NaN}]}',
    "2026-02-31", "0001-01-01", "9999-12-31T23:59:59+14:00", "00000000-0000-0000-0000-000000000000", "x" * 70_000,
    "../../etc/passwd", ["1", "2"],
)  # fmt: skip
JSON, FORM, PARTS = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
BODIES = (
    (JSON, b'{"a": 1, "a": [NaN], "name": {"x": []}, "size": 1e999}'), (JSON, b"[" * 50_000), (JSON, b'"\xff\xfe"'),
    (JSON, b'{"name": "\\ud800\\u0000", "size": 9999999999999999999999}'), (JSON, b'{"name": ["x"], "size": true}'),
    (JSON, b""), (f"{PARTS}; boundary=x", b"--x\r\nContent-Disposition: form-data; name=file; filename=a\0\r\n\r\nx"),
    (PARTS, b"--x"), (f"{FORM}; charset=nonsense", b"title=%FF%00&title=2"), (FORM, b"a=1&" * 3_000),
    (FORM, b"%&=%zz&\xff=\x00"), ("text/plain; charset=utf-16", b"\xff"),
)  # fmt: skip
OF_CONVERSATION = re.compile(r"/c/[0-9a-f-]{36}/($|print/|branch/|part/)")
METHODS = ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
HEADERS: tuple[dict[str, str], ...] = (
    {"cookie": "timezone=localtime", "accept-language": "x" * 2_000 + ",;q=\x00"},
    {"cookie": "timezone=Factory", "user-agent": "\u202e\x1b]0;x\x07" * 200, "range": "bytes=9-1,--3"},
    {"cookie": "timezone=posix%2FUTC", "if-none-match": '"' * 500, "if-modified-since": "9999", "accept": "\x00"},
    {"cookie": "timezone=../" + "x" * 3_000, "x-forwarded-for": "][", "referer": "http://[::1"},
)


class Names:
    """Which names views ask of what was sent to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: set[str] = set()
        read: Any = MultiValueDict.__getitem__
        listed: Any = MultiValueDict.getlist

        def getitem(this: Any, key: Any) -> Any:
            self.asked.add(str(key))
            return read(this, key)

        def contains(this: Any, key: Any) -> bool:
            self.asked.add(str(key))
            return dict.__contains__(this, key)

        def getlist(this: Any, key: Any, default: Any = None) -> Any:
            self.asked.add(str(key))
            return listed(this, key, default)

        for name, by in (("__getitem__", getitem), ("__contains__", contains), ("getlist", getlist)):
            monkeypatch.setattr(QueryDict, name, by, raising=False)

    def of(self, client: Client, method: str, path: str) -> list[str]:
        self.asked = set()
        ask(client, method, path, {})
        return sorted(self.asked - {"csrfmiddlewaretoken"})


def ask(client: Client, method: str, path: str, *sent: Any, **more: Any) -> int:
    """The status of the answer; nothing of it stays."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")  # the upload of the fixture has made them immediate
        said: Any = getattr(client, method)(path, *sent, **more)
        content = b"".join(said.streaming_content) if said.streaming else said.content
        transaction.set_rollback(True)
    if said.status_code >= 400 and method != "head":
        assert content or said.reason_phrase, path
    return int(said.status_code)


def pages(things: dict[str, str]) -> list[str]:
    """Also those of allauth, but for the log-out: what follows would be asked by nobody."""
    every: Any = test_every_address.addresses
    allauth = [path for path in every(things["conversation_id"]) if path.startswith("/accounts/")]
    return [
        path for path in dict.fromkeys([*addresses(things), *allauth])
        if path != "/accounts/logout/" and not OF_CONVERSATION.match(path)
    ]  # fmt: skip


@pytest.fixture
def crashes() -> Iterator[list[str]]:
    """What went wrong in the server, as it would be in its log."""
    found: list[str] = []

    def note(**_: Any) -> None:
        error = sys.exc_info()[1]
        found.append("".join(traceback.format_exception(error)[-2:]) if error else "?")

    got_request_exception.connect(note)
    yield found
    got_request_exception.disconnect(note)


def failures(trials: Iterator[tuple[str, int]], crashes: list[str]) -> str:
    """The first failure of each address. 503 is the answer where something that a page needs is away."""
    failed: dict[str, str] = {}
    for name, status in trials:
        if status >= 500 and status != 503:
            failed.setdefault(name, f"{status} {crashes[-1] if crashes else ''}")
    return "\n".join(f"{name}: {why}" for name, why in failed.items())


@pytest.mark.parametrize("method", ["get", "post"])
def test_odd_values(
    alice: User, things: dict[str, str], method: str, crashes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names, client = Names(monkeypatch), client_of(alice)
    asked: dict[str, list[str]] = {}

    def trials() -> Iterator[tuple[str, int]]:
        for path in some(pages(things), 70):
            known = asked[path] = names.of(client, method, path)
            good = {name: SENT[name] for name in known if name in SENT}
            sent: list[dict[str, Any]] = [dict.fromkeys(known, junk) for junk in TOGETHER if known]
            sent += [{**good, name: junk} for name in known if len(known) > 1 for junk in ALONE]
            for one in some(sent, 4):
                yield path, ask(client, method, path, one)

    assert failures(trials(), crashes) == ""
    assert sum(map(len, asked.values())) > 8, "names were found"


def test_odd_methods_and_bodies(alice: User, things: dict[str, str], crashes: list[str]) -> None:
    client = client_of(alice)
    every = [(path, kind, body) for path in pages(things) for kind, body in BODIES]
    others = [(path, method) for path in pages(things) for method in METHODS]

    def trials() -> Iterator[tuple[str, int]]:
        for path, kind, body in some(every, 50):
            yield f"POST {path}", ask(client, "generic", "POST", path, body, kind)
        for path, method in some(others, 40):
            yield f"{method} {path}", ask(client, "generic", method, path, b'{"a": []}', JSON)

    assert failures(trials(), crashes) == ""


def test_odd_cookies_and_headers(alice: User, things: dict[str, str], crashes: list[str]) -> None:
    client = client_of(alice)

    def trials() -> Iterator[tuple[str, int]]:
        for headers, path in some(itertools.product(HEADERS, pages(things)), 40):
            name, _, value = headers["cookie"].partition("=")
            client.cookies[name] = value
            yield path, ask(client, "get", path, headers={key: one for key, one in headers.items() if key != "cookie"})

    assert failures(trials(), crashes) == ""
