"""Settings from the environment: typed values, and garbage refused by name."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from celery import Celery
from django.core.exceptions import ImproperlyConfigured
from environs import Env
from kombu.exceptions import OperationalError

from accounts.lib.rate_limit import parse_rate
from config.env import (
    broker_options,
    broker_url,
    count_or_off,
    database_from_url,
    networks,
    origins,
    push_hosts,
    redis_from_url,
    secret_key,
    stack_url,
    vapid_key,
)

ROOT = Path(__file__).parents[3]


def test_a_database_url_becomes_djangos_entry() -> None:
    entry = database_from_url("postgresql://ann:p%40ss@db.example.org:6543/chat?sslmode=require", pool=3)
    assert (entry["USER"], entry["PASSWORD"], entry["HOST"], entry["PORT"], entry["NAME"]) == (
        "ann", "p@ss", "db.example.org", "6543", "chat",
    )  # fmt: skip
    assert entry["OPTIONS"]["sslmode"] == "require"
    assert entry["OPTIONS"]["pool"]["max_size"] == 3


def test_a_database_on_a_unix_socket_is_named_by_its_folder() -> None:
    entry = database_from_url("postgresql://ann@/chat?host=/run/pg%20one", pool=1)
    assert entry["HOST"] == "/run/pg one"
    assert "host" not in entry["OPTIONS"]


def test_several_database_hosts() -> None:
    url = "postgresql://ann:p%40ss@one.example.org:6543,two.example.org/chat?target_session_attrs=read-write"
    entry = database_from_url(url, pool=1)
    assert (entry["HOST"], entry["PORT"]) == ("one.example.org,two.example.org", "6543,5432")
    assert (entry["USER"], entry["PASSWORD"], entry["NAME"]) == ("ann", "p@ss", "chat")
    assert entry["OPTIONS"]["target_session_attrs"] == "read-write"


def test_behind_a_pooler_nothing_is_kept_in_a_session() -> None:
    entry = database_from_url("postgresql:///chat", pool=1, pooler=True)
    assert entry["DISABLE_SERVER_SIDE_CURSORS"], "a cursor outside of a transaction would be on another connection"
    assert "options" not in entry["OPTIONS"], "PgBouncer refuses what it does not know"
    assert not database_from_url("postgresql:///chat", pool=1)["DISABLE_SERVER_SIDE_CURSORS"]


def test_no_statement_waits_for_a_lock_without_a_limit() -> None:
    entry = database_from_url("postgresql:///chat?options=-c%20search_path%3Dx", pool=1)
    assert entry["OPTIONS"]["options"] == (
        "-c lock_timeout=4000 -c idle_in_transaction_session_timeout=10000 -c search_path=x"
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+sentinel://one:26379/mymaster", "Sentinel addresses are not supported"),
        ("sentinel://one:26379,two:26379/0", "Sentinel addresses are not supported"),
        ("redis://one:6379,two:6379/0", "several hosts"),
    ],
)
def test_redis_addresses_that_are_refused_say_why(url: str, reason: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=reason):
        redis_from_url(url)


def test_rabbitmq_confirms_jobs() -> None:
    assert broker_options("amqp://guest@127.0.0.1//")["confirm_publish"] is True
    assert broker_options("redis://127.0.0.1") == {}


def test_publishing_fails_at_once_where_no_host_of_rabbitmq_takes_a_connection() -> None:
    url = "amqp://guest@127.0.0.1:1//;amqp://guest@127.0.0.1:2//"
    app = Celery(broker=url, set_as_current=False)
    app.conf.update(broker_transport_options=broker_options(url), broker_connection_timeout=5)
    began = time.monotonic()
    with pytest.raises(OperationalError):
        app.send_task("any", retry=False)
    assert time.monotonic() - began < 4, "not after 6 s of attempts"


@pytest.mark.parametrize("url", ["mysql://x/y", "accounts.lib.db", "postgresql://h:port/x", "postgresql://h:99999/x"])
def test_another_database_is_refused_by_name(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        database_from_url(url, pool=1)


@pytest.mark.parametrize("url", ["http://x", "localhost:6379", "redis://h:port/0"])
def test_another_redis_is_refused_by_name(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL"):
        redis_from_url(url)


@pytest.mark.parametrize(
    ("redis", "broker"),
    [
        ("redis://h:6379/2", "redis://h:6379/2"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix://me:p%40w@/run/redis.sock", "redis+socket://me:p%40w@/run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"),
    ],
)
def test_celery_writes_a_unix_socket_another_way(redis: str, broker: str) -> None:
    assert broker_url(redis) == broker


def test_origins_are_full_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://a.example.org,http://localhost:8000/")
    assert origins(Env()) == ["https://a.example.org", "http://localhost:8000"]


@pytest.mark.parametrize("value", ["a.example.org", "https://a.example.org/chat", "ftp://a.example.org", "*"])
def test_half_an_origin_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", value)
    with pytest.raises(ImproperlyConfigured, match="ALLOWED_ORIGINS"):
        origins(Env())


def test_a_secret_key_is_made_once_and_only_its_owner_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    first = secret_key(Env(), tmp_path / "var")
    assert len(first) >= 50
    assert secret_key(Env(), tmp_path / "var") == first
    assert stat.S_IMODE((tmp_path / "var" / "secret_key").stat().st_mode) == 0o600


def test_the_private_servers_are_found_through_their_file(tmp_path: Path) -> None:
    assert stack_url(tmp_path, "redis_url") == ""
    (tmp_path / "stack.json").write_text(json.dumps({"redis_url": "unix:///x"}))
    assert stack_url(tmp_path, "redis_url") == "unix:///x"
    (tmp_path / "stack.json").write_text("{half")
    assert stack_url(tmp_path, "redis_url") == ""


@pytest.mark.parametrize(
    ("name", "value"), [("DATABASE_POOL", "many"), ("DATABASE_POOL", "0"), ("DEBUG", "perhaps"), ("LOG_LEVEL", "loud")]
)
def test_garbage_ends_a_command_with_one_sentence(tmp_path: Path, name: str, value: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "ANTIPHON_VAR": str(tmp_path), name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Setting {name}: ")
    assert len(done.stderr.splitlines()) == 1


SHOW_LIMITS = """
import json
from django.conf import settings
names = {name for name in dir(settings) if name.startswith("RATE_")} - {"RATE_PATTERN"} | {"RECORDINGS_PER_USER"}
limits = {name: getattr(settings, name) for name in names}
print(json.dumps([limits, settings.ACCOUNT_RATE_LIMITS["login"]]))
"""


@pytest.mark.parametrize("off", ["off", "0"])
def test_off_means_no_limit_for_every_limit(tmp_path: Path, off: str) -> None:
    settings_text = "".join(file.read_text() for file in (ROOT / "config" / "settings").glob("*.py"))
    names = sorted(set(re.findall(r"^(RATE_[A-Z_]+)\b", settings_text, re.MULTILINE)))
    assert len(names) >= 11
    limits = dict.fromkeys([*names, "RECORDINGS_PER_USER", "LOGIN_RATE"], off)
    done = subprocess.run(
        [sys.executable, "-c", SHOW_LIMITS],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "ANTIPHON_VAR": str(tmp_path), **limits},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, login = json.loads(done.stdout)
    assert login is None
    assert sorted(found) == sorted([*names, "RECORDINGS_PER_USER"])
    for name, value in found.items():
        assert (parse_rate(value) if isinstance(value, str) else value or None) is None, name


@pytest.mark.parametrize("value", ["-1", "1.5", "many", "", "Off", "1e3", "٣"])
def test_another_count_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RATE_RUNS_PER_USER", value)
    with pytest.raises(ImproperlyConfigured, match="RATE_RUNS_PER_USER"):
        count_or_off(Env(), "RATE_RUNS_PER_USER", 8)


def test_the_key_of_notifications_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAPID_PRIVATE_KEY", raising=False)
    key = vapid_key(Env(), tmp_path / "var")
    assert vapid_key(Env(), tmp_path / "var") == key
    assert stat.S_IMODE((tmp_path / "var" / "vapid_key").stat().st_mode) == 0o600
    monkeypatch.setenv("VAPID_PRIVATE_KEY", "A" * 42 + "E")
    assert vapid_key(Env(), tmp_path / "var") == "A" * 42 + "E"


@pytest.mark.parametrize("key", ["short", "A" * 43, "_" * 43, "not base64 at all, but long enough to be one!"])
def test_no_key_of_notifications(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPID_PRIVATE_KEY", key)
    with pytest.raises(ImproperlyConfigured, match="VAPID_PRIVATE_KEY"):
        vapid_key(Env(), tmp_path)


def test_where_no_key_can_be_kept_there_are_no_notifications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAPID_PRIVATE_KEY", raising=False)
    (tmp_path / "file").touch()
    assert vapid_key(Env(), tmp_path / "file") == ""


def test_push_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUSH_HOSTS", raising=False)
    assert "fcm.googleapis.com" in push_hosts(Env())
    monkeypatch.setenv("PUSH_HOSTS", "Push.example.org, *.example.net,http://127.0.0.1:8123")
    assert push_hosts(Env()) == ["push.example.org", "*.example.net", "http://127.0.0.1:8123"]
    monkeypatch.setenv("PUSH_HOSTS", "off")
    assert push_hosts(Env()) == []
    monkeypatch.setenv("PUSH_HOSTS", "*")
    with pytest.raises(ImproperlyConfigured, match="PUSH_HOSTS"):
        push_hosts(Env())


def test_networks_that_tools_may_fetch_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FETCH_ALLOWED_NETWORKS", raising=False)
    assert networks(Env(), "FETCH_ALLOWED_NETWORKS") == []
    monkeypatch.setenv("FETCH_ALLOWED_NETWORKS", "10.1.0.0/16, 192.168.7.20,fd00::/8")
    assert networks(Env(), "FETCH_ALLOWED_NETWORKS") == ["10.1.0.0/16", "192.168.7.20", "fd00::/8"]
    for wrong in ("intranet", "10.1.0.1/16", "*"):
        monkeypatch.setenv("FETCH_ALLOWED_NETWORKS", wrong)
        with pytest.raises(ImproperlyConfigured, match="FETCH_ALLOWED_NETWORKS"):
            networks(Env(), "FETCH_ALLOWED_NETWORKS")
