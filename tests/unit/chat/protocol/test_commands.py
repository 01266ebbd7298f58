"""Whatever text of the permitted length is sent is accepted, and each refusal names the frame it belongs to."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable

import pytest

from chat.protocol.commands import MessageSend, Named, clean_text, names_of, parse_command
from chat.protocol.errors import ChatError, Invalid
from chat.protocol.limits import HARD_FRAME_BYTES, MAX_FRAME_BYTES, MAX_TEXT_BYTES

CLIENT_ID = str(uuid.UUID(int=7))


def frame(text: str, *, ascii_only: bool = False, **fields: object) -> str:
    body = {"type": "message.send", "conversation_id": None, "client_id": CLIENT_ID, "ref": "r1", "text": text}
    return json.dumps({**body, **fields}, ensure_ascii=ascii_only)


def text_of(sent: str) -> str:
    command = parse_command(sent)
    assert isinstance(command, MessageSend)
    return clean_text(command.text)


@pytest.mark.parametrize(
    "text", ['"1",' * 12_288, "\\" * MAX_TEXT_BYTES, "\n" * (MAX_TEXT_BYTES - 1) + "x", "é" * 24_576, "😀" * 12_288]
)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_every_text_of_the_permitted_length_fits_a_frame(text: str, ascii_only: bool) -> None:
    assert len(text.encode()) == MAX_TEXT_BYTES
    assert text_of(frame(text, ascii_only=ascii_only, model="m" * 200)) == text


def test_the_longest_names_of_several_models_fit_beside_the_longest_text() -> None:
    text, names = '"' * MAX_TEXT_BYTES, [f"{number}{'m' * 199}" for number in range(4)]
    assert text_of(frame(text, ascii_only=True, models=names)) == text


@pytest.mark.parametrize("models", [[], ["one"], ["a", "b", "c", "d", "e"], ["a", ""], "small"])
def test_two_to_four_models_are_compared(models: object) -> None:
    with pytest.raises(Invalid, match="models"):
        parse_command(frame("Hello", models=models))


def test_the_longest_way_to_write_a_text_fits_too() -> None:
    """Each character as an escape of six bytes."""
    text = "".join(rf"\u{ord(character):04x}" for character in "a" * MAX_TEXT_BYTES)
    assert text_of(frame("TEXT").replace("TEXT", text)) == "a" * MAX_TEXT_BYTES


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("half \ud83d a character", "half � a character"),
        ("\udc00", "�"),
        ("\ud83d\ude00 whole", "😀 whole"),
        ("a\x00b\x07c\x1bd\x7fe\x9bf", "abcdef"),
        ("tab\tline\nreturn\r\n", "tab\tline\nreturn\r\n"),
    ],
)
def test_halves_of_characters_and_control_characters_are_cleaned(text: str, stored: str) -> None:
    """As `JSON.stringify` writes them: the surrogate as an escape."""
    assert text_of(frame(text, ascii_only=True)) == stored
    assert clean_text(text) == stored


@pytest.mark.parametrize("unit", ["\ud800", "a\udc00", "\udfff\ud800"])
def test_a_frame_full_of_halves_costs_little_more_than_any_other(unit: str) -> None:
    """Each took 40 ms of the loop that all sockets share, so one account could make everybody wait for seconds."""
    sent = frame(unit * (40_000 // len(unit)), ascii_only=True)

    def cost(read: Callable[[str], object]) -> float:
        began = time.process_time()
        read(sent)
        return time.process_time() - began

    assert min(cost(parse_command) for _ in range(5)) < 20 * min(cost(json.loads) for _ in range(5))


def test_a_text_of_control_characters_only_is_empty() -> None:
    with pytest.raises(Invalid, match="empty"):
        clean_text("\x00\x01")


@pytest.mark.parametrize(
    "sent",
    [
        frame("x", model=""),
        frame("x", nothing_of_ours=1),
        frame("x", type="message.sing"),
        frame("x", conversation_id="no id"),
        frame("\ud800", model="\udfff" * 201, ascii_only=True),
        frame("x" * MAX_FRAME_BYTES),
        frame("\x01" * (HARD_FRAME_BYTES // 6 - 100), ascii_only=True),
    ],
)
def test_every_refusal_names_its_frame(sent: str) -> None:
    with pytest.raises(ChatError) as refused:
        parse_command(sent)
    assert refused.value.message
    assert names_of(sent) == Named("r1", CLIENT_ID)


def test_a_name_of_the_wrong_kind_is_none_and_the_other_still_counts() -> None:
    assert names_of('{"type": "ping", "ref": 7, "client_id": "c"}') == Named(None, "c")
    assert names_of(json.dumps({"ref": "r", "client_id": "c" * 65})) == Named("r", None)


@pytest.mark.parametrize("sent", ["", "[]", "nothing", '{"ref": "r"', "[" * 100_000, '{"a": NaN, "b": "\\ud800"}'])
def test_what_is_not_json_is_refused_without_a_name(sent: str) -> None:
    with pytest.raises(Invalid):
        parse_command(sent)
    assert names_of(sent) == Named()
