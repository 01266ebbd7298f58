"""The wire protocol chat.v1: commands, frames, errors, close codes, sizes. No I/O; described in docs/protocol.md."""
