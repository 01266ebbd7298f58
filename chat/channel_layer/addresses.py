"""The names of Redis channels: where a group's messages, and messages to a single channel, are published."""

from __future__ import annotations

PROCESS_ID_LENGTH = 32  # of the hexadecimal UUID before the "!" in a channel's name


def group_address(prefix: str, group: str) -> str:
    """The Redis channel of a group; the same as that of channels_redis."""
    return f"{prefix}__group__{group}"


def channel_address(prefix: str, channel: str) -> str:
    """The Redis channel for `send`. All channels that one loop made share one, and so one subscription."""
    head, mark, _ = channel.partition("!")
    if mark:
        return f"{prefix}__process__{head[-PROCESS_ID_LENGTH:]}"
    return f"{prefix}__channel__{channel}"
