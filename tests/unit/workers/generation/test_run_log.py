"""The text and the reasoning of one attempt: two texts, one append, one checkpoint."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import structlog.testing
from hypothesis import given
from hypothesis import strategies as st

from chat.eventlog.replay import Delta, LogEntry, ReasoningDelta, extend
from chat.eventlog.store import Appended
from workers.generation.run_log import MAX_DELTA_CHARACTERS, RunLog
from workers.generation.thinking import Thinking

CONVERSATION, RUN = uuid.UUID(int=1), uuid.UUID(int=2)


def open_log(scheduled: list[bool] | None = None) -> RunLog:
    return RunLog(lambda _, at_once: scheduled.append(at_once) if scheduled is not None else None, CONVERSATION, RUN, 1)


def append(log: RunLog, seq: int = 1, epoch: str = "e") -> list[dict[str, Any]]:
    """What is waiting goes into the log."""
    made = [json.loads(body) for body, _ in log.next_append(0.0, []).events]
    log.note_result(Appended(epoch, seq))
    return made


def test_the_first_of_either_text_does_not_wait() -> None:
    scheduled: list[bool] = []
    log = open_log(scheduled)
    log.think("hm")
    log.think(" well")
    log.feed("yes")
    log.feed(" no")
    assert scheduled == [True, False, True, False]


def test_each_text_has_its_own_index_and_reasoning_comes_first() -> None:
    log = open_log()
    log.think("hm")
    assert [(one["type"], one["index"], one["step"]) for one in append(log)] == [("run.reasoning", 0, 0)]
    log.feed("yes")
    log.think("x" * (MAX_DELTA_CHARACTERS + 1))
    made = append(log, 4)
    assert [(one["type"], one["index"], len(one["text"])) for one in made] == [
        ("run.reasoning", 2, MAX_DELTA_CHARACTERS), ("run.reasoning", 2 + MAX_DELTA_CHARACTERS, 1), ("run.delta", 0, 3),
    ]  # fmt: skip
    assert (log.text, len(log.reasoning)) == ("yes", MAX_DELTA_CHARACTERS + 3)


def test_an_append_under_way_stays_the_same() -> None:
    log = open_log()
    log.think("hm")
    first = log.next_append(0.0, [])
    log.think(" well")
    assert log.next_append(1.0, []) is first
    assert log.checkpoint() is None, "not while its outcome is unknown"


def test_a_checkpoint_has_the_reasoning_only_while_it_is_new() -> None:
    log = open_log()
    log.feed("ye")
    append(log, 2)
    point = log.checkpoint()
    assert point is not None
    assert (point.text, point.reasoning) == ("ye", None), "a run without reasoning stores none"
    log.think("hm")
    append(log, 3)
    point = log.checkpoint()
    assert point is not None
    assert (point.seq, point.text, point.reasoning) == (3, "ye", "hm")
    assert log.checkpoint() is None
    log.feed("s")
    append(log, 4)
    point = log.checkpoint()
    assert point is not None
    assert (point.text, point.reasoning) == ("yes", None)
    log.forget_saved()
    point = log.checkpoint()
    assert point is not None
    assert (point.text, point.reasoning) == ("yes", "hm"), "PostgreSQL may have neither"


def test_in_a_new_epoch_postgresql_gets_all_of_it_again() -> None:
    log = open_log()
    log.think("hm")
    append(log, 1)
    assert log.checkpoint() is not None
    log.think(" well")
    append(log, 1, "another")
    point = log.checkpoint()
    assert point is not None
    assert (point.epoch, point.reasoning) == ("another", "hm well")


def test_what_is_abandoned_is_not_stored() -> None:
    log = open_log()
    log.think("hm")
    append(log)
    log.think(" lost")
    log.abandon()
    assert (log.reasoning, log.has_pending) == ("hm", False)


@given(st.lists(st.tuples(st.sampled_from(["feed", "think", "append"]), st.text(min_size=1, max_size=9)), max_size=40))
def test_the_log_adds_up_to_both_texts(steps: list[tuple[str, str]]) -> None:
    log, entries = open_log(), list[LogEntry]()
    for kind, text in [*steps, ("append", "")]:
        if kind != "append":
            getattr(log, kind)(text)
            continue
        found = log.next_append(0.0, []).events
        entries += [LogEntry(len(entries) + n, body, delta) for n, (body, delta) in enumerate(found, 1)]
        log.note_result(Appended("e", len(entries)))
    for kind, shape in (("feed", Delta), ("think", ReasoningDelta)):
        whole = "".join(text for step, text in steps if step == kind)
        assert extend("", str(RUN), 1, entries, shape) == whole
        assert (log.text if kind == "feed" else log.reasoning) == whole


class TestThinking:
    def test_it_lasts_until_the_answer_comes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr("workers.generation.thinking.time.monotonic", lambda: now[0])
        thinking = Thinking(open_log())
        assert (thinking.first, thinking.elapsed_ms()) == (None, 0)
        thinking.feed("hm")
        now[0] = 102.0
        assert (thinking.first, thinking.elapsed_ms()) == (100.0, 2000)
        thinking.pause()
        now[0] = 110.0
        assert thinking.elapsed_ms() == 2000
        thinking.feed("hm again")
        now[0] = 110.5
        thinking.pause()
        assert (thinking.first, thinking.elapsed_ms()) == (100.0, 2500)

    def test_beyond_its_cap_it_is_only_counted(self, settings: Any) -> None:
        settings.REASONING_MAX_CHARS = 5
        log = open_log()
        thinking = Thinking(log)
        for text in ("abc", "def", "ghi"):
            thinking.feed(text)
        assert (log.reasoning, thinking.text) == ("abcde…", "abcdefghi")


def test_an_attempt_that_is_fenced_is_logged_once() -> None:
    """The append may notice it before the lease is renewed: then nothing else would say why the worker stopped."""
    log = open_log()
    log.feed("yes")
    log.next_append(0.0, [])
    with structlog.testing.capture_logs() as found:
        log.note_result(Appended("e", 1, fenced=True))
        log.note_result(Appended("e", 1, fenced=True))
    assert [(one["event"], one["run"], one["attempt"]) for one in found] == [("run_lost", str(RUN), 1)]
    assert log.fenced
