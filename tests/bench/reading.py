"""What reading a stream costs: `python -m tests.bench.reading` prints the CPU time of one chunk of a chat completion.

The bytes come one event at a time, as they do from a model that writes 20 tokens a second.
"""

from __future__ import annotations

import json
import os
import time
from typing import Final

CHUNKS: Final = 2_000
TIMES: Final = 25  # the best of so many counts: the machine may have other work


def chunk(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(event)}\n\n".encode()


def measure() -> float:
    """Microseconds a chunk."""
    from workers.providers.openai.dialect import OpenAIDialect

    chunks = [chunk(f"tok{number} ") for number in range(CHUNKS)]
    found = []
    for _ in range(TIMES):
        reader = OpenAIDialect().reader((), lambda _kind, _found: None)
        began = time.process_time()
        for data in chunks:
            reader.feed(data)
        found.append(time.process_time() - began)
        assert len(reader.text) == CHUNKS
    return min(found) / CHUNKS * 1e6


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    print(f"{measure():.1f} µs of CPU a chunk")
