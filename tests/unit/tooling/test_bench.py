"""The bench must notice what it is there to notice: lost, doubled, misplaced and damaged tokens, and late ones."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable

import pytest

from tests.bench.answers import Answered
from tests.bench.stamps import now_us, percentile, read_tokens, since, write_token
from tests.bench.streams import delivered_rate, lost_tokens
from tests.bench.upstream import Answer
from tests.bench.wire import ChatSocket, Incoming

BEGAN = 5_000_000
SENT = [write_token(BEGAN + 50_000 * number).decode() for number in range(20)]
TEXT = "".join(SENT)
RUN = "run"


def receive(texts: Iterable[tuple[int, str]], *, first_seq: int = 1) -> ChatSocket:
    """A socket that got these texts as deltas, each with its offset in the answer."""
    socket = ChatSocket()
    socket.conversation_id = "c"
    socket.begin("t")
    for number, (index, text) in enumerate(texts):
        frame = Incoming("run.delta", "c", first_seq + number, RUN, 1, index, text)
        socket.receive(frame, 100)
    socket._ack()  # and its timer with it
    return socket


def whole(tokens: list[str]) -> list[tuple[int, str]]:
    return [(7 * number, token) for number, token in enumerate(tokens)]


def upstream(text: str = TEXT) -> Answer:
    return Answer("t", BEGAN, BEGAN, BEGAN + 950_000, len(text) // 7, zlib.crc32(text.encode()), complete=True)


def test_a_token_tells_when_it_was_sent() -> None:
    at = now_us()
    [sent] = read_tokens(write_token(at).decode()).sent_us
    assert since(sent, at + 1500) == 1.5


def test_the_clock_may_wrap_between_sending_and_arriving() -> None:
    at = (1 << 30) * 7 - 10
    [sent] = read_tokens(write_token(at).decode()).sent_us
    assert since(sent, at + 2000) == 2.0


async def test_an_answer_that_came_whole_has_lost_nothing_however_it_was_cut() -> None:
    for pieces in (whole(SENT), [(0, TEXT)], [(0, TEXT[:33]), (33, TEXT[33:])]):
        socket = receive(pieces)
        answer = socket.read()
        assert (answer.tokens, answer.gaps, lost_tokens(answer, upstream())) == (20, 0, 0)
        assert len(answer.added_us) == 20


@pytest.mark.parametrize(
    ("tokens", "lost"),
    [
        (SENT[:10] + SENT[11:], 1),
        (SENT[:10] + SENT[9:], 2),  # one too many, and not later than the one before
        ([*SENT[:10], SENT[11], SENT[10], *SENT[12:]], 1),
        ([*SENT[:10], "rubbish", *SENT[11:]], 2),
        ([*SENT[:10], write_token(BEGAN + 500_001).decode(), *SENT[11:]], 1),  # somebody else's token
    ],
    ids=["lost", "doubled", "misplaced", "damaged", "foreign"],
)
async def test_what_is_wrong_with_a_text_is_counted(tokens: list[str], lost: int) -> None:
    answer = receive(whole(tokens)).read()
    assert lost_tokens(answer, upstream()) == lost


async def test_a_hole_in_the_log_is_a_gap_and_a_merged_frame_is_not() -> None:
    hole = receive([(0, SENT[0]), (14, SENT[2])])
    assert hole.answer.gaps == 1

    merged = receive([(0, SENT[0])])
    merged.receive(Incoming("run.delta", "c", 4, RUN, 1, 7, "".join(SENT[1:4])), 100)
    assert (merged.answer.gaps, merged.answer.merged) == (0, 1)

    repeated = receive([(0, SENT[0])])
    repeated.receive(Incoming("run.delta", "c", 1, RUN, 1, 7, SENT[1]), 100)
    assert repeated.answer.gaps == 1
    for socket in (merged, repeated):
        socket._ack()
    await asyncio.sleep(0)


def test_a_rate_counts_only_while_all_streams_run() -> None:
    """Two answers that overlap for two seconds, 10 tokens/s each; what comes before and after does not count."""
    second = 1_000_000
    ledger = {
        name: Answer(name, start, start, start + 3 * second, 30, 0, complete=True)
        for name, start in (("a", 0), ("b", second))
    }
    answers = [
        Answered(tag=name, arrivals=[(one.first_us + 100_000 * number, 1) for number in range(30)])
        for name, one in ledger.items()
    ]
    assert delivered_rate(answers, ledger, stopped_us=10 * second) == pytest.approx(20, rel=0.05)


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (50.0, 99.0, 0.0)
