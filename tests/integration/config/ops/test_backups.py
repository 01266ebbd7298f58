"""Backups on real servers: whole, restored, and none half done."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.config.ops.operating import run
from tests.stack import ROOT, Stack
from tests.templates import in_server

Live = Callable[..., Stack]


pytestmark = pytest.mark.timeout(180)  # each command is a process of its own


def test_a_backup_comes_back_whole(live: Live, tmp_path: Path) -> None:
    stack = live(web=0, workers=0)
    insert = "INSERT INTO chat_conversation (id, title, model, system_prompt, created_at, updated_at)"
    stack.sql(f"{insert} VALUES (%s, 'Kept – ünïcode', '', '', now(), now())", str(uuid.uuid4()))
    stack.sql(
        "INSERT INTO accounts_session"
        " (session_key, session_data, expire_date, hash, created_at, last_seen_at, user_agent)"
        " VALUES ('canary-session-key', '', now(), 'h', now(), now(), '')"
    )
    file = tmp_path / "antiphon.dump"
    code, text = run(stack, "backup", str(file))
    assert code == 0, text
    assert file.stat().st_mode & 0o777 == 0o600
    assert run(stack, "backup", str(file))[0] == 1, "never overwritten"

    code, text = run(stack, "restore", str(file))
    assert code == 1
    assert "not empty" in text

    empty = f"{stack.database}_empty"
    in_server(stack.postgres, f'CREATE DATABASE "{empty}"')
    env = {"DATABASE_URL": stack.postgres.url(empty)}
    try:
        hostile = tmp_path / "truncated.dump"
        hostile.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        code, text = run(stack, "restore", str(hostile), env=env)
        assert code == 1, text
        assert not run_sql(env, "SELECT 1 FROM information_schema.tables WHERE table_schema = 'public'"), (
            "all or nothing"
        )

        code, text = run(stack, "restore", str(file), env=env)
        assert code == 0, text
        assert run_sql(env, "SELECT title FROM chat_conversation") == [("Kept – ünïcode",)]
        people = "SELECT id, email, password FROM accounts_user ORDER BY id"
        assert run_sql(env, people) == run_sql(stack.env, people)
        assert run_sql(env, "SELECT count(*) FROM accounts_session") == [(0,)]
        code, text = run(stack, "prepare", env=env)
        assert code == 0, text
    finally:
        in_server(stack.postgres, f'DROP DATABASE "{empty}" WITH (FORCE)')


def run_sql(env: Any, query: str) -> list[Any]:
    import psycopg

    with psycopg.connect(env["DATABASE_URL"]) as connection:
        return connection.execute(query).fetchall()


def test_a_full_disk_leaves_no_half_a_backup(live: Live, tmp_path: Path) -> None:
    stack = live(web=0, workers=0)
    done = subprocess.run(
        ["prlimit", "--fsize=4096", sys.executable, "manage.py", "backup", str(tmp_path / "b.dump")],
        cwd=ROOT, env={**stack.env, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
