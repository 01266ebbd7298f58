"""Reads PCM16 that comes in pieces, with or without the header of a WAV file. Pure."""

from __future__ import annotations

import array
import sys
from typing import Final

HEADER_LIMIT: Final = 64 * 1024  # bytes before the samples of a WAV file


class WavReader:
    """Turns pieces of raw PCM16, or of a WAV file with PCM16 at any rate and one or two channels, into mono PCM16 at
    `rate`.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._given = rate
        self._channels = 1
        self._waiting = b""  # the header as far as it is there; later part of a sample
        self._begun = False
        self._place = 0.0  # where the next sample lies, in samples of what was given
        self._last = 0  # the sample before those that come
        self._first = True

    def feed(self, piece: bytes) -> bytes:
        """The PCM of a piece; empty while a header is being read. Raises `ValueError` for what is no PCM16."""
        self._waiting += piece
        if not self._begun and not self._begin():
            return b""
        width = 2 * self._channels
        whole = len(self._waiting) // width * width
        pcm, self._waiting = self._waiting[:whole], self._waiting[whole:]
        if self._given == self._rate and self._channels == 1:
            return pcm
        return self._convert(pcm)

    def _begin(self) -> bool:
        """Whether the samples begin here; what is before them is read then."""
        data = self._waiting
        if len(data) < 12 and b"RIFF".startswith(data[:4]):
            return False
        if data[:4] != b"RIFF":
            self._begun = True
            return True
        if data[8:12] != b"WAVE":
            raise ValueError("a RIFF file that is no WAV file")
        at = 12
        while at + 8 <= len(data):
            name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
            if name == b"data":  # its size is unknown while it streams
                self._waiting, self._begun = data[at + 8 :], True
                return True
            if at + 8 + size > len(data):
                break
            if name == b"fmt ":
                self._read_format(data[at + 8 : at + 8 + size])
            at += 8 + size + size % 2
        if len(data) > HEADER_LIMIT:
            raise ValueError("a WAV file without samples")
        return False

    def _read_format(self, fields: bytes) -> None:
        kind, channels = int.from_bytes(fields[:2], "little"), int.from_bytes(fields[2:4], "little")
        rate, bits = int.from_bytes(fields[4:8], "little"), int.from_bytes(fields[14:16], "little")
        if kind not in (1, 0xFFFE) or bits != 16 or channels not in (1, 2) or not 8_000 <= rate <= 96_000:
            raise ValueError(f"format {kind}, {bits} bits, {channels} channels, {rate} Hz")
        self._channels, self._given = channels, rate

    def _convert(self, pcm: bytes) -> bytes:
        """Mixes channels and interpolates between samples: speech has little where that would be heard."""
        samples = array.array("h", pcm)
        if sys.byteorder == "big":
            samples.byteswap()
        if self._channels == 2:
            samples = array.array("h", [(samples[i] + samples[i + 1]) // 2 for i in range(0, len(samples) - 1, 2)])
        if not samples:
            return b""
        if self._first:
            self._first, self._last = False, samples[0]
        step = self._given / self._rate
        made = array.array("h")
        while self._place < len(samples):
            index = int(self._place)
            before = samples[index - 1] if index else self._last
            made.append(round(before + (samples[index] - before) * (self._place - index)))
            self._place += step
        self._place -= len(samples)
        self._last = samples[-1]
        if sys.byteorder == "big":
            made.byteswap()
        return made.tobytes()
