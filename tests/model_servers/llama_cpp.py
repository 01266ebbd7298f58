"""llama.cpp's own HTTP server, from the xllamacpp wheel: python llama_cpp.py MODEL PORT"""

from __future__ import annotations

import signal
import sys

import xllamacpp


def main(model: str, port: int) -> None:
    options = xllamacpp.CommonParams()
    options.model.path = model
    options.hostnames, options.port = ["127.0.0.1"], port
    options.n_parallel, options.n_ctx = 2, 4096  # 2,048 tokens for each of two answers
    options.ctx_shift = False
    options.endpoint_slots = options.endpoint_metrics = True
    options.cpuparams.n_threads = 1
    server = xllamacpp.Server(options)  # serves on threads of its own
    print(f"listening on {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
