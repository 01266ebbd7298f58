"""Sizes and times of the wire protocol."""

from __future__ import annotations

from typing import Final

PROTOCOL: Final = "chat.v1"
MAX_TEXT_BYTES: Final = 48 * 1024  # of one message's text in UTF-8
# JSON may write each byte of a text as six (`\u0001`): the longest text always fits, with the other fields.
MAX_FRAME_BYTES: Final = 6 * MAX_TEXT_BYTES + 8 * 1024
HARD_FRAME_BYTES: Final = 2 * MAX_FRAME_BYTES  # larger frames are not read: the connection is closed
COUNTED_FRAME_BYTES: Final = 16 * 1024  # a larger frame counts as several under the limit of frames
MAX_AUDIO_BYTES: Final = 8_000
WINDOW_BYTES: Final = 256 * 1024
HEARTBEAT_SECONDS: Final = 25
PONG_SECONDS: Final = 10
MIN_COMPARED: Final = 2  # models that answer one message side by side
MAX_COMPARED: Final = 4
MAX_RATING_NOTE: Final = 1_000  # characters
# What `hello` says that this server has, beside what depends on its settings.
FEATURES: Final = (
    "reasoning", "compare", "members", "queue", "ask", "branches", "ratings", "seen", "folders", "files", "collections",
    "short_deltas",
)  # fmt: skip
MAX_TOOLS: Final = 200  # that a conversation or a message may name
MAX_COLLECTIONS: Final = 20  # that a conversation or a message may name
MAX_TOOL_NAME: Final = 200  # characters, with the name of its server
