"""The decoder's processes: `python -m workers.asr.backends.sphinx_process <control fd> <options>`.

pocketsphinx holds the GIL while it decodes, and crashes the process when it is fed outside an utterance. So it lives
here: this process loads the model once and forks a decoder for each recording, in milliseconds and sharing its
memory. A decoder that crashes takes one recording with it; whoever asked for it sees its socket end.

`process_pool` has the control socket, `decoder_protocol` the decoder's. Operations: S start, A audio (PCM16), E end.
The end of either socket ends the process.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from workers.asr.backends.decoder_protocol import PID, READY, read_requests, send_reply

if TYPE_CHECKING:
    from pocketsphinx import Decoder

DECODE_SECONDS: Final = 10  # one operation; the kernel ends a decoder that takes longer


def load(grammar: str) -> Decoder:
    """Loads a decoder and decodes a second of silence, so that all its memory is in place before the first fork."""
    from pocketsphinx import Decoder  # optional, and needed in this process only

    options: dict[str, object] = {"loglevel": "FATAL", "fwdflat": False}
    if grammar:
        options["jsgf"] = grammar
    decoder = Decoder(**options)
    decoder.start_utt()
    decoder.process_raw(bytes(32_000))
    decoder.end_utt()
    return decoder


def serve(connection: socket.socket, decoder: Decoder) -> None:
    """Serves one recording. Operations that do not fit the decoder's state are refused: they would crash it."""
    in_utterance = False
    for operation, payload in read_requests(connection):
        signal.alarm(DECODE_SECONDS)
        error = ""
        if operation == b"S" and not in_utterance:
            decoder.start_utt()
            in_utterance = True
        elif operation == b"A" and in_utterance and payload and len(payload) % 2 == 0:
            decoder.process_raw(payload)
        elif operation == b"E" and in_utterance:
            in_utterance = False
            decoder.end_utt()
        else:
            error = f"operation {operation!r} does not fit ({'in' if in_utterance else 'outside'} an utterance)"
        hypothesis = None if error or operation == b"S" else decoder.hyp()
        signal.alarm(0)
        send_reply(connection, text=hypothesis.hypstr if hypothesis else "", error=error)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    options = json.loads(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker acts on Ctrl-C; the sockets of this process end with it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended decoders leave no zombies
    decoder = load(options["grammar"])
    gc.freeze()
    control.sendall(READY)
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        connection = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if pid == 0:
            control.close()
            try:
                serve(connection, decoder)
            except OSError:
                os._exit(1)  # the worker is gone
            os._exit(0)
        connection.close()
        control.sendall(PID.pack(pid))


if __name__ == "__main__":
    main()
