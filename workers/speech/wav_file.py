"""The audio of a recording in progress as a temporary WAV file, for speakers whose plan keeps audio."""

from __future__ import annotations

import tempfile
import wave
from typing import IO, Final

from chat.protocol.audio_frames import BYTES_PER_MS

RATE: Final = BYTES_PER_MS * 1000 // 2


class WavFile:
    """16 kHz mono PCM16. Each frame is at its offset; audio that was lost on the way to the worker is silence."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the recording
        self._wave = wave.open(self.file, "wb")  # noqa: SIM115
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(RATE)
        self._bytes = 0

    def write(self, offset: int, pcm: bytes) -> None:
        """`pcm` at `offset` bytes from the recording's start. Raises OSError where the disk is full."""
        if offset > self._bytes:
            self._wave.writeframesraw(bytes(offset - self._bytes))
        self._wave.writeframesraw(pcm)
        self._bytes = offset + len(pcm)

    def finish(self) -> IO[bytes]:
        """The whole file, from its beginning."""
        self._wave.close()  # writes the length into the header and leaves the file open
        self.file.seek(0)
        return self.file

    def discard(self) -> None:
        self.file.close()
