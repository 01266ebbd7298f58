"""The wire protocol chat.v1: commands, frames, errors, close codes, sizes. Pure; described in docs/protocol.md."""
