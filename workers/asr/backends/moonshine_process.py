"""The process of Moonshine's model: `python -m workers.asr.backends.moonshine_process <control fd> <options>`.

Its engine is native code; a crash takes the recordings in progress with it, and no answer. The model is loaded once,
and each recording has a thread. One thread at a time transcribes, because a transcript of the engine is valid only
until the next one: those that a speaker waits for (F, final) go before those that are shown meanwhile (T, partial).
The payload of both is the PCM16 of the segment so far, from its start.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from workers.asr.backends.decoder_protocol import PID, READY, read_requests, send_reply

if TYPE_CHECKING:
    from moonshine_voice.transcriber import Transcriber

FINAL: Final = b"F"
PARTIAL: Final = b"T"
# Silero has found the speech already; with its own detector, each segment would begin with a spurious word.
OPTIONS: Final = {"vad_threshold": "0.0"}


class Turns:
    """Who transcribes next: those that wait for a final transcript before the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._in_use = False
        self._finals = 0

    @contextmanager
    def turn(self, *, final: bool) -> Iterator[None]:
        with self._changed:
            self._finals += final
            self._changed.wait_for(lambda: not self._in_use and (final or not self._finals))
            self._finals -= final
            self._in_use = True
        try:
            yield
        finally:
            with self._changed:
                self._in_use = False
                self._changed.notify_all()


def load() -> Transcriber:
    """Loads the English model that the package contains, and transcribes half a second of silence with it."""
    from moonshine_voice.moonshine_api import ModelArch  # optional, and needed in this process only
    from moonshine_voice.transcriber import Transcriber
    from moonshine_voice.utils import get_model_path

    transcriber = Transcriber(get_model_path("tiny-en"), ModelArch.TINY, options=OPTIONS)
    transcribe(transcriber, bytes(16_000))
    return transcriber


def transcribe(transcriber: Transcriber, pcm: bytes) -> str:
    """The text of PCM16 at 16 kHz."""
    samples = [sample / 32768 for sample in array.array("h", pcm)]
    lines = transcriber.transcribe_without_streaming(samples).lines
    return " ".join(text for line in lines if (text := line.text.strip()))


def serve(connection: socket.socket, transcriber: Transcriber, turns: Turns) -> None:
    """Serves one recording."""
    with connection:
        try:
            for operation, pcm in read_requests(connection):
                if operation not in {FINAL, PARTIAL} or not pcm or len(pcm) % 2:
                    send_reply(connection, error=f"operation {operation!r} with {len(pcm)} bytes")
                    continue
                with turns.turn(final=operation == FINAL):
                    text = transcribe(transcriber, pcm)
                send_reply(connection, text=text)
        except OSError:
            return  # the worker has closed it


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker acts on Ctrl-C; the socket of this process ends with it
    transcriber, turns = load(), Turns()
    control.sendall(READY)
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            os._exit(0)  # without waiting for transcriptions that nobody reads
        connection = socket.socket(fileno=descriptors[0])
        threading.Thread(target=serve, args=(connection, transcriber, turns), daemon=True).start()
        control.sendall(PID.pack(os.getpid()))


if __name__ == "__main__":
    main()
