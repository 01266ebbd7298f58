"""The load client's sockets: `chat.v1` (docs/protocol.md). Those of the baselines are in `plain_wire.py`.

On picows and uvloop: 6 µs of CPU a frame (aiohttp 9, websockets 10), so that the client is not what is measured.
Hot paths only note when what arrived; the arithmetic comes after the run (`tests.bench.answers`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.bench.answers import Answered, read_answer
from tests.bench.stamps import now_us

ACK_EVENTS: Final = 16
ACK_SECONDS: Final = 0.25
ENDINGS: Final = frozenset({"run.done", "run.stopped", "run.failed", "run.interrupted"})


class Position(msgspec.Struct):
    epoch: str
    seq: int


class Incoming(msgspec.Struct):
    """Any frame of the server, as far as the client looks into it."""

    type: str = ""
    conversation_id: str = ""
    seq: int = 0
    run_id: str = ""
    attempt: int = 0
    index: int = 0
    text: str = ""
    position: Position | None = None
    recovered: bool = False
    code: str | None = None
    message: Any = None
    text_length: int = 0
    timing: dict[str, Any] | None = None
    snapshot: dict[str, Any] | None = None
    resume: str = ""
    alias: int = -1
    features: list[str] = []
    done: bool = False  # the baselines


_decoder = msgspec.json.Decoder(Incoming)
_short_decoder = msgspec.json.Decoder(tuple[int, str])
_encoder = msgspec.json.Encoder()


class Line(WSListener):
    """What both kinds of socket share: the connection, and the answer being received."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: WSTransport | None = None
        self.close_code: int | None = None
        self.closed = self.loop.create_future()
        self.ended: asyncio.Future[str] = self.loop.create_future()
        self.answer = Answered()
        self.pieces: list[tuple[int, str]] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.transport = None
        if not self.closed.done():
            self.closed.set_result(self.close_code)
        self.finish("closed", str(self.close_code or 1006))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            short = payload.startswith(b"[")
            self.receive(
                self.expand(*_short_decoder.decode(payload)) if short else _decoder.decode(payload), len(payload)
            )
        elif frame.msg_type is WSMsgType.CLOSE:
            self.close_code = int.from_bytes(
                frame.get_payload_as_bytes()[:2], "big"
            )  # picows knows the standard's only
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def receive(self, frame: Incoming, size: int) -> None:
        raise NotImplementedError

    def expand(self, alias: int, text: str) -> Incoming:
        """The whole frame of a delta in the short form."""
        raise NotImplementedError

    def ask(self, tag: str, model: str, conversation_id: str | None = None) -> Answered:
        """Sends a message; `ended` is done when its answer is."""
        raise NotImplementedError

    def write(self, frame: Mapping[str, Any]) -> None:
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, _encoder.encode(frame))

    def begin(self, tag: str) -> Answered:
        self.answer = Answered(tag=tag, sent_us=now_us())
        self.pieces = []
        self.ended = self.loop.create_future()
        return self.answer

    def read(self) -> Answered:
        """The answer, with what follows from all that was received of it."""
        return read_answer(self.answer, self.pieces)

    def finish(self, ending: str, code: str | None = None) -> None:
        if not self.ended.done():
            self.answer.ended_us = now_us()
            self.answer.ending, self.answer.code = ending, code
            self.ended.set_result(ending)

    def drop(self) -> None:
        """Cuts the connection without a word, as a lost network does."""
        if self.transport is not None:
            self.transport.underlying_transport.abort()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.send_close(WSCloseCode.OK)
            self.transport.disconnect()


class ChatSocket(Line):
    """A socket of `chat.v1`: acknowledges, answers pings, checks that `seq` and `index` have no holes."""

    def __init__(self) -> None:
        super().__init__()
        self.hello: asyncio.Future[None] = self.loop.create_future()
        self.replies: dict[str, asyncio.Future[Incoming]] = {}
        self.resume = ""  # a ticket for the next socket
        self.conversation_id = ""
        self.epoch = ""
        self.seq = 0
        self.length = 0  # of the text of the run that is on
        self.run = ("", 0)
        self.gaps = 0
        self.resets = 0
        self.merged = 0
        self._unacked = 0
        self._acking: asyncio.TimerHandle | None = None
        self._texts: dict[int, Incoming] = {}  # by alias: the delta before

    def receive(self, frame: Incoming, size: int) -> None:
        answer = self.answer
        answer.frames += 1
        answer.bytes += size
        if frame.seq:
            self._event(frame, size)
        elif frame.type == "ping":
            self.write({"type": "pong"})
        elif frame.type == "hello":
            self.resume = frame.resume
            if "short_deltas" in frame.features:  # as the page does
                self.write({"type": "deltas", "short": True})
            self.hello.set_result(None)
        elif frame.type in ("message.accepted", "subscribed") and frame.position is not None:
            if frame.type == "message.accepted":
                answer.accepted_us = now_us()
            if frame.conversation_id != self.conversation_id or frame.type == "subscribed":
                self.conversation_id = frame.conversation_id
                self.epoch, self.seq = frame.position.epoch, frame.position.seq
            self._reply(frame)
        elif frame.type == "reset":
            self.resets += 1
        elif frame.type == "error" and not self._reply(frame):
            self.finish("error", f"{frame.code}: {frame.message}")

    def expand(self, alias: int, text: str) -> Incoming:
        before = self._texts[alias]
        index = before.index + len(before.text)
        return Incoming(
            "run.delta", before.conversation_id, self.seq + 1, before.run_id, before.attempt, index, text, alias=alias
        )

    def _reply(self, frame: Incoming) -> bool:
        waiting = self.replies.pop("", None)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(frame)
        return True

    def _event(self, frame: Incoming, size: int) -> None:
        answer = self.answer
        kind = frame.type
        step = frame.seq - self.seq
        if kind == "run.delta":
            if frame.alias >= 0:
                self._texts[frame.alias] = frame
            if self.run != (frame.run_id, frame.attempt):
                if self.run[0] == frame.run_id:
                    answer.restarts += 1
                    self.pieces.clear()
                self.run, self.length = (frame.run_id, frame.attempt), 0
            at = now_us()
            if not answer.first_us:
                answer.first_us = at
            self.pieces.append((at, frame.text))
            answer.delta_frames += 1
            answer.delta_bytes += size
            if frame.index != self.length or step < 1:
                answer.gaps += 1
            if step > 1:
                answer.merged += 1
            self.length = frame.index + len(frame.text)
        else:
            if step != 1:
                answer.gaps += 1
            if kind == "run.started":
                answer.started_us = now_us()
            elif kind in ENDINGS:
                answer.timing = frame.timing
                self.finish(kind, frame.code)
        self.seq = frame.seq
        self._unacked += 1
        if self._unacked >= ACK_EVENTS:
            self._ack()
        elif self._acking is None:
            self._acking = self.loop.call_later(ACK_SECONDS, self._ack)

    def _ack(self) -> None:
        if self._acking is not None:
            self._acking.cancel()
            self._acking = None
        if self._unacked:
            self._unacked = 0
            self.write({"type": "ack", "conversation_id": self.conversation_id, "seq": self.seq})

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._acking is not None:
            self._acking.cancel()
        if not self.hello.done():
            self.hello.set_exception(ConnectionError(f"closed before hello ({self.close_code})"))
        for waiting in self.replies.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError(f"closed ({self.close_code})"))
        super().on_ws_disconnected(transport)

    def ask(self, tag: str, model: str, conversation_id: str | None = None) -> Answered:
        answer = self.begin(tag)
        self.write(
            {
                "type": "message.send",
                "conversation_id": conversation_id,
                "client_id": str(uuid.uuid4()),
                "text": f"Write me a poem, please. bench:{tag}",
                "model": model,
            }
        )
        return answer

    async def subscribe(self, conversation_id: str, position: Position | None, seconds: float = 30.0) -> Incoming:
        """Follows a conversation. Raises ConnectionError, TimeoutError, or RuntimeError with the server's refusal."""
        waiting = self.replies[""] = self.loop.create_future()
        frame: dict[str, Any] = {"type": "subscribe", "ref": "s", "conversation_id": conversation_id}
        if position is not None:
            frame["position"] = position
        self.write(frame)
        reply: Incoming = await asyncio.wait_for(waiting, seconds)
        if reply.type == "error":
            raise RuntimeError(f"{reply.code}: {reply.message}")
        return reply


async def open_chat(url: str, cookie: str, ticket: str, *, source: str | None = None) -> ChatSocket:
    """A socket that has been greeted. `source`: the local address to come from."""
    headers = {
        "Cookie": cookie,
        "Origin": url,
        "Sec-WebSocket-Protocol": f"chat.v1, ticket.{ticket}",
    }
    _, listener = await ws_connect(
        ChatSocket,
        url.replace("http", "ws", 1) + "/ws/",
        extra_headers=headers,
        websocket_handshake_timeout=30,
        read_buffer_init_size=2048,
        local_addr=(source, 0) if source else None,
    )
    assert isinstance(listener, ChatSocket)
    await asyncio.wait_for(listener.hello, 30)
    return listener
