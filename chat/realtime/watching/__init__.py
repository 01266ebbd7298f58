"""Live shares over server-sent events (docs/protocol.md §6): who only watches needs no socket."""
