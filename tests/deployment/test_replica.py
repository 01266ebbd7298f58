"""Staff's reports read a replica, which streams from the primary; they read the primary where it is away or behind.

Both are Debian's PostgreSQL, so this also runs the migrations on that version.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from tests.commands import Commands
from tests.deployment.postgres_pair import PACKAGED, PostgresPair
from tests.fixtures.measurements import measured
from tests.servers import FOREIGN, servers

pytestmark = [
    pytest.mark.skipif(not PACKAGED, reason="PostgreSQL is not installed (Debian: apt install postgresql)"),
    pytest.mark.timeout(240),
]
LAG = "2"
LOOK = """
import json
from accounts.lib.replica import reports
from accounts.models import DailyUsage, User
from django.test import Client
with reports() as name:
    found = {"database": name, "rows": DailyUsage.objects.count(), "of": DailyUsage.objects.all().db}
admin, _ = User.objects.get_or_create(email="admin@example.org", is_staff=True, is_superuser=True)
client = Client(headers={"host": "localhost"})
client.force_login(admin)
page = client.get("/admin/usage/?by=user")
file = client.get("/admin/usage/?by=group&format=csv")
exported = client.post("/admin/accounts/dailyusage/export/", {"format": "0"})
found |= {"page": page.status_code, "file": file.status_code, "text": b"".join(file.streaming_content).decode(),
          "exported": exported.status_code}
print(json.dumps(found))
"""
USE = """
import datetime
from accounts.models import DailyUsage, User
DailyUsage.objects.create(user_id=User.objects.create_user("ana@example.org", "x" * 20).pk, model="small",
                          day=datetime.datetime.now(datetime.UTC).date(), messages=3, input_tokens=10, output_tokens=20)
"""


@pytest.fixture(scope="module")
def pair() -> Generator[PostgresPair, None, None]:
    folder = Path(tempfile.mkdtemp(prefix="antiphon-replica-"))
    pair = PostgresPair(folder)
    measured("PostgreSQL", pair.programs.parent.name)
    try:
        pair.start()
        yield pair
    finally:
        pair.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def commands(pair: PostgresPair, tmp_path_factory: pytest.TempPathFactory) -> Generator[Commands, None, None]:
    env = {
        **{name: value for name, value in os.environ.items() if name not in FOREIGN},
        **servers.environment(),
        "DATABASE_URL": pair.url, "DATABASE_REPLICA_URL": pair.replica_url, "REPLICA_LAG_SECONDS": LAG,
        "ANTIPHON_VAR": str(tmp_path_factory.mktemp("var")), "STATIC_VERSIONED": "0",
    }  # fmt: skip
    commands = Commands(env, seconds=120)
    try:
        run(commands, "migrate", "--verbosity=0")
        run(commands, "shell", "--no-imports", "-c", USE)
        pair.await_replay()
        yield commands
    finally:
        commands.stop()


def run(commands: Commands, *command: str) -> str:
    done = commands.run(*command)
    assert done.code == 0, done.err[-3000:]
    return done.out


def look(commands: Commands) -> dict[str, object]:
    found: dict[str, object] = json.loads(run(commands, "shell", "--no-imports", "-c", LOOK).splitlines()[-1])
    assert (found["page"], found["file"]) == (200, 200), found
    return found


def test_usage_and_exports_read_the_replica_and_nothing_else_does(pair: PostgresPair, commands: Commands) -> None:
    before = len(pair.replica_log())
    found = look(commands)
    assert (found["database"], found["of"], found["rows"]) == ("replica", "replica", 1)
    said = pair.replica_log()[before:]
    assert "accounts_dailyusage" in said
    for table in ("accounts_session", "accounts_auditentry", "chat_"):
        assert f'FROM "{table}' not in said, "only reports read it"
    assert "ERROR" not in said


def test_a_replica_that_is_behind_is_not_used(pair: PostgresPair, commands: Commands) -> None:
    with psycopg.connect(pair.replica_url, autocommit=True) as replica:
        replica.execute("SELECT pg_wal_replay_pause()")
        try:
            with psycopg.connect(pair.url) as primary:
                primary.execute("UPDATE accounts_dailyusage SET messages = 4")
            time.sleep(float(LAG) + 1)
            found = look(commands)
            assert (found["database"], found["of"]) == ("default", "default")
        finally:
            replica.execute("SELECT pg_wal_replay_resume()")
    pair.await_replay()
    assert look(commands)["database"] == "replica", "one that has caught up is used again, however long ago that was"


def test_a_replica_that_is_away_costs_no_report(pair: PostgresPair, commands: Commands) -> None:
    pair.replica.stop()
    began = time.monotonic()
    assert look(commands)["database"] == "default"
    measured("seconds of a first look without the replica", round(time.monotonic() - began, 1))
