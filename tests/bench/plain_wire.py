"""The sockets of the baselines, which speak two lines of JSON."""

from __future__ import annotations

from picows import ws_connect

from tests.bench.answers import Answered
from tests.bench.stamps import now_us
from tests.bench.wire import Incoming, Line


class PlainSocket(Line):
    """The baselines: `{"text", "model"}` in, a `{"text"}` per token out, then `{"done": true}`."""

    def receive(self, frame: Incoming, size: int) -> None:
        answer = self.answer
        answer.frames += 1
        answer.bytes += size
        if frame.text:
            at = now_us()
            if not answer.first_us:
                answer.first_us = at
            answer.delta_frames += 1
            answer.delta_bytes += size
            self.pieces.append((at, frame.text))
        if frame.done:
            self.finish("run.done")

    def ask(self, tag: str, model: str, conversation_id: str | None = None) -> Answered:
        answer = self.begin(tag)
        self.write({"text": f"Write me a poem, please. bench:{tag}", "model": model})
        return answer


async def open_plain(url: str) -> PlainSocket:
    _, listener = await ws_connect(PlainSocket, url.replace("http", "ws", 1) + "/ws", websocket_handshake_timeout=30)
    assert isinstance(listener, PlainSocket)
    return listener
