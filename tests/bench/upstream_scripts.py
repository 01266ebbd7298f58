"""The answers that the bench's model server plays, by the names of its models."""

from __future__ import annotations

import json
import re
from typing import Final

_MODEL: Final = re.compile(r"bench-(\d+)tps-(\d+)n(?:-(\d+)ms)?(?:-(\d+)r)?")
_CHUNK: Final = (
    'data: {"id":"chatcmpl-00000000000000000000000000000","object":"chat.completion.chunk","created":1700000000,'
    '"model":"%s","system_fingerprint":"fp_0000000000","choices":[{"index":0,"delta":%s,"logprobs":null,'
    '"finish_reason":%s}]%s}\n\n'
)
_SLOT: Final = "@token@"


def _chunked(body: str) -> bytes:
    raw = body.encode()
    return b"%x\r\n%s\r\n" % (len(raw), raw)


_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Script:
    """The bytes of one model's answers."""

    def __init__(self, model: str, rate: int, length: int, delay_ms: int, rounds: int) -> None:
        self.length, self.interval, self.delay = length, 1 / rate, delay_ms / 1000
        whole = _chunked(_CHUNK % (model, f'{{"content":"{_SLOT}"}}', "null", ""))
        self.before, self.after = whole.split(_SLOT.encode())
        self.head = _HEAD + _chunked(_CHUNK % (model, '{"role":"assistant","content":""}', "null", ""))
        self.stop = _chunked(_CHUNK % (model, "{}", '"stop"', ""))
        usage = {"prompt_tokens": 10, "completion_tokens": length, "total_tokens": length + 10}
        self.usage = _chunked(
            f'data: {{"id":"chatcmpl-0","object":"chat.completion.chunk","created":1700000000,"model":"{model}",'
            f'"choices":[],"usage":{json.dumps(usage)}}}\n\n'
        )
        self.done = _chunked("data: [DONE]\n\n") + b"0\r\n\r\n"
        self.calls = [self._call(model, number) for number in range(rounds)]

    def _call(self, model: str, number: int) -> bytes:
        """The bytes of a request's answer that asks for a call; each has other arguments."""
        function = {"name": "current_time", "arguments": json.dumps({"time_zone": f"Etc/GMT+{number}"})}
        call = {"index": 0, "id": f"call_{number}", "type": "function", "function": function}
        delta = _chunked(_CHUNK % (model, json.dumps({"tool_calls": [call]}), "null", ""))
        end = _chunked(_CHUNK % (model, "{}", '"tool_calls"', ""))
        return self.head + delta + end + self.usage + self.done


def read_script(model: str) -> Script | None:
    found = _MODEL.fullmatch(model)
    if found is None:
        return None
    rate, length, delay, rounds = int(found[1]), int(found[2]), int(found[3] or 0), int(found[4] or 0)
    return Script(model, rate, length, delay, rounds) if rate and length else None
