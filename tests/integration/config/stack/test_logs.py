"""The logs of private servers stay small, and what was said last stays in them."""

from __future__ import annotations

import os
from pathlib import Path

from config.stack.logs import MOST_BYTES, bound
from config.stack.valkey import PrivateValkey


def test_a_log_is_emptied_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    with log.open("ab", buffering=0) as writer:  # as the server has it
        writer.write(b"x" * 99 + b"\n")
        bound(log, most=100)
        assert log.stat().st_size == 100, "not too large yet"
        writer.write(b"PANIC: the last words\n")
        bound(log, most=100)
        assert log.stat().st_size == 0
        writer.write(b"back again\n")
    assert log.read_bytes() == b"back again\n", "no hole where it stood before"
    assert log.with_name("postgres.log.1").read_bytes().endswith(b"PANIC: the last words\n")
    bound(log, most=5)
    assert log.with_name("postgres.log.1").read_bytes() == b"back again\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["postgres.log", "postgres.log.1"]
    bound(tmp_path / "never written")


def test_a_server_starts_with_a_small_log_and_keeps_the_last_crash(tmp_path: Path) -> None:
    server = PrivateValkey(tmp_path)
    with server.log.open("wb") as old:
        os.truncate(old.fileno(), MOST_BYTES)
        old.seek(MOST_BYTES)
        old.write(b"# Valkey crashed by signal: 11\n")
    server.start()
    server.stop()
    assert server.log.stat().st_size < 10_000
    assert server.log.with_name("valkey.log.1").read_bytes().endswith(b"crashed by signal: 11\n")
