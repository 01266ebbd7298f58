"""`manage.py check_deploy`: what it says of the processes, their settings, the servers and the queues."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync

from accounts.lib.redis import sync_redis
from chat.jobs.processes import FORGET_SECONDS, KEY, ProcessState, Reporter, Shared, living_processes, shared_settings
from config.ops.diagnosis import CLUSTER, DEPLOYED, Level, examine
from workers.runtime.beat_lease import LEASE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
ALL = ("generate", "transcribe", "tools", "files", "moderation", "maintenance")


def report(kind: str, owner: str, *, off: float = 0.0, ago: float = 0.0, **fields: Any) -> None:
    """A process says that it lives, `ago` seconds before now, by a clock that is `off`."""
    now = time.time() - ago
    given: dict[str, Any] = {
        "host": "one", "pid": 1, "version": "0.2.0", "since": now - 60, "queues": ALL if kind == "worker" else (),
        "shared": shared_settings(), **fields,
    }  # fmt: skip
    state = ProcessState(kind, owner, at=now + off, **given)  # type: ignore[arg-type]  # one of the three
    sync_redis().hset(KEY, owner, f"{now:.6f} ".encode() + msgspec.json.encode(state))


@pytest.fixture
def site(settings: Any) -> None:
    """Two machines with a web process and a worker each, and two beats."""
    settings.ALLOWED_HOSTS = ["localhost"]  # pytest-django adds another
    for number, host in enumerate(("one", "two")):
        report("web", f"w{number}", host=host, pid=10 + number)
        report("worker", f"k{number}", host=host, pid=20 + number)
        report("beat", f"{host}:30:b{number}", host=host, pid=30)
    sync_redis().set(LEASE, "one:30:b0")


def said(*names: str) -> dict[str, tuple[Level, str, str]]:
    return {one.name: (one.level, one.said, one.advice) for one in examine(names or tuple(CLUSTER))}


class TestProcesses:
    def test_what_a_process_reports_is_read_and_forgotten(self) -> None:
        reporter = Reporter("web")
        async_to_sync(reporter.report)(draining=True)
        Reporter("beat").report_now()
        [beat, web] = living_processes()
        assert (web.kind, web.draining, web.shared) == ("web", True, shared_settings())
        assert beat.kind == "beat"
        assert abs(web.clock_off) < 1
        reporter.end_now()
        report("worker", "old", ago=FORGET_SECONDS + 1)
        assert [one.kind for one in living_processes()] == ["beat"]
        assert sync_redis().hlen(KEY) == 1, "what has not been heard of is removed"

    def test_all_is_well(self, site: None) -> None:
        found = said()
        assert {name: one for name, one in found.items() if one[0] is not Level.OK} == {}
        assert found["processes"][1] == "2 web, 2 worker, 2 beat, all of version 0.2.0."
        assert found["beats"][1] == "one:30 schedules the periodic jobs; 1 other by its side stand by."

    def test_two_versions(self, site: None) -> None:
        report("web", "w1", host="two", pid=11, version="0.1.9", since=0.0)
        level, text, _ = said()["processes"]
        assert level is Level.WARN
        assert "Not of the version that was started last: web two:11 (0.1.9)." in text

    def test_nobody(self) -> None:
        found = said()
        assert found["processes"][0] is Level.FAIL
        assert found["queues"][1] == "Not known while `processes` fails."

    def test_no_worker(self) -> None:
        report("web", "w0")
        report("worker", "k0", draining=True)
        assert said()["processes"][1] == "1 web, 1 worker, 0 beat: no worker process works."


class TestSettings:
    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [("keys", "other", "SECRET_KEY"), ("event_logs", "other", "EVENT_LOG_REDIS_URLS"),
         ("origins", ("https://x.example",), "ALLOWED_ORIGINS"), ("trusted_proxies", 3, "TRUSTED_PROXIES")],
    )  # fmt: skip
    def test_one_that_differs(self, site: None, field: str, value: Any, words: str) -> None:
        report("worker", "k1", host="two", pid=21, shared=msgspec.structs.replace(shared_settings(), **{field: value}))
        level, text, _ = said()["same settings"]
        assert level is Level.FAIL
        assert text.startswith("worker two:21 differs from the others in")
        assert words in text

    def test_debug(self, site: None) -> None:
        report("web", "w1", host="two", pid=11, shared=Shared(debug=True))
        assert said()["same settings"][1].startswith("DEBUG is on in web two:11")

    def test_plain_http_and_no_proxy(self, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["chat.example.org"]
        settings.ALLOWED_ORIGINS = ["http://chat.example.org"]
        report("web", "w0")
        report("worker", "k0")
        assert "has no https origin" in said()["same settings"][1]
        settings.ALLOWED_ORIGINS, settings.ALLAUTH_TRUSTED_PROXY_COUNT = ["https://chat.example.org"], 0
        report("web", "w0")
        report("worker", "k0")
        assert "trusts no proxy" in said()["same settings"][1]

    def test_no_secret_is_in_redis(self, settings: Any) -> None:
        Reporter("beat").report_now()
        stored = str(sync_redis().hgetall(KEY))
        for secret in (settings.SECRET_KEY, settings.VAPID_PRIVATE_KEY, settings.REDIS_URL, settings.DATABASE_URL):
            assert secret not in stored


def test_a_clock_that_is_off(site: None) -> None:
    report("web", "w1", host="two", off=-7.0)
    level, text, _ = said()["clocks"]
    assert (level, text) == (Level.WARN, "Clocks differ from that of Redis: two by -7.0 s.")


class TestStores:
    def test_one_that_evicts(self, site: None) -> None:
        client: Any = sync_redis()
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            level, text, _ = said()["stores"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
        assert level is Level.WARN
        assert text.startswith("REDIS_URL has maxmemory-policy allkeys-lru")

    def test_one_that_is_away(self, site: None, settings: Any) -> None:
        settings.EVENT_LOG_REDIS_URLS = [settings.REDIS_URL, "redis://127.0.0.1:9/0"]
        level, text, _ = said()["stores"]
        assert (level, text) == (Level.FAIL, "EVENT_LOG_REDIS_URLS (2) does not answer (ConnectionError).")

    def test_a_replica(self, site: None) -> None:
        client: Any = sync_redis()
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            assert "leads to a replica" in said("stores")["stores"][1]
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


class TestQueues:
    def test_a_kind_that_nobody_serves(self, site: None) -> None:
        for number, host in enumerate(("one", "two")):
            report("worker", f"k{number}", host=host, queues=("generate", "transcribe", "maintenance"))
        level, text, _ = said()["queues"]
        assert level is Level.FAIL
        assert text.startswith("No worker serves tools, files, moderation.")

    def test_many_jobs(self, site: None) -> None:
        client: Any = sync_redis()
        client.lpush("files", *["x"] * 1001)
        level, text, advice = said()["queues"]
        assert level is Level.WARN
        assert "files 1001" in text
        assert advice == "Start more workers for files."


class TestBeats:
    def test_none_leads(self, site: None) -> None:
        sync_redis().delete(LEASE)
        assert said()["beats"][:2] == (Level.FAIL, "No process schedules the periodic jobs.")

    def test_the_leader_is_silent(self, site: None) -> None:
        sync_redis().set(LEASE, "three:1:x")
        assert said()["beats"][1] == "three:1 has the lease and does not say that it is alive."


def test_more_processes_than_postgresql_has_connections_for(site: None) -> None:
    many = msgspec.structs.replace(shared_settings(), database_pool=5000)
    report("web", "w1", host="two", shared=many)
    assert said()["connections"][0] is Level.WARN


def test_the_command_prints_and_says_how_it_went(site: None, capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command

    with pytest.raises(SystemExit) as ended:
        call_command("check_deploy", "--json")
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["findings"]] == list(DEPLOYED)
    assert ended.value.code == 0, found
