"""The worker's end of a decoder's socket (`decoder_protocol`)."""

from __future__ import annotations

import asyncio
import json

from workers.asr.backends.decoder_protocol import REPLY, REQUEST
from workers.asr.backends.process_pool import Decoder, DecoderPool
from workers.asr.base import unavailable


class DecoderClient:
    """Asks one decoder, one request at a time. `seconds`: how long one may take."""

    def __init__(
        self, decoder: Decoder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
    ) -> None:
        self.pid = decoder.pid
        self._reader = reader
        self._writer = writer
        self._seconds = seconds

    @classmethod
    async def open(cls, pool: DecoderPool, seconds: float) -> DecoderClient:
        """A decoder of the pool's process, which is started if needed. Raises `AsrError`."""
        decoder = await pool.open()
        reader, writer = await asyncio.open_unix_connection(sock=decoder.connection)
        return cls(decoder, reader, writer, seconds)

    async def call(self, operation: bytes, payload: bytes = b"") -> str:
        """The text that the decoder answers. Raises `AsrError` if it has ended, takes too long or refuses."""
        try:
            self._writer.write(REQUEST.pack(operation, len(payload)) + payload)
            async with asyncio.timeout(self._seconds):
                await self._writer.drain()
                (length,) = REPLY.unpack(await self._reader.readexactly(REPLY.size))
                reply = json.loads(await self._reader.readexactly(length))
        except TimeoutError:
            raise unavailable(f"the decoder took more than {self._seconds:.0f} s") from None
        except (OSError, EOFError) as error:
            raise unavailable(f"the decoder ended ({type(error).__name__})") from None
        if "error" in reply:
            raise unavailable(f"the decoder refused: {reply['error']}")
        return str(reply["text"])

    def close(self) -> None:
        self._writer.close()
