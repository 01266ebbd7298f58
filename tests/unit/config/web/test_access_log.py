"""The access log and the client's address behind proxies."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from config.web.access_log import forwarded_address, log_action, with_plain_scheme


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ([b"203.0.113.7"], 1, "203.0.113.7"),
        ([b"6.6.6.6, 203.0.113.7"], 1, "203.0.113.7"),  # the first entry is what the client wrote
        ([b"6.6.6.6", b"203.0.113.7"], 1, "203.0.113.7"),
        ([b"6.6.6.6, 203.0.113.7, 10.0.0.2"], 2, "203.0.113.7"),
        ([b"203.0.113.7"], 2, ""),
        ([], 1, ""),
        ([b"\xff\xfe"], 1, "ÿþ"),
    ],
)
def test_the_address_is_the_one_our_outermost_proxy_saw(forwarded: list[bytes], proxies: int, address: str) -> None:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value) for value in forwarded)]
    assert forwarded_address(headers, proxies) == address


@pytest.mark.parametrize(
    ("sent", "read"),
    [(b"wss", b"https"), (b"WSS", b"https"), (b"HTTPS", b"https"), (b"ws", b"http"), (b"https, http", b"https"),
     (b"", b""), (b"gopher", b"gopher")],
)  # fmt: skip
def test_the_scheme_of_a_proxy_is_read_in_any_way_it_is_written(sent: bytes, read: bytes) -> None:
    assert with_plain_scheme([(b"x-forwarded-proto", sent)]) == [(b"x-forwarded-proto", read)]
    assert with_plain_scheme([(b"host", b"WSS")]) == [(b"host", b"WSS")]


def http(path: str, status: int = 200) -> dict[str, Any]:
    details = {
        "path": path,
        "status": status,
        "method": "GET",
        "client": "192.0.2.1:5",
        "time_taken": 0.0123,
        "size": 9,
    }
    with capture_logs() as lines:
        log_action("http", "complete", details)
    assert len(lines) == 1
    return dict(lines[0])


def test_a_request_is_one_line_without_its_query() -> None:
    line = http("/accounts/login/?next=/&token=s3cret")
    assert line["event"] == "GET /accounts/login/"
    assert (line["status"], line["ms"], line["bytes"], line["client"]) == (200, 12, 9, "192.0.2.1:5")
    assert "s3cret" not in str(line)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/accounts/confirm-email/MQ:1s3cret/", "/accounts/confirm-email/…"),
        ("/accounts/password/reset/key/4-s3cret-9/", "/accounts/password/reset/key/…"),
        ("/accounts/password/reset/key/4-set-password/", "/accounts/password/reset/key/4-set-password/"),
        ("/accounts/password/reset/key/done/", "/accounts/password/reset/key/done/"),
        ("/accounts/confirm-email/", "/accounts/confirm-email/"),
        ("/s/1s3cret", "/s/…"),
        ("/s/1s3cret/events", "/s/…/events"),
        ("/s/1s3cret/events/x", "/s/…"),
        ("/static/s/x", "/static/s/x"),
    ],
)
def test_keys_in_paths_are_masked(path: str, shown: str) -> None:
    assert http(path)["event"] == f"GET {shown}"


@pytest.mark.parametrize(
    ("path", "status", "level"),
    [("/", 500, "info"), ("/readyz", 200, "debug"), ("/readyz", 503, "info"), ("/static/x.js", 200, "debug"),
     ("/static/x.js", 404, "info")],
)  # fmt: skip
def test_what_is_asked_all_the_time_is_quiet_while_it_works(path: str, status: int, level: str) -> None:
    assert http(path, status)["log_level"] == level


def test_a_socket_is_told_of_when_it_opens_ends_or_is_refused() -> None:
    with capture_logs() as lines:
        for action in ("connecting", "connected", "disconnected", "rejected"):
            log_action("websocket", action, {"path": "/ws/?ticket=s3cret", "client": "192.0.2.1:5"})
    assert [line["event"] for line in lines] == ["socket connected", "socket disconnected", "socket rejected"]
    assert "s3cret" not in str(lines)
