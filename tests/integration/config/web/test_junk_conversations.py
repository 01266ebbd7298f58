"""Pages of a conversation with values that no page sends, as in `test_junk`, but with committed rows: these pages read
on other connections.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from accounts.models import User
from tests.fuzzing import some
from tests.integration.config.web.test_junk import (
    ALONE,
    BODIES,
    HEADERS,
    JSON,
    METHODS,
    OF_CONVERSATION,
    TOGETHER,
    Names,
    ask,
    crashes,
    failures,
)
from tests.integration.config.web.test_others_things import SENT, addresses, client_of, things

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("clean_redis", "one_model", things.__name__, crashes.__name__),
    pytest.mark.timeout(600),
]  # fmt: skip
OWN = ("leaf", "message", "after", "date", "at")  # of which a page reads one only where another is not given


def pages(things: dict[str, str]) -> list[str]:
    found = [path for path in dict.fromkeys(addresses(things)) if OF_CONVERSATION.match(path)]
    assert {path.split("/")[3].partition("?")[0] for path in found} >= {"", "print", "branch", "part"}, found
    return found


def test_odd_values(alice: User, things: dict[str, str], crashes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    names, client = Names(monkeypatch), client_of(alice)
    read: set[str] = set()

    def trials() -> Iterator[tuple[str, int]]:
        for path, method in itertools.product(pages(things), ("get", "post")):
            known = sorted({*names.of(client, method, path), *OWN})
            read.update(names.asked)
            good = {name: SENT[name] for name in known if name in SENT}
            sent = [dict.fromkeys(known, junk) for junk in TOGETHER]
            sent += [{**good, name: junk} for name in known for junk in ALONE]
            for one in some(sent, 8):
                yield f"{method} {path}", ask(client, method, path, one)

    assert failures(trials(), crashes) == ""
    assert read >= {"leaf", "message", "at"}, "what is tried is what the views read"


def test_odd_methods_bodies_and_headers(alice: User, things: dict[str, str], crashes: list[str]) -> None:
    client = client_of(alice)
    bodies = [("POST", kind, body) for kind, body in BODIES]
    others = [(method, JSON, b'{"a": []}') for method in METHODS]

    def trials() -> Iterator[tuple[str, int]]:
        for path, (method, kind, body) in some(itertools.product(pages(things), [*bodies, *others]), 40):
            yield f"{method} {path}", ask(client, "generic", method, path, body, kind)
        for path, headers in some(itertools.product(pages(things), HEADERS), 12):
            name, _, value = headers["cookie"].partition("=")
            client.cookies[name] = value
            yield path, ask(client, "get", path, headers={key: one for key, one in headers.items() if key != "cookie"})

    assert failures(trials(), crashes) == ""


def test_ids_that_are_nobodys(alice: User, things: dict[str, str], crashes: list[str]) -> None:
    """404, whatever is asked of them."""
    client, nobody = client_of(alice), "00000000-0000-0000-0000-000000000007"
    paths = [path.replace(things["conversation_id"], nobody) for path in pages(things)]
    assert {path: ask(client, "get", path) for path in paths} == dict.fromkeys(paths, 404)
