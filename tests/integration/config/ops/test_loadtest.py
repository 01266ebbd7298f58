"""`manage.py loadtest` against a real stack: what it measures, what it refuses, and how it ends."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.stack import PASSWORD, Stack


def loadtest(stack: Stack, *options: str, url: str = "", stdin: str = "") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    return stack.commands.run("loadtest", url or stack.url, *options, stdin=stdin)


def as_json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_people_talk_and_are_timed(stack: Stack) -> None:
    code, said, told = loadtest(
        stack, "--users=12", "--rate=6", "--seconds=2", "--text=Load [[tokens=10 rate=50]]", "--json",
        "--first-words-p99-ms=30000", "--gap-p99-ms=30000", "--max-errors=0",
    )  # fmt: skip
    assert code == 0, said + told
    found = as_json(said)
    assert 10 <= found["sent"] <= 12
    assert found["answered"] == found["sent"]
    assert (found["dropped"], found["unanswered"], found["errors"], found["closes"]) == (0, 0, {}, {})
    assert 0 < found["first_words_ms"]["p50"] <= found["first_words_ms"]["p99"]
    assert 0 < found["gap_ms"]["p50"] <= found["gap_ms"]["p99"]
    assert found["characters_per_second"] > 0
    assert len(found["accounts"]) == 2
    assert len(stack.sql("SELECT id FROM accounts_user WHERE email LIKE 'loadtest-%%@example.org'")) == 2


def test_what_is_missed_is_said_with_exit_code_1(stack: Stack) -> None:
    code, said, told = loadtest(
        stack, "--users=2", "--rate=4", "--seconds=1", "--text=[[status=401]]", "--email=alice@example.org",
        "--password-stdin", "--max-errors=0", "--first-words-p99-ms=1", stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    assert code == 1
    assert "upstream_unauthorized" in said
    assert "errors, lost answers or answers with missing text, more than 0." in told
    assert "Nothing was measured for --first-words-p99-ms." in told
    assert PASSWORD not in said + told


@pytest.mark.parametrize(
    ("options", "url", "words"),
    [
        ((), "https://chat.example.org", "is another machine"),
        ((), "ftp://127.0.0.1", "must look like http"),
        ((), "http://127.0.0.1:9", "Cannot connect to http://127.0.0.1:9"),
        (("--users=0",), "", "above 0"),
        (("--email=alice@example.org",), "", "must be given together"),
        (("--email=alice@example.org", "--password-stdin"), "", "Log-in was refused"),
    ],
)
def test_what_it_does_not_do(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], url: str, words: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a wrong one\n"))
    with pytest.raises(CommandError, match=words) as refused:
        call_command("loadtest", url or stack.url, *options)
    assert refused.value.returncode == 2


def test_text_that_is_missing_is_noticed() -> None:
    from config.ops.load_client import PendingAnswer, Results, SimulatedUser

    results = Results()
    user = SimulatedUser.__new__(SimulatedUser)
    user.results = results
    whole, cut, misplaced = PendingAnswer(0.0), PendingAnswer(0.0), PendingAnswer(0.0)
    for answer, index in ((whole, 0), (cut, 0), (misplaced, 3)):
        user._add_text(answer, {"index": index, "text": "abc"}, 1.0)
    for answer, length in ((whole, 3), (cut, 4), (misplaced, 3)):
        user._end(answer, {"type": "run.done", "text_length": length}, 2.0)
    assert (results.answered, results.dropped) == (3, 2)
    assert results.report(2.0)["first_words_ms"] == {"p50": 1000.0, "p99": 1000.0}
