"""Close codes and error codes are listed once, in Python: the page is given the list, and the documentation agrees."""

from __future__ import annotations

import gc
import json
import re
from pathlib import Path

from chat.protocol.close_codes import AfterClose, Close, describe_close_codes
from chat.protocol.errors import Busy, ChatError, Internal, retryable_codes
from chat.templatetags.chat_page import protocol

ROOT = Path(__file__).parents[4]
SCRIPTS = ROOT / "chat" / "static" / "chat" / "js"
DOCUMENT = (ROOT / "docs" / "protocol.md").read_text()


def rendered() -> dict[str, object]:
    found = re.search(r"<script id=\"protocol\" type=\"application/json\">(.*)</script>", protocol(), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_the_page_is_given_every_close_code_and_every_retryable_error() -> None:
    page = rendered()
    assert page["closes"] == describe_close_codes()
    assert page["closes"] == {str(int(code)): {"after": code.after, "message": code.message} for code in Close}
    assert page["retryable"] == retryable_codes()
    assert set(retryable_codes()) == {"asr_unavailable", "internal", "rate_limited", "unavailable"}


def test_a_new_error_is_in_the_list() -> None:
    class Flaky(ChatError):
        code = "flaky"
        retryable = True

    assert "flaky" in retryable_codes()
    assert Busy.code not in retryable_codes()
    assert Internal.code in retryable_codes()
    del Flaky
    gc.collect()  # a class is known to its base until then
    assert "flaky" not in retryable_codes()


def test_where_the_client_stops_the_user_is_told_why() -> None:
    for code in Close:
        assert bool(code.message) == (code.after in (AfterClose.STOP, AfterClose.LEAVE)), code


def test_the_scripts_have_no_list_of_their_own() -> None:
    codes = re.compile(r"\b(" + "|".join(str(int(code)) for code in Close) + r")\b")
    for script in SCRIPTS.rglob("*.js"):
        text = script.read_text().replace("4_000", "")
        assert not codes.search(text), script


def test_the_document_lists_the_same_codes() -> None:
    section = DOCUMENT.partition("## 4. Close codes")[2].partition("## 5.")[0]
    rows = dict(re.findall(r"^\| (4\d{3}) \|.*\| ([^|]+) \|$", section, re.MULTILINE))
    assert set(rows) == {str(int(code)) for code in Close}
    words = {
        AfterClose.REST: "reconnect when the page is used again",
        AfterClose.LOG_IN: "go to the log-in page",
        AfterClose.STOP: "stop",
        AfterClose.LEAVE: "leave the conversation",
        AfterClose.RECONNECT: "reconnect",
    }
    for code in Close:
        assert rows[str(int(code))].startswith(words[code.after]), code
    errors = DOCUMENT.partition("## 5. Error codes")[2]
    assert all(f"`{code}`" in errors for code in retryable_codes())
