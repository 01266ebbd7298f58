"""Audio frames: header, order, pace and backlog."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.audio_frames import AUDIO_HEADER, BYTES_PER_MS, Frame, parse_frame
from chat.protocol.errors import ChatError, Invalid, RateLimited, TooLarge
from chat.protocol.limits import MAX_AUDIO_BYTES
from chat.voice.intake import BUFFER_MS, AudioChunk, Backlog, Intake

PCM = bytes(100 * BYTES_PER_MS)


def packed(pcm: bytes = PCM, *, kind: int = 1, flags: int = 0, stream: int = 7, number: int = 0) -> bytes:
    return AUDIO_HEADER.pack(kind, flags, stream, number) + pcm


def frame(number: int, ms: int = 100) -> Frame:
    return Frame(1, number, bytes(ms * BYTES_PER_MS), last=False)


def test_a_frame_is_read() -> None:
    assert parse_frame(packed(flags=1, number=4_000_000_000)) == Frame(7, 4_000_000_000, PCM, last=True)
    assert parse_frame(packed(bytes(MAX_AUDIO_BYTES))).ms == 250
    assert parse_frame(packed(b"", flags=1)).pcm == b"", "the last frame may only say that it is"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Invalid),
        (packed(b"")[:7], Invalid),
        (packed(b""), Invalid),
        (packed(PCM + b"\0"), Invalid),
        (packed(bytes(20 * BYTES_PER_MS - 2)), Invalid),
        (packed(kind=2), Invalid),
        (packed(bytes(MAX_AUDIO_BYTES + 2)), TooLarge),
    ],
)
def test_a_bad_frame_is_refused(data: bytes, error: type[ChatError]) -> None:
    with pytest.raises(error):
        parse_frame(data)


@given(st.binary(max_size=9_000))
def test_any_bytes_are_a_frame_or_an_error(data: bytes) -> None:
    try:
        parsed = parse_frame(data)
    except ChatError:
        return
    assert len(parsed.pcm) % 2 == 0
    assert len(parsed.pcm) <= MAX_AUDIO_BYTES


def test_gaps_are_told_and_order_is_kept() -> None:
    intake = Intake(0)
    assert intake.take(frame(0), 0) == 0
    assert intake.take(frame(3), 0.1) == 200
    for number in (3, 1):
        with pytest.raises(Invalid):
            intake.take(frame(number), 0.2)
    assert intake.audio_bytes == 2 * len(PCM)


def test_the_pace_is_half_again_as_fast_as_speech() -> None:
    intake, taken, now = Intake(0), 0, 0.0
    for number in range(10_000):
        now = number / 1000 * 20  # a frame of 100 ms every 20 ms: five times real time
        try:
            intake.take(frame(taken), now)
        except RateLimited:
            continue
        taken += 1
    assert 1.5 * now * 1000 <= taken * 100 <= 1.5 * now * 1000 + 3_000


def test_the_backlog_drops_the_oldest_audio_and_no_command() -> None:
    backlog = Backlog()
    backlog.push(AudioChunk(0, command="flush"))
    for number in range(60):
        backlog.push(AudioChunk(number * len(PCM), PCM))
    entries = backlog.take()
    assert entries[0].command == "flush"
    audio = [entry for entry in entries if not entry.command]
    assert len(audio) == BUFFER_MS // 100
    assert audio[-1].offset == 59 * len(PCM)
    assert backlog.take() == []


def test_what_was_given_back_comes_first_and_is_the_first_to_go() -> None:
    backlog = Backlog()
    old = [AudioChunk(number * len(PCM), PCM) for number in range(30)]
    new = [AudioChunk(number * len(PCM), PCM) for number in range(30, 60)]
    for entry in new:
        backlog.push(entry)
    backlog.give_back(old)
    assert backlog.take() == (old + new)[-BUFFER_MS // 100 :]
